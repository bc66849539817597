/** From a call's state to what components render. What has not changed stays the same object, so that it is not rendered again. */
import { permittedOf, statusOf } from './status';
import type { CallState } from './call_state';
import type { CallView, FeedbackState, SuggestionView } from './model';
import { shown } from './suggestions';
import type { Shown } from './suggestions';

const NO_FEEDBACK: FeedbackState = { given: null, sending: 'no' };

export function viewOf(state: CallState, before: CallView | null): CallView {
  const known = new Map(before?.suggestions.map((one) => [one.id, one]));
  const dismissed = new Set(state.persisted.dismissed);
  const all = shown(state.list).map((one) => card(one, state));
  const suggestions = all.filter(({ id }) => !dismissed.has(id)).map((one) => keep(known.get(one.id), one));
  const action = state.request?.action ?? null;
  const view: CallView = {
    taskSid: state.task.taskSid,
    callSid: state.callSid,
    readOnly: state.role === 'supervisor',
    status: keepDeep(before?.status, statusOf(state)),
    busy: action,
    alert: state.alert,
    suggestions: sameItems(before?.suggestions, suggestions),
    dismissed: all.length - suggestions.length,
    listed: state.list.listed,
    transcript: state.transcript.lines,
    tab: state.persisted.tab,
    permitted: keep(before?.permitted, permittedOf(state)),
    announcement: state.announcement,
  };
  return before && shallowEqual(before, view) ? before : view;
}

function card(one: Shown, state: CallState): SuggestionView {
  if (one.kind === 'draft') {
    const { id, revision, answer, early } = one.draft;
    const blank = { seq: null, question: '', at: null, truncated: false, ...(early ? { early } : {}) } as const;
    return { id, revision, answer, ...blank, draft: true, faded: false, feedback: NO_FEEDBACK, used: state.used.get(id) ?? 'no' };
  }
  const { latencyMs: _, ...suggestion } = one.suggestion;
  const feedback = state.feedback.get(suggestion.id) ?? NO_FEEDBACK;
  return { ...suggestion, draft: false, faded: one.faded, feedback, used: state.used.get(suggestion.id) ?? 'no' };
}

function keep<T extends object>(before: T | undefined, after: T): T {
  return before && shallowEqual(before, after) ? before : after;
}

function keepDeep<T extends object>(before: T | undefined, after: T): T {
  return before && JSON.stringify(before) === JSON.stringify(after) ? before : after;
}

function sameItems<T>(before: readonly T[] | undefined, after: readonly T[]): readonly T[] {
  return before && before.length === after.length && after.every((item, index) => item === before[index]) ? before : after;
}

function shallowEqual<T extends object>(a: T, b: T): boolean {
  const names = Object.keys(a) as (keyof T)[];
  return names.length === Object.keys(b).length && names.every((name) => a[name] === b[name]);
}
