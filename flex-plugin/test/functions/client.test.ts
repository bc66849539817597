import assert from 'node:assert/strict';
import { createServer } from 'node:http';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { test } from 'node:test';

import { FunctionsClient, TIMEOUTS } from '../../src/functions/client';

interface Asked {
  readonly path: string;
  readonly type: string;
  readonly fields: Record<string, string>;
}

async function served(answer: (asked: Asked, response: ServerResponse) => void, job: (url: string, asked: Asked[]) => Promise<void>): Promise<void> {
  const asked: Asked[] = [];
  const server = createServer((request: IncomingMessage, response) => {
    let body = '';
    request.on('data', (chunk) => (body += chunk));
    request.on('end', () => {
      const one = { path: request.url ?? '', type: request.headers['content-type'] ?? '', fields: Object.fromEntries(new URLSearchParams(body)) };
      asked.push(one);
      answer(one, response);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  try {
    await job(`http://127.0.0.1:${(server.address() as AddressInfo).port}/voice`, asked);
  } finally {
    server.closeAllConnections();
    server.close();
  }
}

const json = (response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(body));
};

const client = (...tokens: string[]): FunctionsClient => {
  const left = [...tokens];
  return new FunctionsClient({ fetch, flexToken: () => (left.length > 1 ? (left.shift() ?? '') : (left[0] ?? '')) });
};

test('a start is a form with the token of this moment, and says what to follow', async () => {
  const body = { state: 'starting', outcome: 'started', callSid: 'CA1', generation: 2, map: 'M', stream: 'S' };
  await served(
    (_, response) => json(response, 200, body),
    async (url, asked) => {
      const outcome = await client('flex').stream(url, 'start', 'CA1', 'WT1');
      assert.deepEqual(outcome, { kind: 'ok', value: { state: 'starting', generation: 2, map: 'M', stream: 'S', named: true, ignored: false, readsAlong: false } });
      assert.deepEqual(asked[0]?.fields, { action: 'start', callSid: 'CA1', taskSid: 'WT1', Token: 'flex' });
      assert.equal(asked[0]?.path, '/voice/stream');
      assert.match(asked[0]?.type ?? '', /^application\/x-www-form-urlencoded/);
    },
  );
});

test('refused with 401: once more with a token that has been renewed, not with the same', async () => {
  await served(
    ({ fields }, response) => (fields.Token === 'new' ? json(response, 200, { token: 't', expires: 5 }) : json(response, 401, { error: { code: 'token_invalid' } })),
    async (url, asked) => {
      assert.equal((await client('old', 'new').token(url)).kind, 'ok');
      assert.equal(asked.length, 2);
      assert.equal((await client('old').token(url)).kind, 'refused');
      assert.equal(asked.length, 3);
    },
  );
});

test('a refusal is read whole; what is no such thing has no code', async () => {
  const error = { code: 'twilio_busy', message: 'Busy.', hint: 'Wait.', twilio: { code: 20429, status: 429 } };
  await served(
    ({ path }, response) => (path.endsWith('/token') ? response.writeHead(502).end('<html>') : json(response, 503, { error }, { 'retry-after': '3' })),
    async (url) => {
      const refusal = { status: 503, code: 'twilio_busy', message: 'Busy.', hint: 'Wait.', twilioCode: 20429, retryAfter: 3 };
      assert.deepEqual(await client('flex').stream(url, 'pause', 'CA1', ''), { kind: 'refused', refusal });
      const outcome = await client('flex').token(url);
      assert.equal(outcome.kind === 'refused' && outcome.refusal.code, '');
    },
  );
});

test('no answer, no token, no sense: each has its own words', async () => {
  const failed = (code: string, action = 'retry'): unknown => ({ kind: 'failed', failure: { code, action } });
  assert.deepEqual(await client('flex').token('http://127.0.0.1:9'), failed('unreachable'));
  assert.deepEqual(await client('').token('http://127.0.0.1:9'), failed('signedOut', 'signIn'));
  await served(
    (_, response) => json(response, 200, { hello: 1 }),
    async (url) => assert.deepEqual(await client('flex').token(url), failed('badAnswer')),
  );
});

test('an answer that does not come is given up', { timeout: TIMEOUTS.token + 5000 }, async (context) => {
  context.mock.timers.enable({ apis: ['setTimeout'] });
  await served(
    () => undefined,
    async (url, asked) => {
      const outcome = client('flex').token(url);
      while (!asked.length) await new Promise((resolve) => setImmediate(resolve));
      context.mock.timers.tick(TIMEOUTS.token);
      assert.deepEqual(await outcome, { kind: 'failed', failure: { code: 'timedOut', action: 'retry' } });
    },
  );
});

test('feedback in the words of the relay', async () => {
  await served(
    (_, response) => json(response, 200, { accepted: true }),
    async (url, asked) => {
      const about = { id: 'g1-x', revision: 'r1', seq: 3 };
      await client('flex').verdict(url, 'CA1', about, { verdict: 'notHelpful', reason: 'tooLate' });
      await client('flex').verdict(url, 'CA1', { ...about, seq: null }, { verdict: 'editedAndUsed' });
      await client('flex').painted(url, 'CA1', about, { at: 5, latencyMs: 700, agoMs: 3.4 });
      const base = { callSid: 'CA1', id: 'g1-x', revision: 'r1', Token: 'flex' };
      const seq = '3';
      assert.deepEqual(asked.map(({ fields }) => fields), [
        { ...base, seq, verdict: 'down', reason: 'too_late' },
        { ...base, verdict: 'edited' },
        { ...base, seq, verdict: 'painted', at: '5', latencyMs: '700', agoMs: '3' },
      ]);
    },
  );
});
