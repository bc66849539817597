/** What follows from one task's state: what is shown of it, whether audio is being sent, and what the agent may ask for (pure). */
import type { CallState } from './call_state';
import { fromStatus } from './failures';
import type { RelayStatus } from './messages';
import type { AssistStatus, ListeningNote, Permitted } from './model';

const NOTES: Readonly<Record<string, ListeningNote>> = { AudioFormat: 'audioFormat', AgentTrackLost: 'agentTrackLost', TurnBlocked: 'turnBlocked' };

/** What is shown of the state. */
export function statusOf(state: CallState): AssistStatus {
  const { target } = state.configuration;
  if ('unconfigured' in target) return { state: 'notConfigured', why: target.unconfigured, ...(target.queue ? { queue: target.queue } : {}) };
  const { stage } = state;
  switch (stage.at) {
    case 'off':
      return { state: 'off', why: stage.why };
    case 'looking':
      return state.persisted.on ? { state: 'reconnecting', what: 'sync' } : { state: 'off', why: 'notStarted' };
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
  if (state.disconnected && !over && state.list.listed) return { state: 'reconnecting', what: 'sync' };
  if (relay === null) {
    if (state.list.heard.size || state.list.drafts.size) return { state: 'listening' };
    return state.moving ? { state: 'moved', to: 'server' } : { state: 'starting' };
  }
  switch (relay.state) {
    case 'starting':
      return state.moving ? { state: 'moved', to: 'server' } : { state: 'starting' };
    case 'live':
      return listening(relay);
    case 'paused':
      return isSpent(relay) ? { state: 'paused', byHold: false, spent: true } : { state: 'paused', byHold: state.pausedByHold };
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

function listening(relay: RelayStatus): AssistStatus {
  const note = NOTES[relay.reason];
  if (!note) return { state: 'listening' };
  return { state: 'listening', note, ...(relay.message ? { detail: relay.message } : {}) };
}

/** The budget is spent: nobody in the call can change that. */
function isSpent(relay: RelayStatus): boolean {
  return relay.state === 'paused' && relay.reason === 'BudgetSpent';
}

/** The relay of the call's audio is at work, or about to be. */
export function isRunning(state: CallState): boolean {
  if (state.stage.at === 'asking') return true;
  if (state.stage.at !== 'following') return false;
  return state.relay === null || !['stopped', 'lost', 'failed'].includes(state.relay.state);
}

/** What the agent may ask for now. */
export function permittedOf(state: CallState): Permitted {
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
    resume: mine && running && free && live && relay === 'paused' && !(state.relay && isSpent(state.relay)),
    retry: free && live && ((status.state === 'failed' && status.failure.action !== 'none') || (state.role === 'supervisor' && startable)),
    feedback: mine && configured,
  };
}

export function isAlive(status: RelayStatus): boolean {
  return status.state !== 'stopped' && status.state !== 'lost' && status.state !== 'failed';
}
