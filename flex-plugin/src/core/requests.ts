/** What is asked of the functions, one request at a time, and what their answers mean; repeated where waiting may help (pure). */
import { announce } from './announcing';
import type { Action, Request, StreamAnswer } from './call_state';
import { isPassing } from './failures';
import { follow, leave, objectNames } from './following';
import type { Alert, Failure } from './model';
import { isAlive, isRunning } from './status';
import * as suggestions from './suggestions';
import type { Turn } from './turn';

/** Asked at most so often by itself, where asking again may help. */
const ATTEMPTS = 4;
const RETRY_MS = 1000;
const MAX_RETRY_MS = 10_000;
/** From the answer to a start until the relay must have said that it listens. */
export const START_MS = 45_000;
/** How often an agent who reads along asks whether the other agent has left the call to her. */
const CLAIM_MS = 5000;

export function start(turn: Turn): void {
  const { state } = turn;
  if (state.request || state.task.phase === 'over' || 'unconfigured' in state.configuration.target) return;
  turn.set({ stage: { at: 'asking' }, restartAt: null, alert: null });
  if (state.role === 'agent') turn.persist({ on: true, stopped: false });
  ask(turn, 'start');
}

/** The agent's part of the call is over: so is the assist. */
export function callEnded(turn: Turn): void {
  if (!isRunning(turn.state)) return;
  if (turn.state.request) turn.set({ stopNext: true });
  else ask(turn, 'stop');
}

/** An agent who has joined a call that another holds asks whether it is hers by now; while it is not assisted she waits. */
export function claim(turn: Turn): void {
  const { relay, request, stage, task } = turn.state;
  const waits = stage.at === 'following' && task.phase === 'accepted';
  const asks = waits && !request && (relay === null || isAlive(relay));
  turn.set({ claimAt: waits && !asks ? turn.now + CLAIM_MS : null });
  if (asks) ask(turn, 'start');
}

export function ask(turn: Turn, action: Action, byHold = false, attempt = 1): void {
  const { state } = turn;
  const { target } = state.configuration;
  if ('unconfigured' in target) return;
  const callSid = action === 'start' ? state.task.callSid || state.callSid : state.callSid;
  const id = state.requests + 1;
  const request: Request = { id, action, attempt, byHold, again: callSid ? null : turn.now + RETRY_MS };
  turn.set({ request, requests: id, callSid, ...(action === 'start' ? {} : { alert: null }) });
  if (!callSid) {
    if (attempt >= ATTEMPTS) giveUp(turn, request, { code: 'noCallSid', action: 'retry' });
    return;
  }
  turn.effects.push({ kind: 'ask', request: id, action, url: target.url, callSid, taskSid: state.task.taskSid });
}

export function answered(turn: Turn, id: number, answer: StreamAnswer): void {
  const { request } = turn.state;
  if (!request || request.id !== id) return;
  turn.set({ request: null });
  if (answer.ignored) {
    leave(turn);
  } else if (request.action === 'start') {
    started(turn, answer);
  } else if (request.action === 'stop') {
    stopped(turn);
  } else {
    turn.set({ pausedByHold: request.action === 'pause' && request.byHold });
    turn.persist({ byHold: turn.state.pausedByHold });
    const { relay } = turn.state;
    if (relay && isAlive(relay)) {
      const state = request.action === 'pause' ? 'paused' : 'live';
      turn.set({ relay: { ...relay, state, reason: 'AgentRequest', message: '' }, relayFrom: 'answer' });
      if (state === 'paused') turn.set({ list: suggestions.draftsEnded(turn.state.list) });
    }
  }
  afterAnswer(turn);
}

export function failed(turn: Turn, id: number, failure: Failure, retryAfter: number | null): void {
  const { request, state } = { request: turn.state.request, state: turn.state };
  if (!request || request.id !== id) return;
  const waits = request.action === 'start' && isPassing(failure) && request.attempt < ATTEMPTS && !state.stopNext;
  if (waits) {
    const wait = retryAfter === null ? RETRY_MS * 2 ** (request.attempt - 1) : retryAfter * 1000;
    return turn.set({ request: { ...request, again: turn.now + Math.min(wait, MAX_RETRY_MS) } });
  }
  giveUp(turn, request, failure);
}

function started(turn: Turn, answer: StreamAnswer): void {
  const { state } = turn;
  const generation = answer.generation ?? 0;
  const relay = state.relay && state.relay.generation >= generation && isAlive(state.relay) ? state.relay : null;
  turn.set({
    stage: { at: 'following' },
    leastGeneration: generation,
    stoppedGeneration: Math.min(state.stoppedGeneration, Math.max(0, generation - 1)),
    relay,
    liveBy: relay?.state === 'live' || relay?.state === 'paused' ? null : turn.now + START_MS,
    claimAt: state.role === 'agent' && answer.readsAlong ? turn.now + CLAIM_MS : null,
  });
  const names = objectNames(state.callSid);
  follow(turn, { map: answer.map || names.map, stream: answer.stream || names.stream, named: answer.named }, true);
  if (state.role === 'agent') turn.effects.push({ kind: 'broadcastStart', callSid: state.callSid });
}

function stopped(turn: Turn): void {
  const { relay } = turn.state;
  turn.persist({ on: false, byHold: false });
  turn.set({
    moving: false,
    restartAt: null,
    liveBy: null,
    pausedByHold: false,
    list: suggestions.draftsEnded(turn.state.list),
    stoppedGeneration: Math.max(relay?.generation ?? 0, turn.state.leastGeneration),
  });
  if (relay) turn.set({ relay: { ...relay, state: 'stopped', reason: 'AgentRequest', message: '' }, relayFrom: 'answer' });
  else turn.set({ stage: { at: 'off', why: turn.state.task.phase === 'accepted' ? 'stopped' : 'callEnded' } });
}

function giveUp(turn: Turn, request: Request, failure: Failure): void {
  turn.set({ request: null });
  const { state } = turn;
  if (request.action === 'start') {
    if (state.role === 'supervisor' && failure.code === 'notRunning') turn.set({ stage: { at: 'off', why: 'notStarted' } });
    else turn.set({ stage: { at: 'failed', failure }, moving: false });
  } else if (failure.code === 'otherAgent') {
    leave(turn);
  } else if (failure.code === 'callEnded' && request.action !== 'pause') {
    stopped(turn);
  } else {
    const audioStillSent = request.action !== 'resume';
    const alert: Alert = { command: request.action, audioStillSent, failure };
    turn.set({ alert, holdGivenUp: request.byHold || state.holdGivenUp, pausedByHold: request.action === 'pause' ? false : state.pausedByHold && !request.byHold });
    turn.set(announce(turn.state, { kind: 'alert', alert }));
  }
  afterAnswer(turn);
}

function afterAnswer(turn: Turn): void {
  if (!turn.state.stopNext || turn.state.request) return;
  turn.set({ stopNext: false });
  if (isRunning(turn.state)) ask(turn, 'stop');
}

