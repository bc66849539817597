/** What every part of a panel needs and what does not change while it is shown. */
import React from 'react';

import type { Commands } from '../core/commands';
import type { Texts } from '../texts/texts';
import { textsFor } from '../texts/texts';

export interface PanelContext {
  readonly texts: Texts;
  /** For the times on cards. */
  readonly clock: Intl.DateTimeFormat;
  readonly commands: Commands;
}

const NOTHING = (): void => undefined;
const NO_COMMANDS: Commands = {
  start: NOTHING,
  stop: NOTHING,
  pause: NOTHING,
  resume: NOTHING,
  retry: NOTHING,
  dismissAlert: NOTHING,
  copy: NOTHING,
  insert: NOTHING,
  editedAndUsed: NOTHING,
  dismiss: NOTHING,
  undismiss: NOTHING,
  helpful: NOTHING,
  notHelpful: NOTHING,
  switchTab: NOTHING,
};

export const clockFor = (language: string): Intl.DateTimeFormat => new Intl.DateTimeFormat(language, { hour: '2-digit', minute: '2-digit' });

export const Shared = React.createContext<PanelContext>({ texts: textsFor('en'), clock: clockFor('en'), commands: NO_COMMANDS });
export const useShared = (): PanelContext => React.useContext(Shared);
