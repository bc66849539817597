/**
 * The panel without Flex: ?state=NAME&dark=1&language=de&width=320. What the tests and the benchmark need is on `window.gallery`:
 * `show(view)` puts another view in, `asked` is what the panel asked for.
 */
import React from 'react';
import ReactDOM from 'react-dom';

import { AssistButton } from '../src/components/AssistButton';
import { Panel } from '../src/components/Panel';
import type { Commands } from '../src/core/commands';
import type { CallView, SuggestionView } from '../src/core/model';
import { flexShortcuts } from '../src/shortcuts/shortcuts';
import * as states from './states';

const asked: (readonly [name: string, ...rest: unknown[]])[] = [];
const query = new URLSearchParams(window.location.search);
const language = query.get('language') ?? 'en';
const dark = query.has('dark');
const width = Number(query.get('width') ?? 0);
const name = query.get('state') as states.StateName | null;

let view: CallView = name && name in states.STATES ? states.STATES[name]() : states.STATES.listening();
let redraw: (view: CallView) => void = () => undefined;

function show(next: CallView): void {
  view = next;
  redraw(next);
}

function change(id: string, fields: Partial<SuggestionView>): void {
  show({ ...view, suggestions: view.suggestions.map((one) => (one.id === id ? { ...one, ...fields } : one)) });
}

/** Remembers each command, and does at once what the core would do in the end, where that is simple. */
const effects: { readonly [Name in keyof Commands]?: Commands[Name] } = {
  switchTab: (tab) => show({ ...view, tab }),
  copy: (id) => change(id, { used: 'copied' }),
  insert: (id) => change(id, { used: 'inserted' }),
  helpful: (id) => change(id, { feedback: { given: { verdict: 'helpful' }, sending: 'sent' } }),
  notHelpful: (id, reason) => change(id, { feedback: { given: reason ? { verdict: 'notHelpful', reason } : { verdict: 'notHelpful' }, sending: 'sent' } }),
  dismiss: (id) => show({ ...view, dismissed: view.dismissed + 1, suggestions: view.suggestions.filter((one) => one.id !== id) }),
  dismissAlert: () => show({ ...view, alert: null }),
};
const names = ['start', 'stop', 'pause', 'resume', 'retry', 'dismissAlert', 'copy', 'insert', 'editedAndUsed', 'dismiss', 'undismiss', 'helpful', 'notHelpful', 'switchTab'] as const;
const commands = Object.fromEntries(
  names.map((command) => [
    command,
    (...rest: unknown[]) => {
      asked.push([command, ...rest.filter((one) => typeof one !== 'object')]);
      (effects[command] as ((...all: unknown[]) => void) | undefined)?.(...rest);
    },
  ]),
) as unknown as Commands;

function Gallery(): JSX.Element {
  const [shown, setShown] = React.useState(view);
  redraw = setShown;
  return (
    <main className="call" style={width ? { width } : undefined}>
      <div className="controls">
        <button type="button" data-testid="hang-up">
          Hang up
        </button>
        <AssistButton view={shown} commands={commands} language={language} />
      </div>
      <div className="panel">
        <Panel view={shown} commands={commands} language={language} dark={dark} />
      </div>
    </main>
  );
}

function Index(): JSX.Element {
  return (
    <main className="index">
      <h1>VoiceAssist: the panel’s states</h1>
      <ul>
        {Object.keys(states.STATES).map((state) => (
          <li key={state}>
            {state}: <a href={`?state=${state}&width=320`}>{state} light</a>, <a href={`?state=${state}&width=320&dark=1`}>{state} dark</a>
          </li>
        ))}
      </ul>
    </main>
  );
}

/** As Flex's KeyboardShortcutManager does it. */
function listen(): void {
  const shortcuts = flexShortcuts(() => ({ view, commands }), language);
  window.addEventListener('keydown', (event) => {
    if (event.ctrlKey && event.shiftKey) shortcuts[event.code.replace('Digit', '')]?.action();
  });
}

document.documentElement.lang = language;
document.documentElement.classList.toggle('dark', dark);
const root = document.getElementById('root');
const mount = (): void => void ReactDOM.render(name ? <Gallery /> : <Index />, root);
/** As when an agent goes to another task and comes back. */
const remount = (): void => {
  if (root) ReactDOM.unmountComponentAtNode(root);
  mount();
};
Object.assign(window, { gallery: { show, remount, asked, states, view: () => view } });
listen();
mount();
