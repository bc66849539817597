/** One task's assist at work: sends events to the core, carries out what it decides, and tells whoever shows it. */
import { begin, step, wakeAt } from '../core/call';
import type { CallEvent, CallState, Effect, PersistedState, Met, Role, Step } from '../core/call_state';
import type { Configuration } from '../core/configuration';
import type { Commands } from '../core/commands';
import type { CallView } from '../core/model';
import type { TaskFacts } from '../core/task';
import { viewOf } from '../core/view';
import type { FunctionsClient } from '../functions/client';
import type { Log } from '../log';
import { CallFeed } from '../sync/call_feed';
import type { SyncConnection } from '../sync/connection';

export interface Hands {
  /** Whether it worked. */
  copy(text: string): Promise<boolean>;
  /** `nowhere`: there was no field to put it into. */
  insert(text: string): 'inserted' | 'nowhere';
}

export interface CallDependencies {
  readonly functions: FunctionsClient;
  readonly connection: (url: string) => SyncConnection;
  readonly hands: Hands;
  readonly persist: (taskSid: string, persisted: PersistedState | null) => void;
  readonly broadcastStart: (callSid: string) => void;
  readonly log: Log;
}

export class AssistCall {
  readonly commands: Commands;
  private state: CallState;
  private feed: CallFeed | null = null;
  private timer: ReturnType<typeof setTimeout> | null = null;
  private shown: CallView | null = null;
  private readonly listeners = new Set<() => void>();
  private taking = false;
  private closed = false;
  private readonly waiting: CallEvent[] = [];

  constructor(
    private readonly dependencies: CallDependencies,
    role: Role,
    task: TaskFacts,
    configuration: Configuration,
    persisted: PersistedState,
    met: Met,
  ) {
    const first = begin(role, task, configuration, persisted, met, Date.now());
    this.state = first.state;
    this.commands = commandsOf((event) => this.take(event));
    this.after(first);
  }

  get view(): CallView {
    this.shown = viewOf(this.state, this.shown);
    return this.shown;
  }

  get configuration(): Configuration {
    return this.state.configuration;
  }

  /** When the relay finished a suggestion, and how long after the customer's last syllable; null if it is no numbered one. */
  timing(id: string): { readonly at: number; readonly latencyMs: number | null } | null {
    for (const suggestion of this.state.list.stored.values()) {
      if (suggestion.id === id) return suggestion.at === null ? null : { at: suggestion.at, latencyMs: suggestion.latencyMs };
    }
    const heard = this.state.list.heard.get(id)?.suggestion;
    return heard && heard.at !== null ? { at: heard.at, latencyMs: heard.latencyMs } : null;
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** Takes an event; what it leads to is taken after it, never within it. */
  take(event: CallEvent): void {
    this.waiting.push(event);
    if (this.taking) return;
    this.taking = true;
    try {
      for (let next = this.waiting.shift(); next; next = this.waiting.shift()) this.after(step(this.state, next, Date.now()));
    } finally {
      this.taking = false;
    }
  }

  /** The task is over: what runs is stopped. */
  over(): void {
    const { task, configuration } = this.state;
    this.take({ type: 'task', task: { ...task, phase: 'over' }, configuration });
  }

  /** The task is no concern of this page any more. */
  close(): void {
    this.closed = true;
    this.feed?.close();
    this.feed = null;
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    this.listeners.clear();
  }

  private after({ state, effects }: Step): void {
    const changed = state !== this.state || this.shown === null;
    this.state = state;
    for (const effect of effects) this.perform(effect);
    this.setTimer();
    if (changed) for (const listener of [...this.listeners]) listener();
  }

  private setTimer(): void {
    if (this.timer) clearTimeout(this.timer);
    this.timer = null;
    if (this.closed) return;
    const due = wakeAt(this.state);
    this.timer = due === null ? null : setTimeout(() => this.take({ type: 'woke' }), Math.max(10, due - Date.now()));
  }

  private perform(effect: Effect): void {
    const { dependencies } = this;
    switch (effect.kind) {
      case 'ask':
        return void this.ask(effect);
      case 'follow':
        return this.follow(effect);
      case 'readMapAgain':
        return this.feed?.readMapAgain();
      case 'connectAgain':
        return this.feed?.connectAgain();
      case 'unfollow':
        this.feed?.close();
        this.feed = null;
        return;
      case 'feedback':
        return void this.feedback(effect);
      case 'use':
        return void this.use(effect);
      case 'persist':
        return dependencies.persist(this.state.task.taskSid, effect.persisted);
      case 'removePersisted':
        return dependencies.persist(this.state.task.taskSid, null);
      case 'broadcastStart':
        return dependencies.broadcastStart(effect.callSid);
    }
  }

  private async ask({ request, action, url, callSid, taskSid }: Extract<Effect, { kind: 'ask' }>): Promise<void> {
    const outcome = await this.dependencies.functions.stream(url, action, callSid, taskSid);
    if (outcome.kind === 'ok') this.take({ type: 'answered', request, answer: outcome.value });
    else if (outcome.kind === 'refused') this.take({ type: 'refused', request, refusal: outcome.refusal });
    else this.take({ type: 'unanswered', request, failure: outcome.failure });
  }

  private follow({ url, map, stream, patient }: Extract<Effect, { kind: 'follow' }>): void {
    if (this.closed) return;
    if (this.feed?.name === map) return this.feed.follow(stream, patient);
    this.feed?.close();
    const feed: CallFeed = new CallFeed(this.dependencies.connection(url), map, stream, patient, (event) => this.feed === feed && this.take(event), this.dependencies.log);
    this.feed = feed;
    feed.open();
  }

  private async feedback({ url, callSid, id, revision, seq, verdict }: Extract<Effect, { kind: 'feedback' }>): Promise<void> {
    const outcome = await this.dependencies.functions.verdict(url, callSid, { id, revision, seq }, verdict);
    const notMine = outcome.kind === 'refused' && outcome.refusal.code === 'not_published';
    this.take({ type: 'verdictDone', id, ended: outcome.kind === 'ok' ? 'sent' : notMine ? 'notMine' : 'failed' });
  }

  private async use({ id, how, text }: Extract<Effect, { kind: 'use' }>): Promise<void> {
    if (how === 'insert' && this.dependencies.hands.insert(text) === 'inserted') return this.take({ type: 'used', id, used: 'inserted' });
    const copied = await this.dependencies.hands.copy(text);
    this.take({ type: 'used', id, used: copied ? (how === 'copy' ? 'copied' : 'nowhere') : 'failed' });
  }
}

function commandsOf(take: (event: CallEvent) => void): Commands {
  const simple = (command: Extract<CallEvent, { type: 'command' }>['command']) => () => take({ type: 'command', command });
  return {
    start: simple('start'),
    stop: simple('stop'),
    pause: simple('pause'),
    resume: simple('resume'),
    retry: simple('retry'),
    dismissAlert: simple('dismissAlert'),
    undismiss: simple('undismiss'),
    copy: (id) => take({ type: 'use', id, how: 'copy' }),
    insert: (id) => take({ type: 'use', id, how: 'insert' }),
    editedAndUsed: (id, text, how) => take({ type: 'use', id, how, text }),
    dismiss: (id) => take({ type: 'dismiss', id }),
    helpful: (id) => take({ type: 'verdict', id, verdict: { verdict: 'helpful' } }),
    notHelpful: (id, reason) => take({ type: 'verdict', id, verdict: { verdict: 'notHelpful', ...(reason ? { reason } : {}) } }),
    switchTab: (tab) => take({ type: 'switchTab', tab }),
  };
}
