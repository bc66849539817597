/** Puts an answer where the agent types, or on the clipboard. Focus stays where it is. */
import type { Hands } from '../assist/call';

/** Our own fields are no target: components mark their root with this attribute. */
export const OURS = 'data-voice-assist';

const TEXT_TYPES: ReadonlySet<string> = new Set(['', 'text', 'search']);

export class BrowserHands implements Hands {
  private field: HTMLElement | null = null;

  /** Remembers the field that was used last. */
  watch(page: Document): void {
    page.addEventListener('focusin', ({ target }) => {
      if (target instanceof HTMLElement && isField(target)) this.field = target;
    });
  }

  async copy(text: string): Promise<boolean> {
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      return copyByCommand(text);
    }
  }

  insert(text: string): 'inserted' | 'nowhere' {
    const { field } = this;
    if (!field || !isUsable(field)) return 'nowhere';
    const done = field instanceof HTMLTextAreaElement || field instanceof HTMLInputElement ? insertIntoField(field, text) : insertIntoEditor(field, text);
    return done ? 'inserted' : 'nowhere';
  }
}

function isField(element: HTMLElement): boolean {
  if (element.closest(`[${OURS}]`)) return false;
  if (element instanceof HTMLTextAreaElement) return true;
  if (element instanceof HTMLInputElement) return TEXT_TYPES.has(element.type);
  return element.isContentEditable;
}

function isUsable(field: HTMLElement): boolean {
  if (!field.isConnected || field.getClientRects().length === 0) return false;
  return !((field instanceof HTMLTextAreaElement || field instanceof HTMLInputElement) && (field.disabled || field.readOnly));
}

/** In place of the selection, or at the caret, with a space between words; React learns of it by the event. */
function insertIntoField(field: HTMLTextAreaElement | HTMLInputElement, text: string): boolean {
  const start = field.selectionStart ?? field.value.length;
  const end = field.selectionEnd ?? start;
  const room = field.maxLength >= 0 ? field.maxLength - (field.value.length - (end - start)) : Infinity;
  const spaced = `${start > 0 && !/\s/.test(field.value[start - 1] ?? ' ') ? ' ' : ''}${text}`;
  if (spaced.length > room) return false;
  field.setRangeText(spaced, start, end, 'end');
  field.dispatchEvent(new InputEvent('input', { bubbles: true, inputType: 'insertText', data: spaced }));
  return true;
}

/**
 * Rich text editors keep their own model. They take what is pasted, and say so by preventing what the browser would do; a field without
 * such an editor takes what looks like typing. Both need the focus for a moment, and some editors take it once more after that.
 */
function insertIntoEditor(field: HTMLElement, text: string): boolean {
  const before = document.activeElement;
  const back = (): void => {
    if (before instanceof HTMLElement && before !== field) before.focus({ preventScroll: true });
  };
  field.focus({ preventScroll: true });
  const done = paste(field, text) || document.execCommand('insertText', false, text);
  back();
  setTimeout(() => document.activeElement === field && back());
  return done;
}

function paste(field: HTMLElement, text: string): boolean {
  const clipboardData = new DataTransfer();
  clipboardData.setData('text/plain', text);
  return !field.dispatchEvent(new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true }));
}

/** Where the page may not use the clipboard's interface. */
function copyByCommand(text: string): boolean {
  const before = document.activeElement;
  const area = document.createElement('textarea');
  area.value = text;
  area.setAttribute('aria-hidden', 'true');
  area.setAttribute(OURS, '');
  area.style.cssText = 'position:fixed;top:0;left:0;width:1px;height:1px;opacity:0';
  document.body.appendChild(area);
  try {
    area.focus({ preventScroll: true });
    area.select();
    return document.execCommand('copy');
  } catch {
    return false;
  } finally {
    area.remove();
    if (before instanceof HTMLElement) before.focus({ preventScroll: true });
  }
}
