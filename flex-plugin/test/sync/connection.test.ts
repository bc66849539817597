import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { Outcome, SyncToken } from '../../src/functions/client';
import type { Log } from '../../src/log';
import { SyncConnection } from '../../src/sync/connection';
import type { ConnectionTiming } from '../../src/sync/connection';
import { FakeClient, Notes, soon, until } from '../support/sync';

const TIMING: ConnectionTiming = { connect: 200, update: 100, disconnect: 300, early: 5 * 60_000, silence: 80, probe: 60, retryFirst: 10, retryMost: 40 };

function rig(timing: Partial<ConnectionTiming> = {}, life = 3_600_000) {
  const clients: FakeClient[] = [];
  const lines: string[] = [];
  const tokens: Outcome<SyncToken>[] = [];
  let asked = 0;
  const log: Log = { info: () => undefined, warn: (what, fields) => void lines.push(JSON.stringify([what, fields])) };
  const token = async (): Promise<Outcome<SyncToken>> => {
    asked += 1;
    return tokens.shift() ?? { kind: 'ok', value: { token: `secret-${asked}`, expires: Date.now() + life } };
  };
  const make = (text: string) => {
    const client = new FakeClient(text);
    clients.push(client);
    setTimeout(() => client.connectionState === 'connecting' && !client.deaf && client.become('connected'), 5);
    return client.asClient;
  };
  const connection = new SyncConnection(token, make, log, { ...TIMING, ...timing });
  const follower = new Notes();
  return { connection, follower, clients, tokens, lines, asked: () => asked, done: () => connection.remove(follower) };
}

const last = (clients: FakeClient[]): FakeClient => {
  const found = clients[clients.length - 1];
  assert.ok(found);
  return found;
};

test('one client for all followers, made when the first one comes', async () => {
  const { connection, follower, clients, done } = rig();
  assert.equal(clients.length, 0);
  connection.add(follower);
  await until(() => follower.clients.length === 1);
  const other = new Notes();
  connection.add(other);
  assert.equal(other.clients[0], follower.clients[0]);
  assert.equal(clients.length, 1);
  connection.remove(other);
  done();
});

test('a cut is told and survived with the same client', async () => {
  const { connection, follower, clients, done } = rig();
  connection.add(follower);
  await until(() => follower.clients.length === 1);
  last(clients).become('connecting');
  last(clients).become('connected');
  assert.deepEqual(follower.connected.slice(-3), [true, false, true]);
  assert.equal(clients.length, 1);
  done();
});

test('a deaf connection is found by the probe, and replaced; one that answers with a refusal lives', async () => {
  const { connection, follower, clients, done } = rig();
  connection.add(follower);
  await until(() => follower.clients.length === 1);
  const first = last(clients);
  await until(() => first.probes >= 2);
  assert.equal(clients.length, 1);
  first.deaf = true;
  await until(() => follower.clients.length === 2);
  assert.equal(first.shut, true);
  done();
});

test('no probe while something is heard', async () => {
  const { connection, follower, clients, done } = rig();
  connection.add(follower);
  await until(() => follower.clients.length === 1);
  for (let i = 0; i < 20; i += 1) {
    await soon(20);
    connection.heard();
  }
  assert.equal(last(clients).probes, 0);
  done();
});

test('closed with an expired token: the update waits for `disconnected`', async () => {
  const { connection, follower, clients, done } = rig();
  connection.add(follower);
  await until(() => follower.clients.length === 1);
  const client = last(clients);
  client.become('disconnecting');
  client.emit('tokenExpired');
  await soon(60);
  assert.equal(client.updates.length, 0);
  client.become('disconnected');
  await until(() => client.updates.length === 1);
  assert.equal(client.updates[0]?.at, 'disconnected');
  await until(() => follower.connected[follower.connected.length - 1] === true);
  assert.equal(clients.length, 1, 'the same client goes on: nothing was missed');
  done();
});

test('closed for good (406, 417), without a word: an update is tried, then a new client', async () => {
  const { connection, follower, clients, done } = rig();
  connection.add(follower);
  await until(() => follower.clients.length === 1);
  last(clients).afterUpdate = '';
  last(clients).become('disconnected');
  await until(() => follower.clients.length === 2);
  assert.equal(clients.length, 2);
  assert.equal(follower.connected[follower.connected.length - 1], true);
  done();
});

test('a client that never connects is given up in time and made anew', async () => {
  const { connection, follower, clients, done } = rig({ connect: 30 });
  connection.add(follower);
  await until(() => clients.length === 1);
  last(clients).deaf = true;
  await until(() => follower.clients.length === 1);
  assert.ok(clients.length >= 2);
  done();
});

test('the token is renewed before it ends, and not without followers', async () => {
  const { connection, follower, clients, asked, done } = rig({ early: 3_600_000 - 100, silence: 60_000 });
  connection.add(follower);
  await until(() => follower.clients.length === 1);
  assert.equal(asked(), 1);
  last(clients).emit('tokenAboutToExpire');
  await until(() => last(clients).updates.length === 1);
  assert.equal(last(clients).updates[0]?.token, 'secret-2');
  done();
  last(clients).emit('tokenAboutToExpire');
  await soon(60);
  assert.equal(asked(), 2);
  assert.equal(last(clients).shut, true, 'nobody needs it: it ends with its token');
});

test('no token without somebody\'s doing: told once, and not asked for ever', async () => {
  const { connection, follower, tokens, asked, done } = rig();
  tokens.push({ kind: 'refused', refusal: { status: 401, code: 'token_invalid', message: '', hint: '', twilioCode: null, retryAfter: null } });
  connection.add(follower);
  await until(() => follower.failures.length === 1);
  await soon(150);
  assert.deepEqual(follower.failures, ['signedOut']);
  assert.equal(asked(), 1);
  connection.again();
  await until(() => follower.clients.length === 1);
  done();
});

test('a token that is late is asked for again, with pauses', async () => {
  const { connection, follower, tokens, asked, lines, done } = rig();
  for (let i = 0; i < 3; i += 1) tokens.push({ kind: 'failed', failure: { code: 'unreachable', action: 'retry' } });
  connection.add(follower);
  await until(() => follower.clients.length === 1);
  assert.equal(asked(), 4);
  assert.deepEqual(follower.failures, []);
  assert.ok(!lines.join().includes('secret'), 'no token in the log');
  done();
});
