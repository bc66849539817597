/** Made-up calls: what a relay wrote to the Map and said on the Stream, as wire data. */
import fc from 'fast-check';

export interface Written {
  readonly id: string;
  /** Null: a draft that was withdrawn. */
  readonly seq: number | null;
  readonly question: string;
  readonly answer: string;
}

export interface History {
  readonly written: readonly Written[];
  /** Everything that was said on the Stream, in the order in which it was said. */
  readonly said: readonly Record<string, unknown>[];
  /** The Map's items at the end, by key. */
  readonly items: readonly (readonly [string, Record<string, unknown>])[];
}

export const keyOf = (seq: number): string => String(seq).padStart(6, '0');

export const mapData = ({ id, seq, question, answer }: Written): Record<string, unknown> => ({
  type: 'suggestion',
  id,
  revision: 'r1',
  seq,
  question,
  answer,
  at: 1_700_000_000_000 + (seq ?? 0) * 10_000,
  truncated: false,
});

/** A call with withdrawn drafts and numbers that were left out (as a takeover of the call leaves them out). */
export const history = (): fc.Arbitrary<History> =>
  fc
    .array(
      fc.record({ finished: fc.boolean(), gap: fc.integer({ min: 0, max: 1 }), answer: fc.string({ maxLength: 12 }), parts: fc.integer({ min: 0, max: 4 }) }),
      { maxLength: 8 },
    )
    .map((turns) => {
      const written: Written[] = [];
      const said: Record<string, unknown>[] = [];
      let seq = 0;
      turns.forEach(({ finished, gap, answer, parts }, index) => {
        const id = `g1-item_${index}`;
        if (finished) seq += 1 + gap;
        const one: Written = { id, seq: finished ? seq : null, question: `question ${index}`, answer: `${answer}!` };
        written.push(one);
        for (let part = 1; part <= parts; part += 1) {
          said.push({ type: 'draft', id, revision: 'r1', part, answer: draftText(one, part) });
        }
        said.push(finished ? { ...mapData(one), transcript: JSON.stringify({ question: one.question, answer: one.answer }) } : { type: 'withdrawn', id, revision: 'r1', reason: 'NotRelevant' });
      });
      const items = written.flatMap((one) => (one.seq === null ? [] : [[keyOf(one.seq), mapData(one)] as const]));
      return { written, said, items };
    });

export const draftText = ({ answer }: Written, part: number): string => `${part}:${answer.slice(0, part)}`;

/** The messages as a Stream may deliver them: in any order, some twice, some never. */
export const delivered = (said: readonly Record<string, unknown>[]): fc.Arbitrary<readonly Record<string, unknown>[]> =>
  said.length ? fc.array(fc.constantFrom(...said), { maxLength: said.length * 2 }) : fc.constant([]);
