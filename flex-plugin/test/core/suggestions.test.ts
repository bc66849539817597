import assert from 'node:assert/strict';
import { test } from 'node:test';

import fc from 'fast-check';

import { readMapItem, readStreamMessage } from '../../src/core/messages';
import type { Suggestion } from '../../src/core/messages';
import * as list from '../../src/core/suggestions';
import type { SuggestionList } from '../../src/core/suggestions';
import { delivered, draftText, history, keyOf } from '../support/history';
import type { History } from '../support/history';

type Data = Record<string, unknown>;

type Event =
  | { readonly kind: 'said'; readonly data: Data }
  | { readonly kind: 'item'; readonly key: string; readonly data: Data }
  | { readonly kind: 'opening' }
  | { readonly kind: 'listed'; readonly upTo: number };

const NOW = 1_800_000_000_000;

function apply(state: SuggestionList, event: Event, past: History, now = NOW): SuggestionList {
  switch (event.kind) {
    case 'opening':
      return list.epochBegins(state);
    case 'listed':
      return list.listed(state, itemsOf(past.items.slice(0, event.upTo)));
    case 'item': {
      const item = readMapItem(event.key, event.data);
      return item?.type === 'suggestion' ? list.itemSet(state, item) : state;
    }
    case 'said': {
      const message = readStreamMessage(event.data);
      if (message?.type === 'draft') return list.drafted(state, message.draft, now);
      if (message?.type === 'withdrawn') return list.withdrawn(state, message.id);
      if (message?.type === 'suggestion') return list.heard(state, message.suggestion, now);
      return state;
    }
  }
}

function itemsOf(items: History['items']): Map<number, Suggestion> {
  const found = new Map<number, Suggestion>();
  for (const [key, data] of items) {
    const item = readMapItem(key, data);
    if (item?.type === 'suggestion') found.set(item.seq, item.suggestion);
  }
  return found;
}

const finishedShown = (state: SuggestionList): string[] => list.shown(state).flatMap((one) => (one.kind === 'finished' ? [one.suggestion.id] : []));
const wanted = (past: History): string[] => past.written.filter(({ seq }) => seq !== null).map(({ id }) => id).reverse();

/** A past, the Stream's messages as they came, and the Map's events: some lost, some twice, mixed with openings and lists. */
const lived = fc
  .tuple(history(), fc.array(fc.integer({ min: 0, max: 3 }), { maxLength: 60 }))
  .chain(([past, mixing]) =>
    fc.record({
      past: fc.constant(past),
      mixing: fc.constant(mixing),
      stream: delivered(past.said),
      map: fc.array(
        fc.oneof(
          fc.nat({ max: Math.max(0, past.items.length - 1) }).map((index): Event | null => {
            const item = past.items[index];
            return item ? { kind: 'item', key: item[0], data: item[1] } : null;
          }),
          fc.constant<Event>({ kind: 'opening' }),
          fc.nat({ max: past.items.length }).map((upTo): Event => ({ kind: 'listed', upTo })),
        ),
        { maxLength: 20 },
      ),
    }),
  )
  .map(({ past, mixing, stream, map }) => {
    const said: Event[] = stream.map((data) => ({ kind: 'said', data }));
    const items = map.filter((event): event is Event => event !== null);
    const events: Event[] = [];
    for (const pick of mixing) {
      const next = pick === 0 ? items.shift() : said.shift();
      if (next) events.push(next);
    }
    return { past, events: [...events, ...items, ...said] };
  });

test('whatever was lost, doubled or mixed up: once the Map is read, its list is shown, newest first, none twice', () => {
  fc.assert(
    fc.property(lived, ({ past, events }) => {
      let state = list.EMPTY;
      for (const event of events) state = apply(state, event, past);
      state = apply(apply(state, { kind: 'opening' }, past), { kind: 'listed', upTo: past.items.length }, past);
      assert.deepEqual(finishedShown(state), wanted(past));
      assert.deepEqual(list.shown(list.draftsExpired(state, NOW + list.DRAFT_LIFE_MS)).length, wanted(past).length);
    }),
    { numRuns: 2000 },
  );
});

test('at every moment: no suggestion twice, numbers fall, and nothing is shown that was never written', () => {
  fc.assert(
    fc.property(lived, ({ past, events }) => {
      const answers = new Map(past.written.map(({ id, answer }) => [id, answer]));
      let state = list.EMPTY;
      for (const event of events) {
        state = apply(state, event, past);
        const shown = list.shown(state);
        const ids = shown.map((one) => (one.kind === 'draft' ? one.draft.id : one.suggestion.id));
        assert.equal(new Set(ids).size, ids.length);
        const numbers = shown.flatMap((one) => (one.kind === 'finished' && one.suggestion.seq !== null ? [one.suggestion.seq] : []));
        assert.deepEqual(numbers, [...numbers].sort((a, b) => b - a));
        for (const one of shown) if (one.kind === 'finished') assert.equal(one.suggestion.answer, answers.get(one.suggestion.id));
      }
    }),
    { numRuns: 2000 },
  );
});

test('a draft shows the highest part that came, and never comes back after its end', () => {
  fc.assert(
    fc.property(lived, ({ past, events }) => {
      let state = list.EMPTY;
      const parts = new Map<string, number>();
      const ended = new Set<string>();
      for (const event of events) {
        state = apply(state, event, past);
        if (event.kind === 'item') ended.add(String(event.data.id));
        if (event.kind === 'listed') for (const [, data] of past.items.slice(0, event.upTo)) ended.add(String(data.id));
        if (event.kind === 'said') {
          const id = String(event.data.id);
          if (event.data.type === 'draft') parts.set(id, Math.max(parts.get(id) ?? 0, Number(event.data.part)));
          else ended.add(id);
        }
        const drafts = list.shown(state).flatMap((one) => (one.kind === 'draft' ? [one.draft] : []));
        for (const draft of drafts) {
          const written = past.written.find(({ id }) => id === draft.id);
          assert.ok(written && !ended.has(draft.id), 'a draft that is over');
          assert.equal(draft.answer, draftText(written, parts.get(draft.id) ?? 0));
        }
      }
    }),
    { numRuns: 2000 },
  );
});

test('a reload shows the same finished suggestions, as faded as before', () => {
  fc.assert(
    fc.property(lived, ({ past, events }) => {
      let state = list.EMPTY;
      for (const event of [...events, { kind: 'opening' } as const, { kind: 'listed', upTo: past.items.length } as const]) state = apply(state, event, past);
      const fresh = apply(apply(list.EMPTY, { kind: 'opening' }, past), { kind: 'listed', upTo: past.items.length }, past);
      const finished = (one: SuggestionList): unknown => list.shown(one).filter(({ kind }) => kind === 'finished');
      assert.deepEqual(finished(state), finished(fresh));
    }),
  );
});

test('a missing number raises a doubt until a list has settled it', () => {
  fc.assert(
    fc.property(history(), fc.nat(7), (past, lost) => {
      let state = apply(apply(list.EMPTY, { kind: 'opening' }, past), { kind: 'listed', upTo: 0 }, past);
      assert.equal(list.isDoubtful(state, NOW, 0), false);
      const came = past.items.filter((_, index) => index !== lost);
      for (const [key, data] of came) state = apply(state, { kind: 'item', key, data }, past);
      const highest = Math.max(0, ...came.map(([key]) => Number(key)));
      assert.equal(list.isDoubtful(state, NOW, 0), came.length !== highest);
      state = apply(apply(state, { kind: 'opening' }, past), { kind: 'listed', upTo: past.items.length }, past);
      assert.equal(list.isDoubtful(state, NOW, 0), false);
    }),
  );
});

test('the Stream told of a suggestion that the Map does not bring: a doubt after a moment, once', () => {
  const data = { type: 'suggestion', id: 'g1-a', revision: 'r', seq: 1, question: '', answer: 'Yes.', at: 5 };
  const past: History = { written: [], said: [], items: [] };
  let state = apply(apply(list.EMPTY, { kind: 'opening' }, past), { kind: 'listed', upTo: 0 }, past);
  state = apply(state, { kind: 'said', data }, past);
  assert.deepEqual(finishedShown(state), ['g1-a']);
  assert.equal(list.isDoubtful(state, NOW + 2999, 3000), false);
  assert.equal(list.isDoubtful(state, NOW + 3000, 3000), true);
  state = apply(apply(state, { kind: 'opening' }, past), { kind: 'listed', upTo: 0 }, past);
  assert.equal(list.isDoubtful(state, NOW + 9000, 3000), false);
  assert.deepEqual(finishedShown(state), ['g1-a'], 'it is still shown');
});

test('the Map overrules the Stream: the same number with another id', () => {
  const past: History = { written: [], said: [], items: [] };
  const said = { type: 'suggestion', id: 'g1-a', revision: 'r', seq: 1, question: '', answer: 'Old.' };
  let state = apply(list.EMPTY, { kind: 'said', data: said }, past);
  state = apply(state, { kind: 'item', key: keyOf(1), data: { ...said, id: 'g2-b', answer: 'New.' } }, past);
  assert.deepEqual(finishedShown(state), ['g2-b']);
  state = apply(state, { kind: 'said', data: said }, past);
  assert.deepEqual(finishedShown(state), ['g2-b']);
});

test('what the Map lost while nobody looked is gone after its list', () => {
  const past: History = { written: [], said: [], items: [] };
  const item = (seq: number): Event => ({ kind: 'item', key: keyOf(seq), data: { id: `g1-${seq}`, revision: 'r', seq, question: '', answer: 'x' } });
  let state = [item(1), item(2)].reduce((before, event) => apply(before, event, past), list.listed(list.EMPTY, new Map()));
  state = apply(state, { kind: 'opening' }, past);
  assert.deepEqual(finishedShown(state), ['g1-2', 'g1-1'], 'shown until the list is there');
  state = apply(state, item(3), past);
  state = list.itemRemoved(state, keyOf(2));
  state = list.listed(state, itemsOf([[keyOf(2), { id: 'g1-2', revision: 'r', seq: 2, question: '', answer: 'x' }]]));
  assert.deepEqual(finishedShown(state), ['g1-3'], 'what came and went while the list was read counts');
});

test('`transcript` messages alone, the original form, are enough, and each is shown once', () => {
  const past: History = { written: [], said: [], items: [] };
  const pairs = fc.uniqueArray(fc.tuple(fc.string(), fc.string({ minLength: 1 }).filter((text) => text.trim() !== '')), { maxLength: 10, selector: (pair) => pair.join('\n') });
  fc.assert(
    fc.property(pairs, fc.boolean(), (said, twice) => {
      let state = list.EMPTY;
      for (const [question, answer] of said) {
        const data = { transcript: JSON.stringify({ question, answer }) };
        for (let i = 0; i < (twice ? 2 : 1); i += 1) state = apply(state, { kind: 'said', data }, past);
      }
      const shown = list.shown(state).map((one) => (one.kind === 'finished' ? [one.suggestion.question, one.suggestion.answer] : null));
      assert.deepEqual(shown, [...said].reverse());
    }),
  );
});
