/** What comes from Sync: the connection's state, the Map's items, the Stream's messages (pure). */
import { noteListed } from './announcing';
import type { Failure } from './model';
import { readMapItem, readStreamMessage } from './messages';
import type { RelayStatus, Suggestion } from './messages';
import { leave } from './following';
import { takeStatus } from './relay_status';
import { START_MS, callEnded, start } from './requests';
import { isAlive } from './status';
import * as suggestions from './suggestions';
import { said } from './transcript';
import type { Turn } from './turn';

/** A connection that is back within this time is not worth a word. */
const DISCONNECTED_GRACE_MS = 1500;
/** Until the Map is read again because something seems to be missing. */
const DOUBT_MS = 3000;

export function connectionChanged(turn: Turn, up: boolean): void {
  if (up) turn.set({ disconnected: false, disconnectedAt: null });
  else if (!turn.state.disconnected) turn.set({ disconnectedAt: turn.state.disconnectedAt ?? turn.now + DISCONNECTED_GRACE_MS });
}

export function mapListed(turn: Turn, items: readonly (readonly [string, unknown])[]): void {
  const found = new Map<number, Suggestion>();
  let status: RelayStatus | null = null;
  for (const [key, data] of items) {
    const item = readMapItem(key, data);
    if (item?.type === 'suggestion') found.set(item.seq, item.suggestion);
    else if (item?.type === 'status') status = item.status;
  }
  const first = !turn.state.list.listed;
  turn.set({ list: suggestions.listed(turn.state.list, found) });
  if (first) turn.set(noteListed(turn.state));
  if (turn.state.stage.at === 'looking') {
    turn.set({ stage: { at: 'following' }, liveBy: turn.now + START_MS });
    if (!status || isAlive(status)) turn.persist({ on: true });
  }
  if (status) takeStatus(turn, status, 'map');
  if (turn.state.task.phase === 'wrapping' && turn.state.persisted.on && !turn.state.request) callEnded(turn); // the page was reloaded in between
}

export function mapItem(turn: Turn, key: string, data: unknown): void {
  const item = readMapItem(key, data);
  if (item?.type === 'suggestion') turn.set({ list: suggestions.itemSet(turn.state.list, item) });
  else if (item?.type === 'status') takeStatus(turn, item.status, 'map');
}

export function mapFailed(turn: Turn, missing: boolean, failure: Failure): void {
  const { state } = turn;
  if (state.stage.at === 'looking') {
    turn.effects.push({ kind: 'unfollow' });
    turn.set({ objects: null });
    if (!missing && state.persisted.on) return turn.set({ stage: { at: 'failed', failure } });
    turn.set({ stage: { at: 'off', why: 'notStarted' } });
    const again = state.persisted.on || state.configuration.settings.autoStart;
    if (state.role === 'agent' && again && !state.persisted.stopped && state.task.phase === 'accepted') start(turn);
    return;
  }
  // The original's server has no Map: its Stream is all there is.
  if (missing && state.objects?.named === false) return turn.set({ list: suggestions.listed(state.list, new Map()) });
  if (state.stage.at !== 'following') return;
  // After a transfer the call's objects are the next agent's alone.
  if (missing && state.role === 'agent' && state.task.phase !== 'accepted') return leave(turn);
  turn.set({ stage: { at: 'failed', failure } });
}

export function streamMessage(turn: Turn, data: unknown): void {
  const message = readStreamMessage(data);
  const { list } = turn.state;
  switch (message?.type) {
    case 'draft':
      return turn.set({ list: suggestions.drafted(list, message.draft, turn.now) });
    case 'withdrawn':
      return turn.set({ list: suggestions.withdrawn(list, message.id) });
    case 'suggestion':
      if (turn.state.relay === null) turn.set({ liveBy: null });
      return turn.set({ list: suggestions.heard(list, message.suggestion, turn.now) });
    case 'transcript':
      return turn.set({ transcript: said(turn.state.transcript, message.transcript) });
    case 'status':
      return takeStatus(turn, message.status, 'stream');
  }
}

export function doubt(turn: Turn): void {
  const { state } = turn;
  const doubtful = state.objects !== null && suggestions.isDoubtful(state.list, turn.now, 0);
  if (doubtful && state.doubtAt === null && !turn.effects.some(({ kind }) => kind === 'readMapAgain')) turn.set({ doubtAt: turn.now + DOUBT_MS });
  if (!doubtful && state.doubtAt !== null) turn.set({ doubtAt: null });
}

