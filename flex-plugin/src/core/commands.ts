/**
 * What the panel can ask for, and what its components are given.
 *
 * Components are functions of `view`; they keep no state of the call of their own (open menus, edited text and focus are theirs).
 * Every command returns at once and never throws; what becomes of it is seen in the next `view`.
 */
import type { CallView, NotHelpfulReason, Tab } from './model';

export interface Commands {
  start(): void;
  stop(): void;
  pause(): void;
  resume(): void;
  /** The failed state's button, and `moved`'s: starts again, or connects again, whatever failed. */
  retry(): void;
  dismissAlert(): void;

  /** Puts the answer on the clipboard. */
  copy(id: string): void;
  /** Puts the answer where the agent typed last (a notes field, a chat's input); if there is no such field, on the clipboard. */
  insert(id: string): void;
  /** The agent changed the answer's text and used it: `how` says what to do with `text`; counts as feedback. */
  editedAndUsed(id: string, text: string, how: 'copy' | 'insert'): void;
  /** Takes the suggestion off this agent's list, also after a reload of the page. */
  dismiss(id: string): void;
  /** Takes all back that were dismissed. */
  undismiss(): void;
  helpful(id: string): void;
  notHelpful(id: string, reason?: NotHelpfulReason): void;

  switchTab(tab: Tab): void;
}

/** `components/Panel.tsx` exports `Panel: React.FC<PanelProps>`; it is mounted once for each task, in the call canvas. */
export interface PanelProps {
  readonly view: CallView;
  readonly commands: Commands;
  /** BCP 47 tag of Flex's language for this user; the texts fall back to English. */
  readonly language: string;
  /** Whether Flex shows its dark theme. */
  readonly dark: boolean;
}

/** `components/AssistButton.tsx` exports `AssistButton: React.FC<AssistButtonProps>`; a button among the call canvas's actions. */
export type AssistButtonProps = Pick<PanelProps, 'view' | 'commands' | 'language'>;
