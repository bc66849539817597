/** A state of the assist as words, a sign and a tone: what the head, the strips and the screen reader all say alike. */
import React from 'react';

import { ArrowForwardIcon } from '@twilio-paste/icons/esm/ArrowForwardIcon';
import { ConnectivityOfflineIcon } from '@twilio-paste/icons/esm/ConnectivityOfflineIcon';
import { ErrorIcon } from '@twilio-paste/icons/esm/ErrorIcon';
import { PauseIcon } from '@twilio-paste/icons/esm/PauseIcon';
import { WarningIcon } from '@twilio-paste/icons/esm/WarningIcon';

import type { AssistStatus } from '../core/model';
import type { Texts } from '../texts/texts';
import type { Tone } from './styles';

export interface Told {
  /** One or two words. */
  readonly name: string;
  readonly title: string;
  readonly body: string;
  readonly tone: Tone;
}

export function toldOf(status: AssistStatus, texts: Texts): Told {
  const name = texts.state[status.state];
  switch (status.state) {
    case 'off':
      return { name, ...texts.off[status.why], tone: 'quiet' };
    case 'starting':
      return { name, ...texts.starting, tone: 'neutral' };
    case 'listening':
      return status.note ? { name, ...texts.notes[status.note], tone: 'warning' } : { name, ...texts.listening, tone: 'success' };
    case 'paused':
      if (status.spent) return { name, ...texts.budgetSpent, tone: 'warning' };
      return status.byHold
        ? { name: texts.pausedByHold, ...texts.pausedOnHold, tone: 'warning' }
        : { name, ...texts.paused, tone: 'warning' };
    case 'reconnecting':
      return { name, ...texts.reconnecting[status.what], tone: 'warning' };
    case 'moved':
      return { name, ...texts.moved[status.to], tone: 'neutral' };
    case 'failed':
      return { name, ...texts.failure[status.failure.code], tone: 'error' };
    case 'notConfigured':
      return { name, ...texts.notConfigured[status.why](status.queue ?? ''), tone: 'warning' };
  }
}

/** Something that can be seen besides the words; a screen reader has the words. */
export function Sign({ status, tone }: { readonly status: AssistStatus; readonly tone: Tone }): JSX.Element {
  return (
    <span className={`va-icon va-icon-${tone}`} aria-hidden="true">
      {signOf(status)}
    </span>
  );
}

function signOf(status: AssistStatus): JSX.Element {
  switch (status.state) {
    case 'off':
      return <ConnectivityOfflineIcon decorative size="sizeIcon20" />;
    case 'listening':
      if (status.note) return <WarningIcon decorative size="sizeIcon20" />;
      return (
        <span className="va-bars">
          <i />
          <i />
          <i />
        </span>
      );
    case 'paused':
      return <PauseIcon decorative size="sizeIcon20" />;
    case 'starting':
    case 'reconnecting':
      return <span className="va-ring" />;
    case 'moved':
      return status.to === 'server' ? <span className="va-ring" /> : <ArrowForwardIcon decorative size="sizeIcon20" />;
    case 'failed':
      return <ErrorIcon decorative size="sizeIcon20" />;
    case 'notConfigured':
      return <WarningIcon decorative size="sizeIcon20" />;
  }
}
