import assert from 'node:assert/strict';
import { beforeEach, test } from 'node:test';

import type { AssistCall } from '../../src/assist/call';
import { DEFAULTS } from '../../src/core/configuration';
import type { Target } from '../../src/core/configuration';
import type { CallView } from '../../src/core/model';
import { PaintReporter } from '../../src/flex/painting';
import type { FunctionsClient, Painted, Rated } from '../../src/functions/client';
import { soon, until } from '../support/sync';

const page = { visibilityState: 'visible' };
let frame: (() => void)[] = [];
Object.assign(globalThis, { document: page, requestAnimationFrame: (job: () => void) => frame.push(job) });
const nextFrame = (): void => frame.splice(0).forEach((job) => job());

beforeEach(() => {
  page.visibilityState = 'visible';
  frame = [];
});

const view = (ids: readonly string[], more: Partial<CallView> = {}): CallView =>
  ({ callSid: 'CA1', listed: true, readOnly: false, suggestions: ids.map((id) => ({ id, revision: 'r1', draft: id.startsWith('draft') })), ...more }) as unknown as CallView;

function rig(chance = 0, roundTripMs = 0) {
  const sent: (Painted & { readonly id: string })[] = [];
  const functions = {
    painted: async (_url: string, _call: string, about: Rated, painted: Painted) => {
      sent.push({ id: about.id, ...painted });
      await soon(roundTripMs);
      return { kind: 'ok', value: true };
    },
  } as unknown as FunctionsClient;
  const target: Target = { url: 'https://assist.example' };
  const call = { configuration: { target, settings: DEFAULTS }, timing: (id: string) => (id === 'unnumbered' ? null : { at: 5, latencyMs: 700 }) } as unknown as AssistCall;
  const reporter = new PaintReporter(functions, () => chance);
  return { reporter, call, sent, ids: () => sent.map(({ id }) => id) };
}

test('a finished suggestion is reported once, after the frame that shows it', async () => {
  const { reporter, call, sent, ids } = rig();
  reporter.rendered(call, view(['old']));
  reporter.rendered(call, view(['new', 'old']));
  reporter.rendered(call, view(['new', 'old']));
  await soon();
  assert.deepEqual(ids(), [], 'not before its frame');
  nextFrame();
  await until(() => sent.length > 0);
  await soon();
  assert.deepEqual(ids(), ['new']);
  assert.deepEqual([sent[0]?.at, sent[0]?.latencyMs], [5, 700]);
  assert.ok((sent[0]?.agoMs ?? -1) >= 0 && (sent[0]?.agoMs ?? 9999) < 1000);
});

test('not reported: what was there when the panel was filled, drafts, what nobody sees, what has no time, what others judge', async () => {
  const { reporter, call, ids } = rig();
  reporter.rendered(call, view(['early'], { listed: false }));
  reporter.rendered(call, view(['early', 'old']));
  reporter.rendered(call, view(['draft-1', 'early', 'old']));
  page.visibilityState = 'hidden';
  reporter.rendered(call, view(['hidden', 'early', 'old']));
  page.visibilityState = 'visible';
  reporter.rendered(call, view(['unnumbered', 'hidden', 'early', 'old']));
  reporter.rendered(call, view(['read', 'unnumbered', 'hidden', 'early', 'old'], { readOnly: true }));
  nextFrame();
  await soon(50);
  assert.deepEqual(ids(), []);
  reporter.rendered(call, view(['last', 'read', 'unnumbered', 'hidden', 'early', 'old']));
  nextFrame();
  await until(() => ids().length === 1);
  assert.deepEqual(ids(), ['last']);
});

test('only the share that the setting names', async () => {
  const below = rig(DEFAULTS.paintedSample - 0.01);
  const above = rig(DEFAULTS.paintedSample);
  for (const { reporter, call } of [below, above]) {
    reporter.rendered(call, view([]));
    reporter.rendered(call, view(['one']));
  }
  nextFrame();
  await until(() => below.sent.length === 1);
  await soon(50);
  assert.equal(above.sent.length, 0);
});

test('a report counts its own way: half of the last one\'s round trip', async () => {
  const { reporter, call, sent } = rig(0, 200);
  reporter.rendered(call, view([]));
  reporter.rendered(call, view(['one']));
  nextFrame();
  await until(() => sent.length === 1);
  await soon(260);
  reporter.rendered(call, view(['two', 'one']));
  nextFrame();
  await until(() => sent.length === 2);
  assert.ok((sent[1]?.agoMs ?? 0) >= 99, String(sent[1]?.agoMs));
});
