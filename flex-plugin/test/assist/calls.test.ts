import assert from 'node:assert/strict';
import { test } from 'node:test';

import type { CallDependencies } from '../../src/assist/call';
import { Calls } from '../../src/assist/calls';
import { PersistedStateStore } from '../../src/assist/persisted_state';
import { DEFAULTS } from '../../src/core/configuration';
import { FunctionsClient } from '../../src/functions/client';
import type { SyncConnection } from '../../src/sync/connection';

const sid = (kind: string, number: number): string => kind + String(number).repeat(32);
const call = (number: number, more: Record<string, unknown> = {}): Record<string, unknown> => ({
  taskSid: sid('WT', number),
  attributes: { call_sid: sid('CA', number) },
  status: 'accepted',
  queueName: 'Support',
  queueSid: 'WQ1',
  taskChannelUniqueName: 'voice',
  ...more,
});

/** Functions that never answer, and a Sync that never comes: what was asked of them is looked at. */
function rig(autoStart = false) {
  const asked: string[] = [];
  const followed: string[] = [];
  const away = { add: ({ name }: { name: string }) => followed.push(name), remove: () => undefined, has: () => false, again: () => undefined };
  const fetch = async (_: unknown, init?: RequestInit): Promise<Response> => {
    const fields = new URLSearchParams(String(init?.body));
    asked.push(`${fields.get('action')} ${fields.get('callSid')}`);
    return new Promise<Response>((_resolve, reject) => void init?.signal?.addEventListener('abort', () => reject(new Error('aborted'))));
  };
  const none = (): never => {
    throw new Error('nothing is used here');
  };
  const dependencies: CallDependencies = {
    functions: new FunctionsClient({ fetch: fetch as typeof globalThis.fetch, flexToken: () => 'token' }),
    connection: () => away as unknown as SyncConnection,
    hands: { copy: none, insert: none },
    persist: () => undefined,
    broadcastStart: () => undefined,
    log: { info: () => undefined, warn: () => undefined },
  };
  const calls = new Calls(dependencies, new PersistedStateStore(null), () => ({ target: { url: 'https://assist.example' }, settings: { ...DEFAULTS, autoStart } }));
  let told = 0;
  calls.subscribe(() => void (told += 1));
  return { calls, asked, followed, told: () => told };
}

test('an assist for each accepted call, and for nothing else', () => {
  const { calls, told } = rig();
  calls.own([call(1), call(2), call(3, { status: 'pending' }), call(4, { taskChannelUniqueName: 'chat' }), call(5, { status: 'completed' }), call(6, { taskSid: '' })]);
  assert.deepEqual([1, 2, 3, 4, 5].map((number) => calls.get(sid('WT', number)) !== undefined), [true, true, false, false, false]);
  assert.notEqual(calls.get(sid('WT', 1)), calls.get(sid('WT', 2)));
  assert.equal(told(), 2);
});

test('accepted before this page\'s eyes it may start by itself; one that was there before the page does not', () => {
  const { calls, asked } = rig(true);
  calls.own([call(1)]);
  assert.ok(!asked.some((one) => one.startsWith('start')), asked.join());
  calls.own([call(1), call(2, { status: 'pending' })]);
  assert.equal(asked.length, 0);
  calls.own([call(1), call(2)]);
  assert.deepEqual(asked, [`start ${sid('CA', 2)}`]);
});

test('the same facts are no event', () => {
  const { calls } = rig();
  calls.own([call(1)]);
  let events = 0;
  calls.get(sid('WT', 1))?.subscribe(() => void (events += 1));
  calls.own([call(1, { age: 7 })]);
  assert.equal(events, 0);
  calls.own([call(1, { status: 'wrapping' })]);
  assert.equal(events, 1);
});

test('a task that is gone: its assist is stopped and forgotten, the others go on', () => {
  const { calls, asked, told } = rig();
  calls.own([]);
  calls.own([call(1), call(2)]);
  const [gone, stays] = [calls.get(sid('WT', 1)), calls.get(sid('WT', 2))];
  gone?.commands.start();
  stays?.commands.start();
  const before = told();
  let events = 0;
  gone?.subscribe(() => void (events += 1));
  calls.own([call(2)]);
  assert.equal(calls.get(sid('WT', 1)), undefined);
  assert.equal(calls.get(sid('WT', 2)), stays);
  assert.equal(told(), before + 1);
  assert.equal(gone?.view.status.state, 'off');
  const heard = events;
  gone?.commands.dismissAlert();
  gone?.commands.start();
  assert.equal(events, heard, 'nobody is told by it any more');
  assert.equal(stays?.view.status.state, 'starting');
  assert.deepEqual(asked.slice(0, 2), [`start ${sid('CA', 1)}`, `start ${sid('CA', 2)}`]);
});

test('a supervisor reads the call that is listened to, as long as it is listened to', () => {
  const { calls, asked } = rig();
  const watched = call(7, { status: undefined, taskStatus: 'assigned' });
  calls.own([]);
  calls.monitor(watched);
  assert.equal(calls.get(sid('WT', 7))?.view.readOnly, true);
  assert.deepEqual(asked, [`start ${sid('CA', 7)}`], 'asks to watch');
  calls.own([]);
  assert.ok(calls.get(sid('WT', 7)), 'it is none of the worker\'s own tasks, and stays');
  calls.monitor(call(8, { status: undefined, taskStatus: 'assigned' }));
  assert.equal(calls.get(sid('WT', 7)), undefined);
  assert.ok(calls.get(sid('WT', 8)));
  calls.monitor(null);
  assert.equal(calls.get(sid('WT', 8)), undefined);
});

test('who listens to a call of their own keeps their hands on it', () => {
  const { calls } = rig();
  calls.own([call(1)]);
  const own = calls.get(sid('WT', 1));
  calls.monitor(call(1));
  assert.equal(calls.get(sid('WT', 1)), own);
  assert.equal(own?.view.readOnly, false);
  calls.monitor(null);
  assert.equal(calls.get(sid('WT', 1)), own, 'and it does not end with the listening');
});

test('another tab\'s start: the call that it names is looked for in Sync, and not started again', () => {
  const { calls, asked, followed } = rig();
  calls.own([]);
  calls.own([call(1), call(2)]);
  calls.startedElsewhere(sid('CA', 9));
  assert.deepEqual(followed, []);
  calls.startedElsewhere(sid('CA', 2));
  assert.deepEqual(followed, [`VA_SUGGESTIONS_${sid('CA', 2)}`]);
  assert.deepEqual(asked, []);
});
