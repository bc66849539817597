/**
 * The part of @twilio/flex-ui 2.17.1 that the plugin uses, so that neither its types nor its 668 packages are needed to build.
 * The check with flex-plugin-scripts compiles the same sources against the real types.
 */
import type { FC, Key, ReactElement, ReactNode } from 'react';

export interface ITask {
  readonly sid: string;
  readonly taskSid: string;
  readonly attributes: Record<string, unknown>;
  readonly status: string;
  readonly taskStatus: string;
  readonly queueName: string;
  readonly queueSid: string;
  readonly taskChannelUniqueName: string;
  readonly channelType: string;
  readonly conference?: unknown;
}

interface ContentFragmentProps {
  sortOrder?: number;
  align?: 'start' | 'end';
  if?: (props: { task?: ITask }) => boolean;
}

interface ContentStore {
  add(child: ReactElement, options?: ContentFragmentProps): unknown;
  remove(key: Key): unknown;
}

interface WithContent {
  readonly Content: ContentStore;
}

export const CallCanvas: WithContent;
export const CallCanvasActions: WithContent;
export namespace Supervisor {
  const TaskCanvas: WithContent;
}

interface ActionListener {
  (payload: { task?: ITask; sid?: string } & Record<string, unknown>): void;
}

export namespace Actions {
  function addListener(event: string, listener: ActionListener): unknown;
}

interface Emitter {
  addListener(event: string, listener: (...args: never[]) => void): unknown;
}

interface Store {
  getState(): unknown;
  subscribe(listener: () => void): () => void;
}

export class Manager {
  static getInstance(): Manager;
  readonly store: Store;
  readonly events: Emitter;
  readonly user: { readonly token: string };
  readonly serviceConfiguration: { readonly ui_attributes: unknown };
  readonly configuration: Record<string, unknown>;
  readonly localization: { readonly localeTag: string };
}

interface KeyboardShortcut {
  action: () => void;
  name: string;
  throttle?: number;
}

export const KeyboardShortcutManager: {
  readonly keyboardShortcuts: Record<string, KeyboardShortcut>;
  addShortcuts(shortcuts: Record<string, KeyboardShortcut>): void;
};

export const IconButton: FC<{
  icon: string;
  title?: string;
  disabled?: boolean;
  onClick?: () => void;
  variant?: 'primary' | 'secondary';
  'aria-label'?: string;
  'aria-pressed'?: boolean;
  'data-testid'?: string;
  children?: ReactNode;
}>;
