/**
 * One task's assist, decided: from Flex's events, the agent's commands, the functions' answers and what Sync says, to a state and to
 * what is to be done (pure). Time is an argument, epoch milliseconds of this page; `wakeAt` says when to send `woke`.
 */
import { command, use, verdict, verdictDone } from './agent';
import { announce, announceNew, announceStatus } from './announcing';
import { initialState } from './call_state';
import type { CallEvent, CallState, Met, PersistedState, Role, Step } from './call_state';
import type { Configuration } from './configuration';
import { fromRefusal } from './failures';
import { leave, look } from './following';
import { notLive } from './relay_status';
import { answered, ask, callEnded, claim, failed, start } from './requests';
import { isAlive, isRunning, statusOf } from './status';
import * as suggestions from './suggestions';
import { connectionChanged, doubt, mapFailed, mapItem, mapListed, streamMessage } from './sync_events';
import type { TaskFacts } from './task';
import { Turn } from './turn';

export function begin(role: Role, task: TaskFacts, configuration: Configuration, persisted: PersistedState, met: Met, now: number): Step {
  const state = initialState(role, task, configuration, persisted);
  const turn = new Turn(state, now);
  if (role === 'supervisor') start(turn);
  else if (met === 'found') look(turn);
  else if (configuration.settings.autoStart && !persisted.stopped) start(turn);
  return end(turn, state);
}

export function step(before: CallState, event: CallEvent, now: number): Step {
  const turn = new Turn(before, now);
  take(turn, event);
  return end(turn, before);
}

/** When `woke` is due; null: not at all. */
export function wakeAt(state: CallState): number | null {
  const times = [state.request?.again ?? null, state.liveBy, state.doubtAt, state.restartAt, state.claimAt, state.disconnectedAt];
  for (const draft of state.list.drafts.values()) times.push(draft.grown + suggestions.DRAFT_LIFE_MS);
  const due = times.filter((time): time is number => time !== null);
  return due.length ? Math.min(...due) : null;
}

function take(turn: Turn, event: CallEvent): void {
  switch (event.type) {
    case 'task':
      return taskChanged(turn, event.task, event.configuration);
    case 'hold':
      return turn.set({ onHold: event.onHold, holdGivenUp: false });
    case 'command':
      return command(turn, event.command);
    case 'switchTab':
      return turn.persist({ tab: event.tab });
    case 'dismiss':
      return turn.persist({ dismissed: [...new Set([...turn.state.persisted.dismissed, event.id])].slice(-500) });
    case 'verdict':
      return verdict(turn, event.id, event.verdict);
    case 'verdictDone':
      return verdictDone(turn, event.id, event.ended);
    case 'use':
      return use(turn, event.id, event.how, event.text);
    case 'used':
      turn.set({ used: new Map(turn.state.used).set(event.id, event.used) });
      return turn.set(announce(turn.state, { kind: 'used', used: event.used }));
    case 'answered':
      return answered(turn, event.request, event.answer);
    case 'refused':
      return failed(turn, event.request, fromRefusal(event.refusal), event.refusal.retryAfter);
    case 'unanswered':
      return failed(turn, event.request, event.failure, null);
    case 'otherTabStarted':
      if (!isRunning(turn.state) && turn.state.stage.at !== 'looking') look(turn, true);
      return;
    case 'connection':
      return connectionChanged(turn, event.up);
    case 'connectionFailed':
      if (turn.state.objects) turn.set({ stage: { at: 'failed', failure: event.failure } });
      return;
    case 'mapOpening':
      return turn.set({ list: suggestions.epochBegins(turn.state.list) });
    case 'mapListed':
      return mapListed(turn, event.items);
    case 'mapItem':
      return mapItem(turn, event.key, event.data);
    case 'mapItemRemoved':
      return turn.set({ list: suggestions.itemRemoved(turn.state.list, event.key) });
    case 'mapFailed':
      return mapFailed(turn, event.missing, event.failure);
    case 'streamMessage':
      return streamMessage(turn, event.data);
    case 'woke':
      return woke(turn);
  }
}

function taskChanged(turn: Turn, task: TaskFacts, configuration: Configuration): void {
  const before = turn.state;
  turn.set({ task, configuration, ...(before.objects || before.request ? {} : { callSid: task.callSid }) });
  if (task.onHold !== null && task.onHold !== (before.task.onHold === true)) turn.set({ onHold: task.onHold, holdGivenUp: false });
  if (task.phase === 'wrapping' && before.task.phase !== 'wrapping') callEnded(turn);
  if (task.phase === 'over') {
    callEnded(turn);
    if (turn.state.objects) turn.effects.push({ kind: 'unfollow' });
    turn.set({ objects: null, stage: { at: 'off', why: 'callEnded' }, list: suggestions.draftsEnded(turn.state.list) });
    turn.effects.push({ kind: 'removePersisted' });
  }
}

function woke(turn: Turn): void {
  const { now } = turn;
  turn.set({ list: suggestions.draftsExpired(turn.state.list, now) });
  const { request, disconnectedAt, liveBy, doubtAt, restartAt, claimAt } = turn.state;
  if (disconnectedAt !== null && now >= disconnectedAt) turn.set({ disconnectedAt: null, disconnected: true });
  if (request && request.again !== null && now >= request.again) ask(turn, request.action, request.byHold, request.attempt + 1);
  if (liveBy !== null && now >= liveBy) notLive(turn);
  if (doubtAt !== null && now >= doubtAt) {
    turn.set({ doubtAt: null });
    if (suggestions.isDoubtful(turn.state.list, now, 0)) turn.effects.push({ kind: 'readMapAgain' });
  }
  if (claimAt !== null && now >= claimAt) claim(turn);
  if (restartAt !== null && now >= restartAt) {
    turn.set({ restartAt: null });
    if (turn.state.relay?.state === 'lost') start(turn);
  }
}

/** Closes the turn: what follows from the whole state, whatever the event was. */
function end(turn: Turn, before: CallState): Step {
  followHold(turn);
  leaveToOthers(turn);
  doubt(turn);
  const said = announceNew(turn.state);
  if (said) turn.set(said);
  if (before !== turn.state || before.announcements === 0) turn.set(announceStatus(turn.state, statusOf(before), statusOf(turn.state)));
  if (before.persisted !== turn.state.persisted) turn.effects.push({ kind: 'persist', persisted: turn.state.persisted });
  return { state: turn.state, effects: turn.effects };
}

/** On hold it is paused, off hold it goes on: whatever became known first. */
function followHold(turn: Turn): void {
  const { state } = turn;
  const { relay } = state;
  if (state.role !== 'agent' || state.request || state.stage.at !== 'following' || relay === null || state.task.phase !== 'accepted') return;
  if (state.onHold && state.configuration.settings.pauseOnHold && !state.holdGivenUp && relay.state === 'live') ask(turn, 'pause', true);
  else if (!state.onHold && state.pausedByHold && relay.state === 'paused') ask(turn, 'resume', true);
}

/** This agent's part of the call is over, and yet it is assisted: for the agent who has it now. What is said there is not ours to read. */
function leaveToOthers(turn: Turn): void {
  const { state } = turn;
  if (state.role !== 'agent' || state.stage.at !== 'following' || state.task.phase !== 'wrapping') return;
  if (state.relay === null || !isAlive(state.relay) || state.request || state.alert) return;
  leave(turn);
}
