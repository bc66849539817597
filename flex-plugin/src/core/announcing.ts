/** What a screen reader says: each new answer once, and changes of state that matter; nothing while an answer grows (pure). */
import type { CallState } from './call_state';
import type { Announcement, AssistStatus, ListeningNote } from './model';
import { finishedById, finishedIds } from './suggestions';

type Said = Announcement extends infer A ? (A extends { key: string } ? Omit<A, 'key'> : never) : never;

const QUIET: ReadonlySet<AssistStatus['state']> = new Set(['starting', 'notConfigured']);

export function announce(state: CallState, said: Said): Pick<CallState, 'announcement' | 'announcements'> {
  const announcements = state.announcements + 1;
  return { announcements, announcement: { ...said, key: String(announcements) } as Announcement };
}

/** The newest of the answers that were not announced yet; the others with it count as announced. Null: there is none. */
export function announceNew(state: CallState): Partial<CallState> | null {
  const ids = finishedIds(state.list).filter((id) => !state.announced.has(id));
  if (!ids.length) return null;
  const newest = ids[0] === undefined ? undefined : finishedById(state.list, ids[0]);
  const announced = new Set([...state.announced, ...ids]);
  if (!newest || state.persisted.dismissed.includes(newest.id)) return { announced };
  return { announced, ...announce(state, { kind: 'suggestion', question: newest.question, answer: newest.answer }) };
}

/** What a list had when it was read for the first time is not new. */
export function noteListed(state: CallState): Pick<CallState, 'announced'> {
  return { announced: new Set([...state.announced, ...finishedIds(state.list)]) };
}

export function announceStatus(state: CallState, before: AssistStatus, after: AssistStatus): Partial<CallState> {
  if (QUIET.has(after.state) || (before.state === after.state && (!noteOf(after) || noteOf(after) === noteOf(before)))) return {};
  if (after.state === 'off' && before.state !== 'listening' && before.state !== 'paused' && before.state !== 'reconnecting') return {};
  return announce(state, { kind: 'status', status: after });
}

function noteOf(status: AssistStatus): ListeningNote | 'budgetSpent' | undefined {
  if (status.state === 'paused') return status.spent && 'budgetSpent';
  return status.state === 'listening' ? status.note : undefined;
}
