/** Which of the call's Sync objects this page follows: looked for, opened, and left to another agent (pure). */
import type { CallState } from './call_state';
import * as suggestions from './suggestions';
import type { Turn } from './turn';

/** Names of a call's objects where an answer does not say them (crds names.py). */
export function objectNames(callSid: string): { readonly map: string; readonly stream: string } {
  return { map: `VA_SUGGESTIONS_${callSid}`, stream: `FLEX_ASSIST_${callSid}` };
}

/** `again`: another tab has started it, its objects may come in moments. */
export function look(turn: Turn, again = false): void {
  const { target } = turn.state.configuration;
  const { callSid } = turn.state.task;
  if ('unconfigured' in target || !callSid) return;
  turn.set({ stage: { at: 'looking' }, callSid });
  follow(turn, { map: objectNames(callSid).map, stream: '', named: true }, again);
}

export function follow(turn: Turn, objects: NonNullable<CallState['objects']>, patient: boolean): void {
  const { target } = turn.state.configuration;
  if ('unconfigured' in target) return;
  turn.set({ objects });
  turn.effects.push({ kind: 'follow', url: target.url, callSid: turn.state.callSid, map: objects.map, stream: objects.stream, patient });
}

export function leave(turn: Turn): void {
  if (turn.state.objects) turn.effects.push({ kind: 'unfollow' });
  turn.set({ stage: { at: 'otherAgent' }, objects: null, moving: false, liveBy: null, restartAt: null, claimAt: null, list: suggestions.draftsEnded(turn.state.list) });
  turn.persist({ on: false });
}

