/**
 * The panel under load: the real core and the real components, given what Sync would give them as JSON text. Neither Flex nor
 * twilio-sync is in the page: their time is not in the figures. `window.bench` is driven from outside (tests/load/panel_cost.py).
 */
import React from 'react';
import ReactDOM from 'react-dom';

import { begin, step } from '../src/core/call';
import { NOTHING_PERSISTED } from '../src/core/call_state';
import type { CallEvent, CallState } from '../src/core/call_state';
import { DEFAULTS } from '../src/core/configuration';
import type { Commands } from '../src/core/commands';
import type { CallView } from '../src/core/model';
import { viewOf } from '../src/core/view';
import { Panel } from '../src/components/Panel';

const NOTHING = (): void => undefined;
const commands = new Proxy({} as Commands, { get: () => NOTHING });
const root = document.getElementById('root') as HTMLElement;
const QUESTION = 'Can I still change the delivery date of my order, and what does it cost?';
const WORDS = (
  'Yes, until the parcel is handed to the carrier. I can move it to any weekday within the next two weeks, and it costs nothing. ' +
  'If it has left our warehouse already, the carrier’s own page lets you choose another day or a neighbour.'
).split(' ');

class Call {
  private state: CallState;
  private view: CallView | null = null;
  private redraw: (view: CallView) => void = NOTHING;
  private seq = 0;

  constructor(number: number) {
    const hex = number.toString(16).padStart(32, '0');
    const task = { taskSid: `WT${hex}`, callSid: `CA${hex}`, phase: 'accepted', queueName: 'Support', queueSid: 'WQ1', onHold: null } as const;
    const configuration = { target: { url: 'https://assist.example' }, settings: DEFAULTS };
    this.state = begin('agent', task, configuration, NOTHING_PERSISTED, 'accepted', Date.now()).state;
  }

  take(event: CallEvent): void {
    this.state = step(this.state, event, Date.now()).state;
    this.view = viewOf(this.state, this.view);
    this.redraw(this.view);
  }

  /** Started, listening, with so many suggestions in the Map. */
  live(suggestions: number): void {
    this.take({ type: 'command', command: 'start' });
    const answer = { state: 'starting', generation: 1, map: 'VA_SUGGESTIONS_1', stream: 'FLEX_ASSIST_1', named: true, ignored: false } as const;
    this.take({ type: 'answered', request: this.state.requests, answer });
    this.take({ type: 'mapOpening' });
    const items = Array.from({ length: suggestions }, () => this.next());
    const status = { type: 'status', id: 's', revision: 'r1', state: 'live', reason: 'Started', message: '', generation: 1, stream: 'FLEX_ASSIST_1', at: 1 };
    this.take({ type: 'mapListed', items: [['status', status], ...items] });
  }

  private next(): [key: string, data: unknown] {
    this.seq += 1;
    const data = { type: 'suggestion', id: `1-item_${this.seq}`, revision: 'r1', seq: this.seq, question: `${this.seq}: ${QUESTION}`, answer: WORDS.join(' '), at: Date.now(), latencyMs: 700, truncated: false };
    return [String(this.seq).padStart(6, '0'), data];
  }

  /** The draft's text so far, as Sync hands it over. */
  draft(part: number, parts: number): void {
    const text = JSON.stringify({ type: 'draft', id: `1-item_${this.seq + 1}`, revision: 'r1', part, answer: WORDS.slice(0, Math.ceil((WORDS.length * part) / parts)).join(' ') });
    this.take({ type: 'streamMessage', data: JSON.parse(text) });
  }

  finish(): void {
    const [key, data] = this.next();
    this.take({ type: 'mapItem', key, data: JSON.parse(JSON.stringify(data)) });
  }

  said(line: number, part: number, final: boolean): void {
    const text = WORDS.slice(0, part * 4).join(' ');
    this.take({ type: 'streamMessage', data: { type: 'transcript', id: `line-${line}`, revision: 'r1', track: line % 2 ? 'agent' : 'customer', part, text, final } });
  }

  readonly Shown = (): JSX.Element => {
    const [view, setView] = React.useState(this.view as CallView);
    this.redraw = setView;
    return <Panel view={view} commands={commands} language="en" dark={false} />;
  };
}

const idle = (): Promise<void> => new Promise((done) => setTimeout(done, 0));
const wait = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
const PARTS = 24;

/** A call with so many suggestions is on the screen; all cards are drawn. */
async function open(suggestions: number): Promise<Call> {
  const call = new Call(1);
  call.live(suggestions);
  ReactDOM.render(<call.Shown />, root);
  while (document.querySelectorAll('article').length < suggestions) await wait(20);
  return call;
}

/** Drafts and transcripts come in real time, drafts so many a second, two transcripts a second; every 24th draft is finished. */
async function run(call: Call, seconds: number, perSecond: number): Promise<number> {
  const begun = performance.now();
  let drafts = 0;
  let part = 0;
  while (performance.now() - begun < seconds * 1000) {
    await wait(Math.max(0, begun + (drafts * 1000) / perSecond - performance.now()));
    part += 1;
    if (part > PARTS) {
      call.finish();
      part = 1;
    }
    call.draft(part, PARTS);
    drafts += 1;
    if (drafts % (perSecond / 2) === 0) call.said(Math.floor(drafts / 16), 1 + (drafts % 16), drafts % 16 === 0);
  }
  return drafts;
}

const ended: WeakRef<Call>[] = [];

/** How many of the calls that were played are in memory still: one, which React holds until it draws the next. */
const kept = (): number => ended.filter((one) => one.deref()).length;

/** A whole call of `minutes`, as fast as it goes: a suggestion every 10 s, each with 24 drafts, and two transcripts a second. */
async function whole(number: number, minutes: number): Promise<void> {
  const call = new Call(number + 2);
  ended.push(new WeakRef(call));
  call.live(0);
  ReactDOM.render(<call.Shown key={number} />, root);
  for (let second = 0; second < minutes * 60; second += 1) {
    for (let part = (second % 10) * 8 + 1; part <= Math.min(PARTS, (second % 10) * 8 + 8); part += 1) call.draft(part, PARTS);
    if (second % 10 === 3) call.finish();
    call.said(Math.floor(second / 5), 1 + (second % 5) * 2, false);
    call.said(Math.floor(second / 5), 2 + (second % 5) * 2, second % 5 === 4);
    if (second % 5 === 0) await idle();
  }
  await wait(50);
  ReactDOM.unmountComponentAtNode(root);
}

Object.assign(window, { bench: { open, run, whole, kept } });
