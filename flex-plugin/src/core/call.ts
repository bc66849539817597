/**
 * One task's assist, decided: from Flex's events, the agent's commands, the functions' answers and what Sync says, to a state and to
 * what is to be done (pure). Time is an argument, epoch milliseconds of this page; `wakeAt` says when to send `woke`.
 */
import { announce, announceStatus, noteListed } from './announcing';
import type { Configuration } from './configuration';
import type { AssistStatus, Alert, Announcement, Failure, FeedbackState, SuggestionView, Tab, Verdict } from './model';
import { fromRefusal, fromStatus, isPassing } from './failures';
import type { Refusal } from './failures';
import { isLater, readMapItem, readStreamMessage } from './messages';
import type { RelayStatus, Suggestion } from './messages';
import * as suggestions from './suggestions';
import type { SuggestionList } from './suggestions';
import type { TaskFacts } from './task';
import { NO_TRANSCRIPT, said } from './transcript';
import type { TranscriptState } from './transcript';

export type Role = 'agent' | 'supervisor';
export type Action = 'start' | 'stop' | 'pause' | 'resume';

/** Asked at most so often by itself, where asking again may help. */
const ATTEMPTS = 4;
const RETRY_MS = 1000;
const MAX_RETRY_MS = 10_000;
/** From the answer to a start until the relay must have said that it listens. */
const START_MS = 45_000;
/** A connection that is back within this time is not worth a word. */
const LINK_GRACE_MS = 1500;
/** Until the Map is read again because something seems to be missing. */
const DOUBT_MS = 3000;
/** Before a call that lost its relay is started again: another relay may be doing it. */
const MOVE_MS = 1500;

/** What is kept of a task over a reload of the page: no spoken words. */
export interface Memory {
  /** The assist was running, as far as this page knew. */
  readonly on: boolean;
  /** The agent stopped it: it does not start by itself again. */
  readonly stopped: boolean;
  readonly byHold: boolean;
  readonly dismissed: readonly string[];
  readonly tab: Tab;
}

export const NO_MEMORY: Memory = { on: false, stopped: false, byHold: false, dismissed: [], tab: 'suggestions' };

/** What the functions answered. */
export interface StreamAnswer {
  /** `starting`, `live`, `paused` or `stopped`. */
  readonly state: string;
  readonly generation: number | null;
  readonly map: string;
  readonly stream: string;
  /** Whether the answer named the objects; the original's did not. */
  readonly named: boolean;
  /** The stop did not count: another worker is in the call. */
  readonly ignored: boolean;
}

export type CallEvent =
  | { readonly type: 'task'; readonly task: TaskFacts; readonly configuration: Configuration }
  | { readonly type: 'hold'; readonly onHold: boolean }
  | { readonly type: 'command'; readonly command: Action | 'retry' | 'dismissAlert' | 'undismiss' }
  | { readonly type: 'switchTab'; readonly tab: Tab }
  | { readonly type: 'dismiss'; readonly id: string }
  | { readonly type: 'verdict'; readonly id: string; readonly verdict: Verdict }
  | { readonly type: 'verdictDone'; readonly id: string; readonly ok: boolean }
  | { readonly type: 'use'; readonly id: string; readonly how: 'copy' | 'insert'; readonly text?: string }
  | { readonly type: 'used'; readonly id: string; readonly used: SuggestionView['used'] }
  | { readonly type: 'answered'; readonly request: number; readonly answer: StreamAnswer }
  | { readonly type: 'refused'; readonly request: number; readonly refusal: Refusal }
  | { readonly type: 'unanswered'; readonly request: number; readonly failure: Failure }
  | { readonly type: 'otherTabStarted' }
  | { readonly type: 'link'; readonly up: boolean }
  | { readonly type: 'linkFailed'; readonly failure: Failure }
  | { readonly type: 'mapOpening' }
  | { readonly type: 'mapListed'; readonly items: readonly (readonly [key: string, data: unknown])[] }
  | { readonly type: 'mapItem'; readonly key: string; readonly data: unknown }
  | { readonly type: 'mapItemRemoved'; readonly key: string }
  /** `missing`: it is not there, or this user may not read it (yet): Sync does not tell them apart. */
  | { readonly type: 'mapFailed'; readonly missing: boolean; readonly failure: Failure }
  | { readonly type: 'streamMessage'; readonly data: unknown }
  | { readonly type: 'woke' };

export type Effect =
  | { readonly kind: 'ask'; readonly request: number; readonly action: Action; readonly url: string; readonly callSid: string; readonly taskSid: string }
  /** Opens the call's objects. `patient`: they may come in moments. Following the same Map already: only the Stream may change. */
  | { readonly kind: 'follow'; readonly url: string; readonly callSid: string; readonly map: string; readonly stream: string; readonly patient: boolean }
  | { readonly kind: 'readMapAgain' }
  | { readonly kind: 'unfollow' }
  | { readonly kind: 'connectAgain' }
  | { readonly kind: 'feedback'; readonly url: string; readonly callSid: string; readonly id: string; readonly revision: string; readonly verdict: Verdict }
  | { readonly kind: 'use'; readonly id: string; readonly how: 'copy' | 'insert'; readonly text: string }
  | { readonly kind: 'remember'; readonly memory: Memory }
  | { readonly kind: 'forget' }
  | { readonly kind: 'tellTabs'; readonly callSid: string };

interface Request {
  readonly id: number;
  readonly action: Action;
  readonly attempt: number;
  readonly byHold: boolean;
  /** When it is asked again; null: it is under way. */
  readonly again: number | null;
}

/** Where the assist is, apart from what the relay says. */
export type Stage =
  | { readonly at: 'off'; readonly why: 'notStarted' | 'stopped' | 'callEnded' }
  /** Looking for what may be running already, without starting anything. */
  | { readonly at: 'looking' }
  | { readonly at: 'asking' }
  | { readonly at: 'following' }
  | { readonly at: 'failed'; readonly failure: Failure }
  | { readonly at: 'otherAgent' };

export interface CallState {
  readonly role: Role;
  readonly task: TaskFacts;
  readonly configuration: Configuration;
  /** The call that is assisted: pinned by a start. */
  readonly callSid: string;
  readonly stage: Stage;
  readonly request: Request | null;
  readonly requests: number;
  readonly stopNext: boolean;
  /** Names of what is followed. */
  readonly objects: { readonly map: string; readonly stream: string; readonly named: boolean } | null;
  /** When a lost connection becomes worth a word; null: it is there, or is shown as lost. */
  readonly linkDownAt: number | null;
  readonly linkDown: boolean;
  readonly relay: RelayStatus | null;
  readonly relayFrom: 'map' | 'stream' | 'answer';
  readonly leastGeneration: number;
  readonly stoppedGeneration: number;
  readonly moving: boolean;
  readonly restartAt: number | null;
  readonly liveBy: number | null;
  readonly doubtAt: number | null;
  readonly onHold: boolean;
  /** The agent went on during this hold, or pausing failed: not paused again by itself. */
  readonly holdGivenUp: boolean;
  readonly pausedByHold: boolean;
  readonly alert: Alert | null;
  readonly list: SuggestionList;
  readonly transcript: TranscriptState;
  readonly feedback: ReadonlyMap<string, FeedbackState>;
  readonly used: ReadonlyMap<string, SuggestionView['used']>;
  readonly memory: Memory;
  readonly announced: ReadonlySet<string>;
  readonly announcement: Announcement | null;
  readonly announcements: number;
}

export interface Step {
  readonly state: CallState;
  readonly effects: readonly Effect[];
}

/** How a task was met: just accepted in this page, or found in Flex's store. */
export type Met = 'accepted' | 'found';

export function begin(role: Role, task: TaskFacts, configuration: Configuration, memory: Memory, met: Met, now: number): Step {
  const state: CallState = {
    role,
    task,
    configuration,
    callSid: task.callSid,
    stage: { at: 'off', why: 'notStarted' },
    request: null,
    requests: 0,
    stopNext: false,
    objects: null,
    linkDownAt: null,
    linkDown: false,
    relay: null,
    relayFrom: 'map',
    leastGeneration: 0,
    stoppedGeneration: 0,
    moving: false,
    restartAt: null,
    liveBy: null,
    doubtAt: null,
    onHold: task.onHold === true,
    holdGivenUp: false,
    pausedByHold: memory.byHold,
    alert: null,
    list: suggestions.EMPTY,
    transcript: NO_TRANSCRIPT,
    feedback: new Map(),
    used: new Map(),
    memory,
    announced: new Set(),
    announcement: null,
    announcements: 0,
  };
  const turn = new Turn(state, now);
  if (role === 'supervisor') turn.start();
  else if (met === 'found') turn.look();
  else if (configuration.settings.autoStart && !memory.stopped) turn.start();
  return turn.end(state);
}

export function step(before: CallState, event: CallEvent, now: number): Step {
  const turn = new Turn(before, now);
  turn.take(event);
  return turn.end(before);
}

/** When `woke` is due; null: not at all. */
export function wakeAt(state: CallState): number | null {
  const times = [state.request?.again ?? null, state.liveBy, state.doubtAt, state.restartAt, state.linkDownAt];
  for (const draft of state.list.drafts.values()) times.push(draft.grown + suggestions.DRAFT_LIFE_MS);
  const due = times.filter((time): time is number => time !== null);
  return due.length ? Math.min(...due) : null;
}

/** What is shown of the state. */
export function statusOf(state: CallState): AssistStatus {
  const { target } = state.configuration;
  if ('unconfigured' in target) return { state: 'notConfigured', why: target.unconfigured, ...(target.queue ? { queue: target.queue } : {}) };
  const { stage } = state;
  switch (stage.at) {
    case 'off':
      return { state: 'off', why: stage.why };
    case 'looking':
      return state.memory.on ? { state: 'reconnecting', what: 'sync' } : { state: 'off', why: 'notStarted' };
    case 'asking':
      return state.moving ? { state: 'moved', to: 'server' } : { state: 'starting' };
    case 'failed':
      return { state: 'failed', failure: stage.failure };
    case 'otherAgent':
      return { state: 'moved', to: 'agent' };
    case 'following':
      return followed(state);
  }
}

function followed(state: CallState): AssistStatus {
  const { relay } = state;
  const over = relay?.state === 'stopped' || relay?.state === 'failed';
  if (state.linkDown && !over && state.list.listed) return { state: 'reconnecting', what: 'sync' };
  if (relay === null) {
    if (state.list.heard.size || state.list.drafts.size) return { state: 'listening' };
    return state.moving ? { state: 'moved', to: 'server' } : { state: 'starting' };
  }
  switch (relay.state) {
    case 'starting':
      return state.moving ? { state: 'moved', to: 'server' } : { state: 'starting' };
    case 'live':
      return { state: 'listening' };
    case 'paused':
      return { state: 'paused', byHold: state.pausedByHold };
    case 'reconnecting':
      return { state: 'reconnecting', what: 'model', ...(relay.message ? { detail: relay.message } : {}) };
    case 'stopped':
      return { state: 'off', why: state.task.phase === 'accepted' ? 'stopped' : 'callEnded' };
    case 'lost':
      return state.moving ? { state: 'moved', to: 'server' } : { state: 'failed', failure: fromStatus(relay) };
    case 'failed':
      return { state: 'failed', failure: fromStatus(relay) };
  }
}

/** The relay of the call's audio is at work, or about to be. */
export function isRunning(state: CallState): boolean {
  if (state.stage.at === 'asking') return true;
  if (state.stage.at !== 'following') return false;
  return state.relay === null || !['stopped', 'lost', 'failed'].includes(state.relay.state);
}

/** One event's work: the state while it changes, and what is to be done. */
class Turn {
  private state: CallState;
  private readonly effects: Effect[] = [];

  constructor(
    state: CallState,
    private readonly now: number,
  ) {
    this.state = state;
  }

  take(event: CallEvent): void {
    switch (event.type) {
      case 'task':
        return this.task(event.task, event.configuration);
      case 'hold':
        return this.hold(event.onHold);
      case 'command':
        return this.command(event.command);
      case 'switchTab':
        return this.remember({ tab: event.tab });
      case 'dismiss':
        return this.remember({ dismissed: [...new Set([...this.state.memory.dismissed, event.id])].slice(-500) });
      case 'verdict':
        return this.verdict(event.id, event.verdict);
      case 'verdictDone':
        return this.verdictDone(event.id, event.ok);
      case 'use':
        return this.use(event.id, event.how, event.text);
      case 'used':
        this.set({ used: new Map(this.state.used).set(event.id, event.used) });
        return this.set(announce(this.state, { kind: 'used', used: event.used }));
      case 'answered':
        return this.answered(event.request, event.answer);
      case 'refused':
        return this.failed(event.request, fromRefusal(event.refusal), event.refusal.retryAfter);
      case 'unanswered':
        return this.failed(event.request, event.failure, null);
      case 'otherTabStarted':
        if (!isRunning(this.state) && this.state.stage.at !== 'looking') this.look(true);
        return;
      case 'link':
        return this.link(event.up);
      case 'linkFailed':
        if (this.state.objects) this.set({ stage: { at: 'failed', failure: event.failure } });
        return;
      case 'mapOpening':
        return this.set({ list: suggestions.epochBegins(this.state.list) });
      case 'mapListed':
        return this.listed(event.items);
      case 'mapItem':
        return this.mapItem(event.key, event.data);
      case 'mapItemRemoved':
        return this.set({ list: suggestions.itemRemoved(this.state.list, event.key) });
      case 'mapFailed':
        return this.mapFailed(event.missing, event.failure);
      case 'streamMessage':
        return this.streamMessage(event.data);
      case 'woke':
        return this.woke();
    }
  }

  // what begins and ends it

  start(): void {
    const { state } = this;
    if (state.request || state.task.phase === 'over' || 'unconfigured' in state.configuration.target) return;
    this.set({ stage: { at: 'asking' }, restartAt: null, alert: null });
    if (state.role === 'agent') this.remember({ on: true, stopped: false });
    this.ask('start');
  }

  /** `again`: another tab has started it, its objects may come in moments. */
  look(again = false): void {
    const { target } = this.state.configuration;
    const { callSid } = this.state.task;
    if ('unconfigured' in target || !callSid) return;
    this.set({ stage: { at: 'looking' }, callSid });
    this.follow({ map: objectNames(callSid).map, stream: '', named: true }, again);
  }

  /** Closes the turn: what follows from the whole state, whatever the event was. */
  end(before: CallState): Step {
    this.followHold();
    this.leaveToOthers();
    this.doubt();
    this.announceNew();
    if (before !== this.state || before.announcements === 0) this.set(announceStatus(this.state, statusOf(before), statusOf(this.state)));
    if (before.memory !== this.state.memory) this.effects.push({ kind: 'remember', memory: this.state.memory });
    return { state: this.state, effects: this.effects };
  }

  private task(task: TaskFacts, configuration: Configuration): void {
    const before = this.state;
    this.set({ task, configuration, ...(before.objects || before.request ? {} : { callSid: task.callSid }) });
    if (task.onHold !== null && task.onHold !== (before.task.onHold === true)) this.hold(task.onHold);
    if (task.phase === 'wrapping' && before.task.phase !== 'wrapping') this.ended();
    if (task.phase === 'over') {
      this.ended();
      if (this.state.objects) this.effects.push({ kind: 'unfollow' });
      this.set({ objects: null, stage: { at: 'off', why: 'callEnded' }, list: suggestions.draftsEnded(this.state.list) });
      this.effects.push({ kind: 'forget' });
    }
  }

  /** The agent's part of the call is over: so is the assist. */
  private ended(): void {
    if (this.state.role !== 'agent' || !isRunning(this.state)) return;
    if (this.state.request) this.set({ stopNext: true });
    else this.ask('stop');
  }

  private command(command: Extract<CallEvent, { type: 'command' }>['command']): void {
    const { state } = this;
    const may = permittedOf(state);
    switch (command) {
      case 'start':
        if (may.start) this.start();
        return;
      case 'stop':
        if (!may.stop) return;
        this.remember({ stopped: true });
        if (state.request) this.set({ stopNext: true });
        else this.ask('stop');
        return;
      case 'pause':
        if (may.pause) this.ask('pause');
        return;
      case 'resume':
        if (!may.resume) return;
        this.set({ holdGivenUp: state.onHold });
        this.ask('resume');
        return;
      case 'retry':
        if (may.retry) this.retry();
        return;
      case 'dismissAlert':
        return this.set({ alert: null });
      case 'undismiss':
        return this.remember({ dismissed: [] });
    }
  }

  private retry(): void {
    const { state } = this;
    const failure = state.stage.at === 'failed' ? state.stage.failure : null;
    if (failure?.code.startsWith('sync') && state.objects && (state.relay === null || isAlive(state.relay))) {
      this.set({ stage: { at: 'following' }, linkDown: false, linkDownAt: null });
      this.effects.push({ kind: 'connectAgain' });
      this.follow(state.objects, true);
      return;
    }
    this.start();
  }

  private hold(onHold: boolean): void {
    this.set({ onHold, holdGivenUp: false });
  }

  /** On hold it is paused, off hold it goes on: whatever became known first. */
  private followHold(): void {
    const { state } = this;
    const { relay } = state;
    if (state.role !== 'agent' || state.request || state.stage.at !== 'following' || relay === null || state.task.phase !== 'accepted') return;
    if (state.onHold && state.configuration.settings.pauseOnHold && !state.holdGivenUp && relay.state === 'live') this.ask('pause', true);
    else if (!state.onHold && state.pausedByHold && relay.state === 'paused') this.ask('resume', true);
  }

  /** This agent's part of the call is over, and yet it is assisted: for the agent who has it now. What is said there is not ours to read. */
  private leaveToOthers(): void {
    const { state } = this;
    if (state.role !== 'agent' || state.stage.at !== 'following' || state.task.phase !== 'wrapping') return;
    if (state.relay === null || !isAlive(state.relay) || state.request || state.alert) return;
    this.leave();
  }

  private leave(): void {
    if (this.state.objects) this.effects.push({ kind: 'unfollow' });
    this.set({ stage: { at: 'otherAgent' }, objects: null, moving: false, liveBy: null, restartAt: null, list: suggestions.draftsEnded(this.state.list) });
    this.remember({ on: false });
  }

  // the functions

  private ask(action: Action, byHold = false, attempt = 1): void {
    const { state } = this;
    const { target } = state.configuration;
    if ('unconfigured' in target) return;
    const callSid = action === 'start' ? state.task.callSid || state.callSid : state.callSid;
    const id = state.requests + 1;
    const request: Request = { id, action, attempt, byHold, again: callSid ? null : this.now + RETRY_MS };
    this.set({ request, requests: id, callSid, ...(action === 'start' ? {} : { alert: null }) });
    if (!callSid) {
      if (attempt >= ATTEMPTS) this.giveUp(request, { code: 'noCallSid', action: 'retry' });
      return;
    }
    this.effects.push({ kind: 'ask', request: id, action, url: target.url, callSid, taskSid: state.task.taskSid });
  }

  private answered(id: number, answer: StreamAnswer): void {
    const { request } = this.state;
    if (!request || request.id !== id) return;
    this.set({ request: null });
    if (answer.ignored) {
      this.leave();
    } else if (request.action === 'start') {
      this.started(answer);
    } else if (request.action === 'stop') {
      this.stopped();
    } else {
      this.set({ pausedByHold: request.action === 'pause' && request.byHold });
      this.remember({ byHold: this.state.pausedByHold });
      const { relay } = this.state;
      if (relay && isAlive(relay)) {
        const state = request.action === 'pause' ? 'paused' : 'live';
        this.set({ relay: { ...relay, state, reason: 'AgentRequest', message: '' }, relayFrom: 'answer' });
        if (state === 'paused') this.set({ list: suggestions.draftsEnded(this.state.list) });
      }
    }
    this.afterAnswer();
  }

  private started(answer: StreamAnswer): void {
    const { state } = this;
    const generation = answer.generation ?? 0;
    const relay = state.relay && state.relay.generation >= generation && isAlive(state.relay) ? state.relay : null;
    this.set({
      stage: { at: 'following' },
      leastGeneration: generation,
      stoppedGeneration: Math.min(state.stoppedGeneration, Math.max(0, generation - 1)),
      relay,
      liveBy: relay?.state === 'live' || relay?.state === 'paused' ? null : this.now + START_MS,
    });
    const names = objectNames(state.callSid);
    this.follow({ map: answer.map || names.map, stream: answer.stream || names.stream, named: answer.named }, true);
    if (state.role === 'agent') this.effects.push({ kind: 'tellTabs', callSid: state.callSid });
  }

  private stopped(): void {
    const { relay } = this.state;
    this.remember({ on: false, byHold: false });
    this.set({
      moving: false,
      restartAt: null,
      liveBy: null,
      pausedByHold: false,
      list: suggestions.draftsEnded(this.state.list),
      stoppedGeneration: Math.max(relay?.generation ?? 0, this.state.leastGeneration),
    });
    if (relay) this.set({ relay: { ...relay, state: 'stopped', reason: 'AgentRequest', message: '' }, relayFrom: 'answer' });
    else this.set({ stage: { at: 'off', why: this.state.task.phase === 'accepted' ? 'stopped' : 'callEnded' } });
  }

  private failed(id: number, failure: Failure, retryAfter: number | null): void {
    const { request, state } = { request: this.state.request, state: this.state };
    if (!request || request.id !== id) return;
    const waits = request.action === 'start' && isPassing(failure) && request.attempt < ATTEMPTS && !state.stopNext;
    if (waits) {
      const wait = retryAfter === null ? RETRY_MS * 2 ** (request.attempt - 1) : retryAfter * 1000;
      return this.set({ request: { ...request, again: this.now + Math.min(wait, MAX_RETRY_MS) } });
    }
    this.giveUp(request, failure);
  }

  private giveUp(request: Request, failure: Failure): void {
    this.set({ request: null });
    const { state } = this;
    if (request.action === 'start') {
      if (state.role === 'supervisor' && failure.code === 'notRunning') this.set({ stage: { at: 'off', why: 'notStarted' } });
      else this.set({ stage: { at: 'failed', failure }, moving: false });
    } else if (failure.code === 'otherAgent') {
      this.leave();
    } else if (failure.code === 'callEnded' && request.action !== 'pause') {
      this.stopped();
    } else {
      const audioStillSent = request.action !== 'resume';
      const alert: Alert = { command: request.action, audioStillSent, failure };
      this.set({ alert, holdGivenUp: request.byHold || state.holdGivenUp, pausedByHold: request.action === 'pause' ? false : state.pausedByHold && !request.byHold });
      this.set(announce(this.state, { kind: 'alert', alert }));
    }
    this.afterAnswer();
  }

  private afterAnswer(): void {
    if (!this.state.stopNext || this.state.request) return;
    this.set({ stopNext: false });
    if (isRunning(this.state)) this.ask('stop');
  }

  // Sync

  private link(up: boolean): void {
    if (up) this.set({ linkDown: false, linkDownAt: null });
    else if (!this.state.linkDown) this.set({ linkDownAt: this.state.linkDownAt ?? this.now + LINK_GRACE_MS });
  }

  private follow(objects: NonNullable<CallState['objects']>, patient: boolean): void {
    const { target } = this.state.configuration;
    if ('unconfigured' in target) return;
    this.set({ objects });
    this.effects.push({ kind: 'follow', url: target.url, callSid: this.state.callSid, map: objects.map, stream: objects.stream, patient });
  }

  private listed(items: readonly (readonly [string, unknown])[]): void {
    const found = new Map<number, Suggestion>();
    let status: RelayStatus | null = null;
    for (const [key, data] of items) {
      const item = readMapItem(key, data);
      if (item?.type === 'suggestion') found.set(item.seq, item.suggestion);
      else if (item?.type === 'status') status = item.status;
    }
    const first = !this.state.list.listed;
    this.set({ list: suggestions.listed(this.state.list, found) });
    if (first) this.set(noteListed(this.state));
    if (this.state.stage.at === 'looking') {
      this.set({ stage: { at: 'following' }, liveBy: this.now + START_MS });
      if (!status || isAlive(status)) this.remember({ on: true });
    }
    if (status) this.status(status, 'map');
    if (this.state.task.phase === 'wrapping' && this.state.memory.on && !this.state.request) this.ended(); // the page was reloaded in between
  }

  private mapItem(key: string, data: unknown): void {
    const item = readMapItem(key, data);
    if (item?.type === 'suggestion') this.set({ list: suggestions.itemSet(this.state.list, item) });
    else if (item?.type === 'status') this.status(item.status, 'map');
  }

  private mapFailed(missing: boolean, failure: Failure): void {
    const { state } = this;
    if (state.stage.at === 'looking') {
      this.effects.push({ kind: 'unfollow' });
      this.set({ objects: null });
      if (!missing && state.memory.on) return this.set({ stage: { at: 'failed', failure } });
      this.set({ stage: { at: 'off', why: 'notStarted' } });
      const again = state.memory.on || state.configuration.settings.autoStart;
      if (state.role === 'agent' && again && !state.memory.stopped && state.task.phase === 'accepted') this.start();
      return;
    }
    // The original's server has no Map: its Stream is all there is.
    if (missing && state.objects?.named === false) return this.set({ list: suggestions.listed(state.list, new Map()) });
    if (state.stage.at === 'following') this.set({ stage: { at: 'failed', failure } });
  }

  private streamMessage(data: unknown): void {
    const message = readStreamMessage(data);
    const { list } = this.state;
    switch (message?.type) {
      case 'draft':
        return this.set({ list: suggestions.drafted(list, message.draft, this.now) });
      case 'withdrawn':
        return this.set({ list: suggestions.withdrawn(list, message.id) });
      case 'suggestion':
        if (this.state.relay === null) this.set({ liveBy: null });
        return this.set({ list: suggestions.heard(list, message.suggestion, this.now) });
      case 'transcript':
        return this.set({ transcript: said(this.state.transcript, message.transcript) });
      case 'status':
        return this.status(message.status, 'stream');
    }
  }

  private status(status: RelayStatus, from: 'map' | 'stream'): void {
    const { state } = this;
    const { relay } = state;
    if (status.generation < state.leastGeneration) return;
    if (status.generation <= state.stoppedGeneration && status.state !== 'stopped') return;
    if (relay) {
      if (relay.generation > status.generation) return;
      const same = relay.generation === status.generation && relay.at === status.at && relay.id === status.id;
      const takes = isLater(status, relay) || (from === 'map' && (state.relayFrom === 'map' || (state.relayFrom === 'stream' && same)));
      if (!takes) return;
    }
    const wasAlive = relay !== null && (isAlive(relay) || (relay.state === 'lost' && state.moving));
    this.set({ relay: status, relayFrom: from });
    if (status.state === 'live' || status.state === 'paused' || status.state === 'reconnecting') this.set({ moving: false, liveBy: null, restartAt: null });
    if (status.state === 'starting' && wasAlive && status.generation > (relay?.generation ?? 0) && !state.request) this.set({ moving: true });
    if (status.state === 'paused' || status.state === 'stopped' || status.state === 'lost' || status.state === 'failed') {
      this.set({ list: suggestions.draftsEnded(this.state.list) });
    }
    if (status.state === 'live' && this.state.pausedByHold) this.unpaused();
    if (status.state === 'lost') this.lost(status, relay);
    if (status.state === 'failed' || status.state === 'stopped') this.set({ moving: false, liveBy: null, restartAt: null });
    if (status.state === 'stopped') this.unpaused();
    if (status.stream && state.objects && status.stream !== state.objects.stream) this.follow({ ...state.objects, stream: status.stream }, true);
    if (isAlive(status) && state.stage.at === 'failed' && state.stage.failure.code !== 'internal' && state.list.listed) this.set({ stage: { at: 'following' } });
  }

  private unpaused(): void {
    this.set({ pausedByHold: false });
    this.remember({ byHold: false });
  }

  /** A relay that stops gives the call away; where no other has taken it, the agent's page asks for one. */
  private lost(status: RelayStatus, before: RelayStatus | null): void {
    const moves = status.reason === 'RelayStopping' && (before !== null || this.state.memory.on);
    this.set({ moving: moves, liveBy: null });
    if (moves && this.state.role === 'agent' && this.state.task.phase === 'accepted') this.set({ restartAt: this.now + MOVE_MS });
  }

  private woke(): void {
    const { now } = this;
    this.set({ list: suggestions.draftsExpired(this.state.list, now) });
    const { request, linkDownAt, liveBy, doubtAt, restartAt } = this.state;
    if (linkDownAt !== null && now >= linkDownAt) this.set({ linkDownAt: null, linkDown: true });
    if (request && request.again !== null && now >= request.again) this.ask(request.action, request.byHold, request.attempt + 1);
    if (liveBy !== null && now >= liveBy) this.notLive();
    if (doubtAt !== null && now >= doubtAt) {
      this.set({ doubtAt: null });
      if (suggestions.isDoubtful(this.state.list, now, 0)) this.effects.push({ kind: 'readMapAgain' });
    }
    if (restartAt !== null && now >= restartAt) {
      this.set({ restartAt: null });
      if (this.state.relay?.state === 'lost') this.start();
    }
  }

  /** The relay did not say in time that it listens; or it did, and this page could not hear it. */
  private notLive(): void {
    const code = this.state.list.listed && !this.state.linkDown ? 'streamLost' : 'syncUnreachable';
    this.set({ liveBy: null, moving: false, stage: { at: 'failed', failure: { code, action: 'retry' } } });
  }

  private doubt(): void {
    const { state } = this;
    const doubtful = state.objects !== null && suggestions.isDoubtful(state.list, this.now, 0);
    if (doubtful && state.doubtAt === null && !this.effects.some(({ kind }) => kind === 'readMapAgain')) this.set({ doubtAt: this.now + DOUBT_MS });
    if (!doubtful && state.doubtAt !== null) this.set({ doubtAt: null });
  }

  // hands

  private verdict(id: string, verdict: Verdict): void {
    const { state } = this;
    const { target } = state.configuration;
    const suggestion = suggestions.finishedById(state.list, id);
    if (!suggestion || !permittedOf(state).feedback || 'unconfigured' in target) return;
    this.set({ feedback: new Map(state.feedback).set(id, { given: verdict, sending: 'sending' }) });
    this.effects.push({ kind: 'feedback', url: target.url, callSid: state.callSid, id, revision: suggestion.revision, verdict });
  }

  private verdictDone(id: string, ok: boolean): void {
    const before = this.state.feedback.get(id);
    if (before) this.set({ feedback: new Map(this.state.feedback).set(id, { ...before, sending: ok ? 'sent' : 'failed' }) });
  }

  private use(id: string, how: 'copy' | 'insert', edited: string | undefined): void {
    const suggestion = suggestions.finishedById(this.state.list, id);
    const text = edited ?? suggestion?.answer ?? this.state.list.drafts.get(id)?.answer;
    if (text === undefined) return;
    this.effects.push({ kind: 'use', id, how, text });
    if (edited !== undefined && edited !== suggestion?.answer) this.verdict(id, { verdict: 'editedAndUsed' });
  }

  // the rest

  private announceNew(): void {
    const { state } = this;
    const ids = suggestions.finishedIds(state.list).filter((id) => !state.announced.has(id));
    if (!ids.length) return;
    const newest = ids[0] === undefined ? undefined : suggestions.finishedById(state.list, ids[0]);
    this.set({ announced: new Set([...state.announced, ...ids]) });
    if (newest && !state.memory.dismissed.includes(newest.id)) {
      this.set(announce(this.state, { kind: 'suggestion', question: newest.question, answer: newest.answer }));
    }
  }

  private remember(part: Partial<Memory>): void {
    const memory = { ...this.state.memory, ...part };
    const changed = (Object.keys(part) as (keyof Memory)[]).some((name) => memory[name] !== this.state.memory[name]);
    if (changed) this.set({ memory });
  }

  private set(part: Partial<CallState>): void {
    this.state = { ...this.state, ...part };
  }
}

/** What the agent may ask for now. */
export function permittedOf(state: CallState): {
  readonly start: boolean;
  readonly stop: boolean;
  readonly pause: boolean;
  readonly resume: boolean;
  readonly retry: boolean;
  readonly feedback: boolean;
} {
  const status = statusOf(state);
  const configured = status.state !== 'notConfigured';
  const mine = state.role === 'agent' && state.stage.at !== 'otherAgent';
  const live = state.task.phase === 'accepted';
  const free = state.request === null;
  const startable = status.state === 'off' && configured && live && free;
  const relay = state.relay?.state;
  const running = isRunning(state) || (state.stage.at === 'failed' && state.relay !== null && isAlive(state.relay));
  return {
    start: mine && startable,
    stop: mine && running && (free || state.request?.action === 'start') && !state.stopNext,
    pause: mine && running && free && live && (relay === 'live' || relay === 'reconnecting'),
    resume: mine && running && free && live && relay === 'paused',
    retry: free && live && ((status.state === 'failed' && status.failure.action !== 'none') || (state.role === 'supervisor' && startable)),
    feedback: mine && configured,
  };
}

/** Names of a call's objects where an answer does not say them (crds names.py). */
export function objectNames(callSid: string): { readonly map: string; readonly stream: string } {
  return { map: `VA_SUGGESTIONS_${callSid}`, stream: `FLEX_ASSIST_${callSid}` };
}

function isAlive(status: RelayStatus): boolean {
  return status.state !== 'stopped' && status.state !== 'lost' && status.state !== 'failed';
}
