/** What the relay says of a call, from the Map and the Stream: which word counts, and what follows from it (pure). */
import { follow } from './following';
import { isLater } from './messages';
import type { RelayStatus } from './messages';
import { isAlive } from './status';
import * as suggestions from './suggestions';
import type { Turn } from './turn';

/** Before a call that lost its relay is started again: another relay may be doing it. */
const MOVE_MS = 1500;

export function takeStatus(turn: Turn, status: RelayStatus, from: 'map' | 'stream'): void {
  const { state } = turn;
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
  turn.set({ relay: status, relayFrom: from });
  if (status.state === 'live' || status.state === 'paused' || status.state === 'reconnecting') turn.set({ moving: false, liveBy: null, restartAt: null });
  if (status.state === 'starting' && wasAlive && status.generation > (relay?.generation ?? 0) && !state.request) turn.set({ moving: true });
  if (status.state === 'paused' || status.state === 'stopped' || status.state === 'lost' || status.state === 'failed') {
    turn.set({ list: suggestions.draftsEnded(turn.state.list) });
  }
  if (status.state === 'live' && turn.state.pausedByHold) unpaused(turn);
  if (status.state === 'lost') lost(turn, status, relay);
  if (status.state === 'failed' || status.state === 'stopped') turn.set({ moving: false, liveBy: null, restartAt: null });
  if (status.state === 'stopped') unpaused(turn);
  if (status.stream && state.objects && status.stream !== state.objects.stream) follow(turn, { ...state.objects, stream: status.stream }, true);
  if (isAlive(status) && state.stage.at === 'failed' && state.stage.failure.code !== 'internal' && state.list.listed) turn.set({ stage: { at: 'following' } });
}

/** The relay did not say in time that it listens; or it did, and this page could not hear it. */
export function notLive(turn: Turn): void {
  const code = turn.state.list.listed && !turn.state.disconnected ? 'streamLost' : 'syncUnreachable';
  turn.set({ liveBy: null, moving: false, stage: { at: 'failed', failure: { code, action: 'retry' } } });
}

function unpaused(turn: Turn): void {
  turn.set({ pausedByHold: false });
  turn.persist({ byHold: false });
}

/** A relay that stops gives the call away; where no other has taken it, the agent's page asks for one. */
function lost(turn: Turn, status: RelayStatus, before: RelayStatus | null): void {
  const moves = status.reason === 'RelayStopping' && (before !== null || turn.state.persisted.on);
  turn.set({ moving: moves, liveBy: null });
  if (moves && turn.state.role === 'agent' && turn.state.task.phase === 'accepted') turn.set({ restartAt: turn.now + MOVE_MS });
}
