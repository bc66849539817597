/**
 * The list of a call's suggestions: from what the Map holds and the Stream says, in whatever order it comes, to what is shown.
 *
 * The Map is the truth, by number. The Stream only adds what the Map does not have yet: drafts, and finished suggestions that are
 * a moment early. A Map is read in epochs: opening it begins one, its whole list ends it; until then what was known stays shown.
 */
import type { Draft, MapItem, Suggestion } from './messages';
import { seqOf } from './messages';

/** Ids remembered as finished or withdrawn, so that a late draft does not bring them back. */
const MAX_OVER = 1000;
/** Drafts at a time: the model writes one, so more are leftovers. */
const MAX_DRAFTS = 4;
/** Finished ones that only the Stream has: all of a call in the original's form. */
const MAX_HEARD = 500;

/** A draft that has not grown for so long will not be finished: its end was lost. */
export const DRAFT_LIFE_MS = 20_000;
/** Its topic has passed so long after the next suggestion was finished… */
const FADE_AFTER_MS = 30_000;
/** … or when so many newer ones are there. */
const FADE_AFTER_NEWER = 2;

export interface OpenDraft extends Draft {
  /** When it grew last, epoch milliseconds of this page. */
  readonly grown: number;
  /** Order of appearance. */
  readonly order: number;
}

interface Heard {
  readonly suggestion: Suggestion;
  readonly order: number;
  readonly since: number;
}

export interface SuggestionList {
  readonly stored: ReadonlyMap<number, Suggestion>;
  /** While an epoch is read: what it brought so far, null = taken away. */
  readonly fresh: ReadonlyMap<number, Suggestion | null> | null;
  /** Whether one epoch was read to its end. */
  readonly listed: boolean;
  /** Missing numbers up to this one were looked for in a whole list: they do not exist. */
  readonly verifiedUpTo: number;
  readonly heard: ReadonlyMap<string, Heard>;
  /** Ids of `heard` that the Map was searched for, without success. */
  readonly searched: ReadonlySet<string>;
  readonly drafts: ReadonlyMap<string, OpenDraft>;
  readonly over: ReadonlySet<string>;
  readonly counter: number;
}

export const EMPTY: SuggestionList = {
  stored: new Map(),
  fresh: null,
  listed: false,
  verifiedUpTo: 0,
  heard: new Map(),
  searched: new Set(),
  drafts: new Map(),
  over: new Set(),
  counter: 0,
};

/** The Map is opened (again): its list will follow. */
export function epochBegins(list: SuggestionList): SuggestionList {
  return { ...list, fresh: new Map() };
}

/** The Map's whole list: what is not in it, and did not come meanwhile, is not there any more. */
export function listed(list: SuggestionList, items: ReadonlyMap<number, Suggestion>): SuggestionList {
  const stored = new Map(items);
  for (const [seq, suggestion] of list.fresh ?? []) {
    if (suggestion === null) stored.delete(seq);
    else if (!stored.has(seq)) stored.set(seq, suggestion);
  }
  const over = [...stored.values()].reduce((ids, { id }) => remember(ids, id), list.over);
  const kept = settled({ ...list, over, stored, fresh: null, listed: true, verifiedUpTo: Math.max(list.verifiedUpTo, 0, ...items.keys()) });
  return { ...kept, searched: new Set(kept.heard.keys()) };
}

/** An item of the Map was added or changed. */
export function itemSet(list: SuggestionList, item: Extract<MapItem, { type: 'suggestion' }>): SuggestionList {
  const stored = new Map(list.stored).set(item.seq, item.suggestion);
  const fresh = list.fresh && new Map(list.fresh).set(item.seq, item.suggestion);
  return settled({ ...list, stored, fresh, over: remember(list.over, item.suggestion.id) });
}

/** An item of the Map is gone. */
export function itemRemoved(list: SuggestionList, key: string): SuggestionList {
  const seq = seqOf(key);
  if (seq === null) return list;
  const stored = new Map(list.stored);
  stored.delete(seq);
  const fresh = list.fresh && new Map(list.fresh).set(seq, null);
  return { ...list, stored, fresh };
}

/** A draft as it is so far; an older part, or one of a suggestion that is over, changes nothing. */
export function drafted(list: SuggestionList, draft: Draft, now: number): SuggestionList {
  const before = list.drafts.get(draft.id);
  if (list.over.has(draft.id) || isKnown(list, draft.id) || (before && before.part >= draft.part)) return list;
  const drafts = new Map(list.drafts);
  drafts.set(draft.id, { ...draft, grown: now, order: before?.order ?? list.counter });
  const leftovers = [...drafts.keys()].slice(0, Math.max(0, drafts.size - MAX_DRAFTS));
  for (const id of leftovers) drafts.delete(id);
  return { ...list, drafts, over: leftovers.reduce(remember, list.over), counter: list.counter + 1 };
}

/** A draft will not be finished. */
export function withdrawn(list: SuggestionList, id: string): SuggestionList {
  if (list.over.has(id)) return list;
  const drafts = new Map(list.drafts);
  drafts.delete(id);
  return { ...list, drafts, over: remember(list.over, id) };
}

/** The Stream says that a suggestion is finished; the Map, if there is one, has the last word. */
export function heard(list: SuggestionList, suggestion: Suggestion, now: number): SuggestionList {
  const { id } = suggestion;
  if (isKnown(list, id)) return withdrawn(list, id);
  const all = new Map(list.heard).set(id, { suggestion, order: list.counter, since: now });
  for (const oldest of [...all.keys()].slice(0, Math.max(0, all.size - MAX_HEARD))) all.delete(oldest);
  return settled(withdrawn({ ...list, heard: all, counter: list.counter + 1 }, id));
}

/** Takes away drafts whose end was lost. Returns the same list if there are none. */
export function draftsExpired(list: SuggestionList, now: number): SuggestionList {
  const drafts = new Map([...list.drafts].filter(([, draft]) => now - draft.grown < DRAFT_LIFE_MS));
  return drafts.size === list.drafts.size ? list : { ...list, drafts };
}

/** Takes all drafts away: nothing is written any more. */
export function draftsEnded(list: SuggestionList): SuggestionList {
  return list.drafts.size ? { ...list, drafts: new Map() } : list;
}

/** Whether the Map may have more than it told: a number is missing, or the Stream told of one that did not come. */
export function isDoubtful(list: SuggestionList, now: number, patienceMs: number): boolean {
  if (!list.listed || list.fresh !== null) return false;
  const highest = Math.max(0, ...list.stored.keys());
  for (let seq = list.verifiedUpTo + 1; seq < highest; seq += 1) if (!list.stored.has(seq)) return true;
  for (const [id, { suggestion, since }] of list.heard) {
    if (suggestion.seq !== null && !list.searched.has(id) && now - since >= patienceMs) return true;
  }
  return false;
}

/** One line of what is shown. */
export type Shown =
  | { readonly kind: 'draft'; readonly draft: OpenDraft; readonly faded: false }
  | { readonly kind: 'finished'; readonly suggestion: Suggestion; readonly faded: boolean };

/** What is shown: drafts, newest first, then the finished ones, newest first; no suggestion twice. */
export function shown(list: SuggestionList): readonly Shown[] {
  const finished = finishedOf(list);
  const drafts = [...list.drafts.values()].sort((a, b) => b.order - a.order);
  return [
    ...drafts.map((draft) => ({ kind: 'draft', draft, faded: false }) as const),
    ...finished.map((suggestion, newer) => ({ kind: 'finished', suggestion, faded: hasPassed(finished, newer) }) as const),
  ];
}

/** Ids of the finished ones that are shown. */
export function finishedIds(list: SuggestionList): readonly string[] {
  return finishedOf(list).map(({ id }) => id);
}

/** The finished suggestion of this id that is shown. */
export function finishedById(list: SuggestionList, id: string): Suggestion | undefined {
  return finishedOf(list).find((suggestion) => suggestion.id === id);
}

function finishedOf(list: SuggestionList): readonly Suggestion[] {
  const stored = [...list.stored].sort(([a], [b]) => a - b);
  const numbered = new Map<string, { seq: number; suggestion: Suggestion }>();
  for (const [seq, suggestion] of stored) if (!numbered.has(suggestion.id)) numbered.set(suggestion.id, { seq, suggestion });
  const unnumbered: Heard[] = [];
  for (const one of list.heard.values()) {
    const { id, seq } = one.suggestion;
    if (seq === null) unnumbered.push(one);
    else if (!list.stored.has(seq)) numbered.set(id, { seq, suggestion: one.suggestion });
  }
  return [
    ...unnumbered.sort((a, b) => b.order - a.order).map(({ suggestion }) => suggestion),
    ...[...numbered.values()].sort((a, b) => b.seq - a.seq).map(({ suggestion }) => suggestion),
  ];
}

/** Decided by what the relay wrote alone, so that a reload shows the same. `finished` is newest first. */
function hasPassed(finished: readonly Suggestion[], newer: number): boolean {
  if (newer >= FADE_AFTER_NEWER) return true;
  const newest = finished[0]?.at ?? null;
  const at = finished[newer]?.at ?? null;
  return newer > 0 && newest !== null && at !== null && newest - at >= FADE_AFTER_MS;
}

function isKnown(list: SuggestionList, id: string): boolean {
  if (list.heard.has(id)) return true;
  for (const suggestion of list.stored.values()) if (suggestion.id === id) return true;
  return false;
}

/** What the Map has needs no draft and no word of the Stream. */
function settled(list: SuggestionList): SuggestionList {
  const ids = new Set([...list.stored.values()].map(({ id }) => id));
  const drafts = without(list.drafts, (id) => ids.has(id));
  const heardOnly = without(list.heard, (id, { suggestion }) => ids.has(id) || (suggestion.seq !== null && list.stored.has(suggestion.seq)));
  return { ...list, drafts, heard: heardOnly };
}

function without<K, V>(map: ReadonlyMap<K, V>, unwanted: (key: K, value: V) => boolean): ReadonlyMap<K, V> {
  const kept = [...map].filter(([key, value]) => !unwanted(key, value));
  return kept.length === map.size ? map : new Map(kept);
}

function remember(over: ReadonlySet<string>, id: string): ReadonlySet<string> {
  if (over.has(id)) return over;
  const all = new Set(over).add(id);
  for (const oldest of [...all].slice(0, Math.max(0, all.size - MAX_OVER))) all.delete(oldest);
  return all;
}
