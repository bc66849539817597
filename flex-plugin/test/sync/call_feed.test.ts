import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { CallEvent } from '../../src/core/call_state';
import { CallFeed } from '../../src/sync/call_feed';
import type { FeedTiming } from '../../src/sync/call_feed';
import type { Client } from '../../src/sync/client';
import { SyncConnection } from '../../src/sync/connection';
import { FakeClient, soon, until } from '../support/sync';
import type { FakeObject } from '../support/sync';

const TIMING: FeedTiming = { open: 100, patience: 5000, rereading: 100, retryFirst: 5, retryMost: 20, subscribe: 40 };
const CONNECTION = { connect: 500, update: 500, disconnect: 500, early: 1000, silence: 60_000, probe: 500, retryFirst: 5, retryMost: 10 };

interface Given {
  readonly patient?: boolean;
  readonly patience?: number;
  readonly prepare?: (client: FakeClient) => void;
}

/** A feed on a real connection; the clients are made up. */
function rig({ patient = true, patience = TIMING.patience, prepare }: Given = {}) {
  const clients: FakeClient[] = [];
  const events: CallEvent[] = [];
  const quiet = { info: () => undefined, warn: () => undefined };
  const make = (token: string): Client => {
    const client = new FakeClient(token);
    prepare?.(client);
    clients.push(client);
    setTimeout(() => client.become('connected'), 1);
    return client.asClient;
  };
  const connection = new SyncConnection(async () => ({ kind: 'ok', value: { token: 't', expires: Date.now() + 3_600_000 } }), make, quiet, CONNECTION);
  const feed = new CallFeed(connection, 'MAP', 'STREAM', patient, (event) => void events.push(event), quiet, { ...TIMING, patience });
  feed.open();
  const of = <T extends CallEvent['type']>(type: T) => events.filter((one): one is Extract<CallEvent, { type: T }> => one.type === type);
  return { clients, events, feed, connection, of };
}

const at = <T>(list: readonly T[], index: number): T => {
  const found = list.at(index);
  assert.ok(found);
  return found;
};
const mapOf = (client: FakeClient, index = -1): FakeObject => at(client.opened('map'), index).object;
const streamOf = (client: FakeClient, index = -1): FakeObject => at(client.opened('stream'), index).object;
const refuse = (map: FakeObject): boolean => map.emit('failure', Object.assign(new Error('refused'), { status: 403, code: 54007 }));

test('what exists is opened and nothing is made; every page of the list is read before it is told', async () => {
  const pages = [[{ key: '000001', data: 1 }], [{ key: '000002', data: 2 }], [{ key: 'status', data: 3 }]];
  const { clients, events, feed, of } = rig({ prepare: (client) => void (client.pages = pages) });
  await until(() => of('mapListed').length === 1);
  assert.deepEqual(
    at(clients, 0).openings.map(({ kind, id, mode }) => [kind, id, mode]),
    [['map', 'MAP', 'open_existing'], ['stream', 'STREAM', 'open_existing']],
  );
  assert.deepEqual(of('mapListed')[0]?.items, [['000001', 1], ['000002', 2], ['status', 3]]);
  assert.ok(events.findIndex(({ type }) => type === 'mapOpening') < events.findIndex(({ type }) => type === 'mapListed'));
  feed.close();
});

test('what comes of the Map and of the Stream is told', async () => {
  const { clients, events, feed, of } = rig();
  await until(() => of('mapListed').length === 1);
  const before = events.length;
  const [map, stream] = [mapOf(at(clients, 0)), streamOf(at(clients, 0))];
  map.emit('itemAdded', { item: { key: '000001', data: 'new' } });
  map.emit('itemUpdated', { item: { key: '000001', data: 'changed' } });
  map.emit('itemRemoved', { key: '000001' });
  stream.emit('messagePublished', { message: { data: 'said' } });
  assert.deepEqual(events.slice(before), [
    { type: 'mapItem', key: '000001', data: 'new' },
    { type: 'mapItem', key: '000001', data: 'changed' },
    { type: 'mapItemRemoved', key: '000001' },
    { type: 'streamMessage', data: 'said' },
  ]);
  feed.close();
});

test('a Map that comes a moment late is waited for', async () => {
  const { clients, feed, of } = rig({ prepare: (client) => void client.refusals.push(404, 404, 403, 500, 429) });
  await until(() => of('mapListed').length === 1);
  assert.equal(at(clients, 0).opened('map').length, 6);
  assert.deepEqual(of('mapFailed'), []);
  feed.close();
});

test('patience has an end', async () => {
  const { clients, feed, of } = rig({ patience: 200, prepare: (client) => void client.refusals.push(...Array<number>(500).fill(404)) });
  await until(() => of('mapFailed').length === 1);
  const tried = at(clients, 0).opened('map').length;
  assert.ok(tried > 3);
  await soon(60);
  assert.equal(at(clients, 0).opened('map').length, tried, 'and it is not asked for ever');
  assert.equal(of('mapFailed')[0]?.failure.code, 'syncNotPermitted');
  feed.close();
});

test('where nothing is to come: what is missing is missing at once, what fails is tried four times', async () => {
  const missing = rig({ patient: false, prepare: (client) => void client.refusals.push(404, 404) });
  await until(() => missing.of('mapFailed').length === 1);
  assert.equal(at(missing.clients, 0).opened('map').length, 1);
  assert.equal(missing.of('mapFailed')[0]?.missing, true);
  missing.feed.close();
  const failing = rig({ patient: false, prepare: (client) => void client.refusals.push(500, 500, 500, 500, 500) });
  await until(() => failing.of('mapFailed').length === 1);
  assert.equal(at(failing.clients, 0).opened('map').length, 4);
  assert.deepEqual(failing.of('mapFailed')[0], { type: 'mapFailed', missing: false, failure: { code: 'syncUnreachable', action: 'retry' } });
  failing.feed.close();
});

test('an opening without an answer is given up and tried again; the answer that comes late is closed', async () => {
  const late = (client: FakeClient): void => {
    client.lateBy = 250;
    client.refusals.push('late');
  };
  const { clients, feed, of } = rig({ prepare: late });
  await until(() => of('mapListed').length === 1);
  assert.equal(at(clients, 0).opened('map').length, 2);
  await until(() => mapOf(at(clients, 0), 0).closed);
  assert.equal(mapOf(at(clients, 0), 1).closed, false);
  feed.close();
});

test('a refused subscription: closed, opened and listed anew; what the old one says is not heard', async () => {
  const { clients, events, feed, of } = rig();
  await until(() => of('mapListed').length === 1);
  const old = mapOf(at(clients, 0));
  refuse(old);
  assert.equal(old.closed, true);
  await until(() => of('mapListed').length === 2);
  const before = events.length;
  old.emit('itemAdded', { item: { key: '000001', data: 'of the old one' } });
  refuse(old);
  await soon(60);
  assert.equal(events.length, before);
  assert.equal(at(clients, 0).opened('map').length, 2);
  feed.close();
});

test('refused again and again: told once, when patience is over, and not asked for ever', async () => {
  const { clients, feed, of } = rig({ patience: 200 });
  const refusing = setInterval(() => {
    const map = clients[0]?.opened('map').at(-1)?.object;
    if (map && !map.closed) refuse(map);
  }, 5);
  await until(() => of('mapFailed').length === 1);
  const tried = at(clients, 0).opened('map').length;
  assert.ok(tried > 2);
  await soon(80);
  clearInterval(refusing);
  assert.equal(at(clients, 0).opened('map').length, tried);
  assert.deepEqual(of('mapFailed'), [{ type: 'mapFailed', missing: true, failure: { code: 'syncNotPermitted', action: 'retry' } }]);
  feed.follow('STREAM', true);
  await until(() => at(clients, 0).opened('map').length === tried + 1);
  feed.close();
});

test('a subscription that does not come counts as a broken connection, until it comes', async () => {
  const { clients, feed, of } = rig();
  await until(() => of('mapListed').length === 1);
  const map = mapOf(at(clients, 0));
  map.emit('_subscriptionStateChanged', 'subscribing');
  assert.equal(at(of('connection'), -1).up, true, 'a moment is no break');
  await until(() => !at(of('connection'), -1).up);
  map.emit('_subscriptionStateChanged', 'established');
  assert.equal(at(of('connection'), -1).up, true);
  feed.close();
});

test('a connection that counted as broken for want of a subscription is well again with the next client', async () => {
  const { clients, feed, connection, of } = rig();
  await until(() => of('mapListed').length === 1);
  mapOf(at(clients, 0)).emit('_subscriptionStateChanged', 'subscribing');
  await until(() => !at(of('connection'), -1).up);
  connection.again();
  await until(() => of('mapListed').length === 2);
  mapOf(at(clients, 1)).emit('_subscriptionStateChanged', 'established');
  await until(() => at(of('connection'), -1).up);
  feed.close();
});

test('a new client: both are opened with it, and the old one\'s objects are not heard any more', async () => {
  const { clients, events, feed, connection, of } = rig();
  await until(() => of('mapListed').length === 1);
  connection.again();
  await until(() => of('mapListed').length === 2);
  assert.equal(clients.length, 2);
  assert.deepEqual(at(clients, 1).openings.map(({ kind }) => kind), ['map', 'stream']);
  const before = events.length;
  mapOf(at(clients, 0)).emit('itemAdded', { item: { key: '000001', data: 1 } });
  streamOf(at(clients, 0)).emit('messagePublished', { message: { data: 1 } });
  assert.equal(events.length, before);
  feed.close();
});

test('the next generation\'s Stream takes the place of the last one\'s; the Map goes on', async () => {
  const { clients, feed, of } = rig();
  await until(() => of('mapListed').length === 1);
  const client = at(clients, 0);
  const old = streamOf(client);
  feed.follow('STREAM-2', true);
  await until(() => client.opened('stream').length === 2);
  assert.equal(at(client.opened('stream'), 1).id, 'STREAM-2');
  assert.equal(old.closed, true);
  old.emit('messagePublished', { message: { data: 'of the old one' } });
  streamOf(client).emit('messagePublished', { message: { data: 'too early' } });
  await until(() => streamOf(client).listenerCount('messagePublished') === 1);
  streamOf(client).emit('messagePublished', { message: { data: 'new' } });
  assert.deepEqual(of('streamMessage').map(({ data }) => data), ['new']);
  assert.equal(client.opened('map').length, 1);
  feed.close();
});

test('objects that are removed are looked for again', async () => {
  const { clients, feed, of } = rig();
  await until(() => of('mapListed').length === 1);
  const client = at(clients, 0);
  client.refusals.push(404, 404);
  mapOf(client).emit('removed');
  streamOf(client).emit('removed');
  await until(() => of('mapListed').length === 2 && client.opened('stream').length === 2);
  assert.deepEqual(of('mapFailed'), []);
  feed.close();
});

test('in doubt the Map is opened and listed anew', async () => {
  const { clients, feed, of } = rig();
  await until(() => of('mapListed').length === 1);
  const old = mapOf(at(clients, 0));
  feed.readMapAgain();
  assert.equal(old.closed, true);
  await until(() => of('mapListed').length === 2);
  assert.equal(at(clients, 0).opened('stream').length, 1);
  feed.close();
});

test('the Stream is removed: whether the Map may still be read is looked at, and a Map that was there is not waited for long', async () => {
  const { clients, feed, of } = rig({ patience: 60_000 });
  await until(() => of('mapListed').length === 1);
  const client = at(clients, 0);
  client.refusals.push(...Array<number>(500).fill(403));
  streamOf(client).emit('removed');
  await until(() => of('mapFailed').length === 1);
  assert.equal(of('mapFailed')[0]?.missing, true);
  feed.close();
});

test('the Stream is removed, and the Map stays: nothing fails', async () => {
  const { clients, feed, of } = rig();
  await until(() => of('mapListed').length === 1);
  streamOf(at(clients, 0)).emit('removed');
  await until(() => of('mapListed').length === 2);
  assert.equal(of('mapFailed').length, 0);
  feed.close();
});

test('closed: both handles are closed, also one that was being opened; nothing is told, and nothing tried, any more', async () => {
  const { clients, events, feed, of } = rig();
  await until(() => of('mapListed').length === 1);
  const client = at(clients, 0);
  const [map, stream] = [mapOf(client), streamOf(client)];
  client.lateBy = 30;
  client.refusals.push('late');
  feed.readMapAgain();
  const opening = mapOf(client);
  feed.close();
  const before = events.length;
  assert.deepEqual([map.closed, stream.closed], [true, true]);
  await until(() => opening.closed);
  map.emit('removed');
  stream.emit('removed');
  client.become('connecting');
  await soon(60);
  assert.equal(events.length, before);
  assert.deepEqual([client.opened('map').length, client.opened('stream').length], [2, 1]);
});
