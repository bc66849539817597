/** A call at a desk without Flex, network or clock: events in, state and effects out. */
import { begin, step, wakeAt } from '../../src/core/call';
import type { CallEvent, CallState, Effect, PersistedState, Met, Role, StreamAnswer } from '../../src/core/call_state';
import { NOTHING_PERSISTED } from '../../src/core/call_state';
import { statusOf } from '../../src/core/status';
import type { Configuration } from '../../src/core/configuration';
import { DEFAULTS } from '../../src/core/configuration';
import type { CallView } from '../../src/core/model';
import type { TaskFacts } from '../../src/core/task';
import { viewOf } from '../../src/core/view';
import { keyOf } from './history';

export const CALL = `CA${'1'.repeat(32)}`;
export const URL_ = 'https://assist.example';
export const STREAM = `FLEX_ASSIST_${CALL}_abc`;

export const TASK: TaskFacts = { taskSid: `WT${'1'.repeat(32)}`, callSid: CALL, phase: 'accepted', queueName: 'Support', queueSid: 'WQ1', onHold: null };

export interface Situation {
  readonly role?: Role;
  readonly task?: Partial<TaskFacts>;
  readonly configuration?: Partial<Configuration> & { readonly autoStart?: boolean; readonly pauseOnHold?: boolean };
  readonly persisted?: Partial<PersistedState>;
  readonly met?: Met;
}

export class Desk {
  state: CallState;
  effects: Effect[] = [];
  now = 1_800_000_000_000;
  private shown: CallView | null = null;

  constructor(situation: Situation = {}) {
    const { autoStart = false, pauseOnHold = true, ...configuration } = situation.configuration ?? {};
    const config: Configuration = { target: { url: URL_ }, settings: { ...DEFAULTS, autoStart, pauseOnHold }, ...configuration };
    const persisted = { ...NOTHING_PERSISTED, ...situation.persisted };
    const first = begin(situation.role ?? 'agent', { ...TASK, ...situation.task }, config, persisted, situation.met ?? 'accepted', this.now);
    this.state = first.state;
    this.effects = [...first.effects];
  }

  get view(): CallView {
    this.shown = viewOf(this.state, this.shown);
    return this.shown;
  }

  /** Wide, so that one assertion does not narrow the next. */
  get status(): Readonly<Record<string, unknown>> {
    return { ...statusOf(this.state) };
  }

  take(...events: CallEvent[]): this {
    for (const event of events) {
      const { state, effects } = step(this.state, event, this.now);
      this.state = state;
      this.effects.push(...effects);
    }
    return this;
  }

  /** Lets time pass, waking the call as the shell would. */
  pass(ms: number): this {
    const end = this.now + ms;
    for (let due = wakeAt(this.state), turns = 0; due !== null && due <= end; due = wakeAt(this.state), turns += 1) {
      if (turns > 1000) throw new Error('it wakes for ever');
      this.now = Math.max(this.now, due);
      this.take({ type: 'woke' });
    }
    this.now = end;
    return this;
  }

  /** The effects of a kind since the last look, and forgets them all. */
  done<K extends Effect['kind']>(kind: K): Extract<Effect, { kind: K }>[] {
    const found = this.effects.filter((effect): effect is Extract<Effect, { kind: K }> => effect.kind === kind);
    this.effects = [];
    return found;
  }

  command(command: Extract<CallEvent, { type: 'command' }>['command']): this {
    return this.take({ type: 'command', command });
  }

  /** The task as Flex has it now. */
  task(part: Partial<TaskFacts>): this {
    return this.take({ type: 'task', task: { ...this.state.task, ...part }, configuration: this.state.configuration });
  }

  answer(part: Partial<StreamAnswer> = {}): this {
    const answer: StreamAnswer = { state: 'starting', generation: 1, map: `VA_SUGGESTIONS_${CALL}`, stream: STREAM, named: true, ignored: false, readsAlong: false, ...part };
    return this.take({ type: 'answered', request: this.state.requests, answer });
  }

  refuse(code: string, status = 503, retryAfter: number | null = null): this {
    return this.take({ type: 'refused', request: this.state.requests, refusal: { status, code, message: 'said', hint: 'do', twilioCode: null, retryAfter } });
  }

  /** Sync, opened and read. */
  listed(...items: (readonly [string, Record<string, unknown>])[]): this {
    return this.take({ type: 'mapOpening' }, { type: 'mapListed', items });
  }

  relay(state: string, more: Record<string, unknown> = {}, from: 'map' | 'stream' = 'map'): this {
    const data = statusData(state, { at: this.now, ...more });
    return this.take(from === 'map' ? { type: 'mapItem', key: 'status', data } : { type: 'streamMessage', data });
  }

  suggestion(seq: number, more: Record<string, unknown> = {}): this {
    return this.take({ type: 'mapItem', key: keyOf(seq), data: suggestionData(seq, more) });
  }

  /** Started, and the relay listens. */
  live(): this {
    return this.command('start').answer().listed().relay('live');
  }
}

export const statusData = (state: string, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  type: 'status',
  id: `g1-${state}`,
  revision: 'r1',
  state,
  reason: 'Started',
  message: 'told',
  generation: 1,
  stream: STREAM,
  at: 0,
  ...more,
});

export const suggestionData = (seq: number, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  type: 'suggestion',
  id: `g1-item_${seq}`,
  revision: 'r1',
  seq,
  question: `question ${seq}`,
  answer: `answer ${seq}`,
  at: 1_800_000_000_000 + seq * 5000,
  latencyMs: 700,
  truncated: false,
  ...more,
});
