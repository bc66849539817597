/** Rich-text editors as agents have for notes, and the hands of the plugin: `window.editors` for the tests. */
import { $getRoot, createEditor } from 'lexical';
import { registerRichText } from '@lexical/rich-text';
import Quill from 'quill';

import { BrowserHands } from '../src/flex/hands';

function place(id: string): HTMLElement {
  const element = document.createElement('div');
  element.id = id;
  document.body.append(element);
  return element;
}

/** Flex UI brings it along. */
const lexical = createEditor({
  onError: (error) => {
    throw error;
  },
});
const root = place('lexical');
root.contentEditable = 'true';
lexical.setRootElement(root);
registerRichText(lexical);

const quill = new Quill(place('quill'));
const elsewhere = place('elsewhere');
elsewhere.innerHTML = '<button>Insert</button>';

const hands = new BrowserHands();
hands.watch(document);

declare global {
  interface Window {
    editors: unknown;
  }
}
window.editors = {
  insert: (text: string) => hands.insert(text),
  /** What each editor takes its text to be: its own model, not the page. */
  lexical: () => lexical.getEditorState().read(() => $getRoot().getTextContent()),
  quill: () => quill.getText().trimEnd(),
};
