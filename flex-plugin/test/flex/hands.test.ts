import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import { JSDOM } from 'jsdom';

import { BrowserHands, OURS } from '../../src/flex/hands';

const { window } = new JSDOM('<body></body>');
const { document } = window;
const names = ['HTMLElement', 'HTMLInputElement', 'HTMLTextAreaElement', 'InputEvent'] as const;
for (const name of names) Object.assign(globalThis, { [name]: window[name] });
Object.assign(globalThis, { document });
/** What jsdom lacks of the clipboard. */
class Transfer {
  private readonly data = new Map<string, string>();
  setData = (type: string, text: string) => void this.data.set(type, text);
  getData = (type: string) => this.data.get(type) ?? '';
}
class Pasted extends window.Event {
  readonly clipboardData: Transfer;
  constructor(type: string, init: EventInit & { clipboardData: Transfer }) {
    super(type, init);
    this.clipboardData = init.clipboardData;
  }
}
Object.assign(globalThis, { DataTransfer: Transfer, ClipboardEvent: Pasted });
/** Nothing is laid out here: what is in the page counts as seen, unless it is hidden. */
window.HTMLElement.prototype.getClientRects = function rects(this: HTMLElement) {
  return (this.hidden ? [] : [{}]) as unknown as DOMRectList;
};
let clipboard: { writeText(text: string): Promise<void> } | undefined;
Object.defineProperty(globalThis, 'navigator', { configurable: true, get: () => ({ clipboard }) });
let executed: string[] = [];
document.execCommand = (command, _shown, value) => {
  executed.push(`${command} ${value ?? (document.activeElement as HTMLTextAreaElement).value}`);
  return true;
};

const hands = (): BrowserHands => {
  const made = new BrowserHands();
  made.watch(document);
  return made;
};
const byId = <T extends HTMLElement>(id: string): T => document.getElementById(id) as T;

beforeEach(() => {
  executed = [];
  clipboard = undefined;
  document.body.innerHTML = `<textarea id="notes"></textarea><input id="search" type="search"><input id="secret" type="password">
    <button id="button">b</button><div ${OURS}="WT1"><textarea id="ours"></textarea></div>`;
});

test('an answer goes to the caret, with a space between words, and the page learns of it', () => {
  const one = hands();
  const notes = byId<HTMLTextAreaElement>('notes');
  notes.value = 'Said: (later)';
  notes.focus();
  notes.setSelectionRange(5, 5);
  let told = 0;
  document.body.addEventListener('input', () => (told += 1), { once: true });
  byId('button').focus();
  assert.equal(one.insert('Yes.'), 'inserted');
  assert.equal(notes.value, 'Said: Yes. (later)');
  assert.equal(told, 1);
  assert.equal(document.activeElement, byId('button'), 'the focus stays where it is');
  notes.setSelectionRange(6, 10);
  assert.equal(one.insert('No.'), 'inserted');
  assert.equal(notes.value, 'Said: No. (later)', 'what was selected is replaced');
});

test('the field that was used last; never one of ours, nor one for passwords', () => {
  const one = hands();
  assert.equal(one.insert('x'), 'nowhere', 'none was used yet');
  byId('notes').focus();
  byId('search').focus();
  byId('secret').focus();
  byId('ours').focus();
  assert.equal(one.insert('x'), 'inserted');
  assert.deepEqual(['notes', 'search', 'secret', 'ours'].map((id) => byId<HTMLInputElement>(id).value), ['', 'x', '', '']);
});

test('a field that cannot be written to is no place', () => {
  const spoil: readonly ((field: HTMLTextAreaElement) => void)[] = [
    (field) => (field.readOnly = true),
    (field) => (field.disabled = true),
    (field) => (field.hidden = true),
    (field) => field.remove(),
    (field) => (field.maxLength = 3),
  ];
  for (const spoiled of spoil) {
    document.body.innerHTML = '<textarea id="notes"></textarea>';
    const one = hands();
    const notes = byId<HTMLTextAreaElement>('notes');
    notes.focus();
    assert.equal(one.insert('a'), 'inserted');
    spoiled(notes);
    assert.equal(one.insert('longer'), 'nowhere', String(spoiled));
    assert.equal(notes.value, 'a', 'and nothing is cut off');
  }
});

test('a rich editor takes what is pasted; what takes nothing is typed into; the focus goes back', async () => {
  const editor = document.createElement('div');
  editor.tabIndex = 0;
  Object.defineProperty(editor, 'isContentEditable', { value: true });
  document.body.append(editor);
  const one = hands();
  editor.focus();
  byId('button').focus();
  assert.equal(one.insert('Yes.'), 'inserted');
  assert.deepEqual(executed, ['insertText Yes.']);
  assert.equal(document.activeElement, byId('button'));

  const pasted: string[] = [];
  editor.addEventListener('paste', (event) => {
    pasted.push((event as unknown as Pasted).clipboardData.getData('text/plain'));
    event.preventDefault();
    queueMicrotask(() => editor.focus());
  });
  assert.equal(one.insert('No.'), 'inserted');
  assert.deepEqual([pasted, executed], [['No.'], ['insertText Yes.']]);
  await new Promise((done) => setTimeout(done, 5));
  assert.equal(document.activeElement, byId('button'), 'also from an editor that takes it once more');
});

test('copied by the clipboard; where the page may not, by command; neither leaves anything behind', async () => {
  const copied: string[] = [];
  clipboard = { writeText: async (text) => void copied.push(text) };
  const one = hands();
  assert.equal(await one.copy('Yes.'), true);
  assert.deepEqual([copied, executed], [['Yes.'], []]);
  byId('button').focus();
  const before = document.body.innerHTML;
  for (const refused of [undefined, { writeText: async () => Promise.reject(new Error('NotAllowedError')) }]) {
    clipboard = refused;
    executed = [];
    assert.equal(await one.copy('No.'), true);
    assert.deepEqual(executed, ['copy No.']);
  }
  assert.equal(document.body.innerHTML, before);
  assert.equal(document.activeElement, byId('button'));
  document.execCommand = () => {
    throw new Error('not here');
  };
  assert.equal(await one.copy('No.'), false);
  assert.equal(document.body.innerHTML, before);
});
