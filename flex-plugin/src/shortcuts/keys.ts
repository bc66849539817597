/**
 * Keys that work anywhere in Flex, all with Ctrl+Shift as Flex's own are. Flex has 1, L, A, R, T, Y, S, H, M and C; the other letters
 * belong to browsers (N, W, B, I, J, O, P, …), the other digits to nobody.
 */
import type { ShortcutName } from '../texts/texts';

export const SHORTCUT_KEYS: Readonly<Record<ShortcutName, string>> = {
  copy: '2',
  insert: '3',
  dismiss: '4',
  helpful: '5',
  notHelpful: '6',
  startStop: '7',
  pauseResume: '8',
  goToPanel: '9',
};
