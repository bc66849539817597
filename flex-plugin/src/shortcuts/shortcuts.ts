/** What the keys do, in the form in which Flex's KeyboardShortcutManager takes them; Flex's own list of shortcuts then names them. */
import type { Commands } from '../core/commands';
import type { CallView } from '../core/model';
import type { ShortcutName } from '../texts/texts';
import { textsFor } from '../texts/texts';
import { SHORTCUT_KEYS } from './keys';

/** The call that is shown. */
export interface ShortcutTarget {
  readonly view: CallView;
  readonly commands: Commands;
}

export interface FlexShortcut {
  readonly action: () => void;
  readonly name: string;
  readonly throttle?: number;
}

/** `current` names the selected task's call at the time of the key; null: no call is selected, the keys do nothing. */
export function flexShortcuts(current: () => ShortcutTarget | null, language: string): Record<string, FlexShortcut> {
  const texts = textsFor(language);
  const goToPanel = wayToPanel();
  return Object.fromEntries(
    (Object.keys(SHORTCUT_KEYS) as ShortcutName[]).map((name) => [
      SHORTCUT_KEYS[name],
      {
        name: `${texts.panel}: ${texts.shortcutNames[name]}`,
        action: () => {
          const target = current();
          if (!target) return;
          if (name === 'goToPanel') goToPanel(target.view.taskSid);
          else act(name, target);
        },
      },
    ]),
  );
}

/** Only what the panel would offer as well. */
export function act(name: Exclude<ShortcutName, 'goToPanel'>, { view, commands }: ShortcutTarget): void {
  const { permitted, busy } = view;
  const newest = view.suggestions.find(({ draft }) => !draft)?.id;
  switch (name) {
    case 'startStop':
      if (busy !== null || view.readOnly) return;
      if (permitted.stop) commands.stop();
      else if (permitted.start) commands.start();
      return;
    case 'pauseResume':
      if (busy !== null || view.readOnly) return;
      if (permitted.pause) commands.pause();
      else if (permitted.resume) commands.resume();
      return;
    case 'helpful':
    case 'notHelpful':
      if (newest !== undefined && permitted.feedback) commands[name](newest);
      return;
    case 'copy':
    case 'insert':
    case 'dismiss':
      if (newest !== undefined) commands[name](newest);
  }
}

/** To the panel's current card, or its first control; from within the panel back to where the focus was before. */
function wayToPanel(): (taskSid: string) => void {
  let before: Element | null = null;
  return (taskSid) => {
    const panel = document.querySelector(`[data-voice-assist="${CSS.escape(taskSid)}"]`);
    if (!panel) return;
    const now = document.activeElement;
    if (panel.contains(now)) {
      if (before instanceof HTMLElement && before.isConnected) before.focus();
      else if (now instanceof HTMLElement) now.blur();
      before = null;
      return;
    }
    before = now;
    const places = ['article[tabindex="0"]', '.va-scroll[tabindex="0"]', '[role="tab"][tabindex="0"]'];
    for (const place of places) {
      const found = panel.querySelector<HTMLElement>(place);
      if (found) return found.focus();
    }
  };
}
