import assert from 'node:assert/strict';
import { test } from 'node:test';

import { CALL, Desk, STREAM, TASK, URL_, suggestionData, statusData } from '../support/call';
import { keyOf } from '../support/history';

const actions = (desk: Desk): string[] => desk.done('ask').map(({ action }) => action);

test('off until the agent starts it; starting, listening; the objects are followed patiently', () => {
  const desk = new Desk();
  assert.deepEqual(desk.status, { state: 'off', why: 'notStarted' });
  assert.equal(desk.view.permitted.start, true);
  desk.command('start');
  assert.deepEqual(desk.done('ask'), [{ kind: 'ask', request: 1, action: 'start', url: URL_, callSid: CALL, taskSid: TASK.taskSid }]);
  assert.equal(desk.status.state, 'starting');
  assert.equal(desk.view.busy, 'start');
  desk.answer();
  const follow = { kind: 'follow', url: URL_, callSid: CALL, map: `VA_SUGGESTIONS_${CALL}`, stream: STREAM, patient: true };
  assert.deepEqual(desk.done('follow'), [follow]);
  assert.equal(desk.status.state, 'starting');
  desk.listed([ 'status', statusData('starting') ]);
  assert.equal(desk.status.state, 'starting');
  desk.relay('live');
  assert.equal(desk.status.state, 'listening');
  assert.deepEqual(desk.view.permitted, { start: false, stop: true, pause: true, resume: false, retry: false, feedback: true });
});

test('by itself when a call is accepted, where the setting says so', () => {
  assert.deepEqual(actions(new Desk({ configuration: { autoStart: true } })), ['start']);
  assert.deepEqual(actions(new Desk({ configuration: { autoStart: false } })), []);
  assert.deepEqual(actions(new Desk({ configuration: { autoStart: true }, persisted: { stopped: true } })), [], 'the agent stopped it in this call');
});

test('after a reload: what runs is found without being started', () => {
  const desk = new Desk({ met: 'found', persisted: { on: true } });
  assert.equal(desk.status.state, 'reconnecting');
  const [follow] = desk.done('follow');
  assert.equal(follow?.patient, false);
  assert.equal(follow?.stream, '', 'the Stream is not known before the Map was read');
  desk.listed(['status', statusData('live')], [keyOf(1), suggestionData(1)]);
  assert.equal(desk.status.state, 'listening');
  assert.equal(desk.view.suggestions.length, 1);
  assert.equal(desk.view.announcement?.kind, 'status', 'an old suggestion is not announced');
  const effects = desk.effects;
  assert.deepEqual(effects.filter(({ kind }) => kind === 'ask'), []);
  assert.equal(desk.done('follow')[0]?.stream, STREAM);
});

test('after a reload: nothing runs, so it stays off; with the setting it starts, unless the agent had stopped it', () => {
  const missing = { type: 'mapFailed', missing: true, failure: { code: 'syncNotPermitted', action: 'retry' } } as const;
  const off = new Desk({ met: 'found' }).take(missing);
  assert.deepEqual(off.status, { state: 'off', why: 'notStarted' });
  assert.deepEqual(actions(off), []);
  assert.deepEqual(actions(new Desk({ met: 'found', configuration: { autoStart: true } }).take(missing)), ['start']);
  assert.deepEqual(actions(new Desk({ met: 'found', configuration: { autoStart: true }, persisted: { stopped: true } }).take(missing)), []);
});

test('another tab has started it: this one shows it', () => {
  const desk = new Desk().take({ type: 'otherTabStarted' });
  assert.equal(desk.done('follow')[0]?.patient, true);
  desk.listed(['status', statusData('live')]);
  assert.equal(desk.status.state, 'listening');
});

test('ends with the call: stopped at wrap-up, and once', () => {
  const desk = new Desk().live();
  desk.done('ask');
  desk.task({ phase: 'wrapping' });
  assert.deepEqual(actions(desk), ['stop']);
  desk.answer({ state: 'stopped' });
  assert.deepEqual(desk.status, { state: 'off', why: 'callEnded' });
  desk.relay('stopped', { reason: 'CallEnded', at: desk.now + 1 });
  assert.deepEqual(desk.status, { state: 'off', why: 'callEnded' });
  desk.task({ phase: 'over' });
  assert.deepEqual(desk.effects.map(({ kind }) => kind).filter((kind) => kind !== 'persist'), ['unfollow', 'removePersisted']);
});

test('the call ends while the start is under way: stopped as soon as that is answered', () => {
  const desk = new Desk().command('start').task({ phase: 'wrapping' });
  assert.deepEqual(actions(desk), ['start']);
  desk.answer();
  assert.deepEqual(actions(desk), ['stop']);
});

test('stop while starting: not lost', () => {
  const desk = new Desk().command('start').command('stop');
  assert.deepEqual(actions(desk), ['start']);
  assert.deepEqual(actions(desk.answer()), ['stop']);
  desk.answer({ state: 'stopped' });
  assert.equal(desk.status.state, 'off');
  desk.listed(['status', statusData('live')]);
  assert.equal(desk.status.state, 'off', 'a state from before the stop changes nothing');
});

test('stopped, and started again: the old generation says nothing more', () => {
  const desk = new Desk().live().command('stop').answer({ state: 'stopped' });
  assert.deepEqual(desk.status, { state: 'off', why: 'stopped' });
  desk.command('start').answer({ generation: 2 });
  assert.equal(desk.status.state, 'starting');
  desk.relay('stopped', { at: desk.now + 5 });
  assert.equal(desk.status.state, 'starting');
  desk.relay('live', { generation: 2 });
  assert.equal(desk.status.state, 'listening');
});

test('hold pauses by itself, and goes on by itself', () => {
  const desk = new Desk().live();
  desk.done('ask');
  desk.take({ type: 'hold', onHold: true });
  assert.deepEqual(actions(desk), ['pause']);
  desk.answer({ state: 'paused' });
  assert.deepEqual(desk.status, { state: 'paused', byHold: true });
  desk.relay('paused', { reason: 'AgentRequest', at: desk.now + 1 });
  assert.deepEqual(desk.status, { state: 'paused', byHold: true });
  desk.take({ type: 'hold', onHold: false });
  assert.deepEqual(actions(desk), ['resume']);
  desk.answer({ state: 'live' });
  assert.equal(desk.status.state, 'listening');
});

test('hold as Flex\'s conference tells it; off hold while the pause is under way; not with the setting off', () => {
  const desk = new Desk().live();
  desk.done('ask');
  desk.task({ onHold: true }).task({ onHold: false });
  assert.deepEqual(actions(desk), ['pause']);
  assert.deepEqual(actions(desk.answer({ state: 'paused' })), ['resume']);
  const without = new Desk({ configuration: { pauseOnHold: false } }).live();
  without.done('ask');
  assert.deepEqual(actions(without.take({ type: 'hold', onHold: true })), []);
});

test('on hold, but the agent goes on: not paused again; paused by hand, then hold: stays paused', () => {
  const desk = new Desk().live().take({ type: 'hold', onHold: true }).answer({ state: 'paused' });
  desk.done('ask');
  desk.command('resume').answer({ state: 'live' }).relay('live', { at: desk.now + 1 });
  assert.deepEqual(actions(desk), ['resume']);
  const byHand = new Desk().live().command('pause').answer({ state: 'paused' });
  byHand.done('ask');
  byHand.take({ type: 'hold', onHold: true }, { type: 'hold', onHold: false });
  assert.deepEqual(actions(byHand), []);
  assert.deepEqual(byHand.status, { state: 'paused', byHold: false });
});

test('reloaded while paused by hold: goes on after the hold', () => {
  const desk = new Desk({ met: 'found', persisted: { on: true, byHold: true }, task: { onHold: true } });
  desk.listed(['status', statusData('paused')]);
  desk.done('ask');
  desk.task({ onHold: false });
  assert.deepEqual(actions(desk), ['resume']);
});

test('a pause that fails says that the audio is still sent, and is announced', () => {
  const desk = new Desk().live().command('pause').refuse('pause_failed');
  assert.equal(desk.status.state, 'listening');
  assert.equal(desk.view.alert?.audioStillSent, true);
  assert.equal(desk.view.announcement?.kind, 'alert');
  desk.command('dismissAlert');
  assert.equal(desk.view.alert, null);
});

test('a pause of the hold that fails is not asked for again during this hold', () => {
  const desk = new Desk().live().take({ type: 'hold', onHold: true });
  desk.done('ask');
  desk.refuse('pause_failed').relay('live', { at: desk.now + 1 });
  assert.deepEqual(actions(desk), []);
  desk.take({ type: 'hold', onHold: false }, { type: 'hold', onHold: true });
  assert.deepEqual(actions(desk), ['pause']);
});

test('a start that may work in a moment is asked for again, as often as is sensible; then it has failed', () => {
  const desk = new Desk().command('start');
  desk.done('ask');
  desk.refuse('not_your_call', 403);
  assert.equal(desk.status.state, 'starting');
  desk.pass(999);
  assert.deepEqual(actions(desk), []);
  desk.pass(1);
  assert.deepEqual(actions(desk), ['start']);
  desk.refuse('busy', 503, 3);
  desk.pass(2999);
  assert.deepEqual(actions(desk), []);
  desk.pass(1);
  assert.deepEqual(actions(desk), ['start']);
  desk.refuse('busy').pass(10_000);
  assert.deepEqual(actions(desk), ['start']);
  desk.refuse('busy');
  assert.deepEqual(desk.status, { state: 'failed', failure: { code: 'busy', action: 'retry' } });
  assert.equal(desk.view.permitted.retry, true);
  desk.done('ask');
  assert.deepEqual(actions(desk.command('retry')), ['start']);
});

test('failures have a reason in words and a way out', () => {
  const failed = (code: string, status: number): unknown => new Desk().command('start').refuse(code, status).status;
  assert.deepEqual(failed('twilio_credentials', 502), { state: 'failed', failure: { code: 'serverSetup', action: 'retry', detail: 'said do' } });
  assert.deepEqual(failed('token_invalid', 401), { state: 'failed', failure: { code: 'signedOut', action: 'signIn' } });
  assert.deepEqual(failed('call_ended', 409), { state: 'failed', failure: { code: 'callEnded', action: 'none' } });
  assert.deepEqual(failed('', 404), { state: 'failed', failure: { code: 'badAnswer', action: 'retry' } });
  assert.deepEqual(failed('never heard of', 500), { state: 'failed', failure: { code: 'serverError', action: 'retry', detail: 'said do' } });
});

test('the model fails: the relay\'s words and a button', () => {
  const desk = new Desk().live().relay('failed', { reason: 'ModelQuota', message: 'No money left.', at: 1_900_000_000_000 });
  assert.deepEqual(desk.status, { state: 'failed', failure: { code: 'modelQuota', action: 'retry', detail: 'No money left.' } });
  assert.equal(desk.view.permitted.retry, true);
});

test('not configured: nothing can be asked, and it says what is missing', () => {
  const desk = new Desk({ configuration: { target: { unconfigured: 'noQueue', queue: 'Support' }, autoStart: true } });
  assert.deepEqual(desk.status, { state: 'notConfigured', why: 'noQueue', queue: 'Support' });
  assert.equal(desk.view.permitted.start, false);
  desk.command('start');
  assert.deepEqual(desk.effects, []);
});

test('the relay stops: moved, started again by itself; a new generation of another relay is waited for', () => {
  const desk = new Desk().live();
  desk.done('ask');
  desk.relay('lost', { reason: 'RelayStopping', at: desk.now + 1 });
  assert.deepEqual(desk.status, { state: 'moved', to: 'server' });
  desk.pass(1500);
  assert.deepEqual(actions(desk), ['start']);
  desk.answer({ generation: 2 });
  assert.deepEqual(desk.status, { state: 'moved', to: 'server' });
  desk.relay('live', { generation: 2 });
  assert.equal(desk.status.state, 'listening');

  const other = new Desk().live();
  other.done('ask');
  other.relay('lost', { reason: 'RelayStopping', at: other.now + 1 }).relay('starting', { generation: 2 });
  assert.deepEqual(other.status, { state: 'moved', to: 'server' });
  other.relay('live', { generation: 2 }).pass(5000);
  assert.deepEqual(actions(other), []);
});

test('moved without a loss: a new generation starts while the old one is heard', () => {
  const desk = new Desk().live().relay('starting', { generation: 2 });
  assert.deepEqual(desk.status, { state: 'moved', to: 'server' });
  assert.equal(desk.relay('live', { generation: 2 }).status.state, 'listening');
});

test('the audio is lost: failed, with a button, and not started by itself', () => {
  const desk = new Desk().live();
  desk.done('ask');
  desk.relay('lost', { reason: 'StreamLost', at: desk.now + 1 }).pass(60_000);
  assert.equal(desk.status.state, 'failed');
  assert.deepEqual(actions(desk), []);
  assert.deepEqual(actions(desk.command('retry')), ['start']);
});

test('transferred: the other agent has the call now', () => {
  const stop = new Desk().live().command('stop').answer({ state: 'live', ignored: true });
  assert.deepEqual(stop.status, { state: 'moved', to: 'agent' });
  assert.equal(stop.view.permitted.stop, false);
  const pause = new Desk().live().command('pause').refuse('not_in_the_call', 403);
  assert.deepEqual(pause.status, { state: 'moved', to: 'agent' });
});

test('transferred: another agent starts it anew after this one has left; what is said there is not shown here', () => {
  const desk = new Desk().live().task({ phase: 'wrapping' }).answer({ state: 'stopped' });
  assert.deepEqual(desk.status, { state: 'off', why: 'callEnded' });
  desk.done('ask');
  desk.relay('starting', { generation: 2 });
  assert.deepEqual(desk.status, { state: 'moved', to: 'agent' });
  assert.deepEqual(desk.effects.map(({ kind }) => kind), ['unfollow']);
  assert.equal(desk.view.permitted.stop || desk.view.permitted.retry || desk.view.permitted.start, false);
});

test('transferred: the other agent has taken it over before this one leaves', () => {
  const desk = new Desk().live();
  desk.done('ask');
  desk.task({ phase: 'wrapping' });
  assert.equal(desk.status.state, 'listening', 'until the stop is answered');
  desk.answer({ state: 'live', ignored: true });
  assert.deepEqual(desk.status, { state: 'moved', to: 'agent' });
});

test('the stop at the end fails: the agent sees that the audio may still be sent, and can stop it', () => {
  const desk = new Desk().live().task({ phase: 'wrapping' }).refuse('twilio_unclear', 502);
  assert.equal(desk.status.state, 'listening');
  assert.equal(desk.view.alert?.audioStillSent, true);
  desk.done('ask');
  assert.deepEqual(actions(desk.command('stop')), ['stop']);
});

test('reloaded in wrap-up while it still runs: stopped', () => {
  const desk = new Desk({ met: 'found', persisted: { on: true }, task: { phase: 'wrapping' } });
  desk.listed(['status', statusData('live')]);
  assert.deepEqual(actions(desk), ['stop']);
});

test('a supervisor reads: asked to watch, may not start, stop, pause or judge', () => {
  const desk = new Desk({ role: 'supervisor' });
  assert.deepEqual(actions(desk), ['start']);
  desk.answer({ state: 'live' }).listed(['status', statusData('live')], [keyOf(1), suggestionData(1)]);
  assert.equal(desk.view.readOnly, true);
  assert.deepEqual(desk.view.permitted, { start: false, stop: false, pause: false, resume: false, retry: false, feedback: false });
  desk.take({ type: 'verdict', id: 'g1-item_1', verdict: { verdict: 'helpful' } }).command('stop').command('pause');
  desk.relay('lost', { reason: 'RelayStopping', at: 1_900_000_000_000 }).pass(60_000);
  assert.deepEqual(desk.effects.filter(({ kind }) => kind === 'ask' || kind === 'feedback'), []);
  desk.task({ phase: 'over' });
  assert.deepEqual(actions(desk), []);
});

test('a supervisor who stops listening says so, so that she reads no more', () => {
  const desk = new Desk({ role: 'supervisor' });
  desk.answer({ state: 'live', readsAlong: true }).listed(['status', statusData('live')]);
  desk.done('ask');
  desk.pass(60_000);
  assert.deepEqual(actions(desk), []);
  desk.task({ phase: 'over' });
  assert.deepEqual(actions(desk), ['stop']);
});

test('an agent who has joined a call that another holds reads along, and asks again until it is hers', () => {
  const desk = new Desk().command('start');
  desk.done('ask');
  desk.answer({ state: 'live', readsAlong: true }).listed(['status', statusData('live')]);
  desk.pass(4999);
  assert.deepEqual(actions(desk), []);
  desk.pass(1);
  assert.deepEqual(actions(desk), ['start']);
  assert.equal(desk.status.state, 'listening');
  desk.done('ask');
  desk.answer({ state: 'live', readsAlong: false });
  desk.pass(60_000);
  assert.deepEqual(actions(desk), []);
  assert.equal(desk.status.state, 'listening');
});

test('after a transfer the objects are the next agent\'s alone: moved, not failed', () => {
  const desk = new Desk().live().command('stop');
  desk.answer({ state: 'stopped' }).task({ phase: 'wrapping' });
  desk.take({ type: 'mapFailed', missing: true, failure: { code: 'syncRefused', action: 'retry' } } as never);
  assert.deepEqual(desk.status, { state: 'moved', to: 'agent' });
});

test('a supervisor before the agent has started: off, and a way to look again', () => {
  const desk = new Desk({ role: 'supervisor' }).refuse('not_running', 403);
  assert.deepEqual(desk.status, { state: 'off', why: 'notStarted' });
  assert.equal(desk.view.permitted.start, false);
  assert.equal(desk.view.permitted.retry, true);
  desk.done('ask');
  assert.deepEqual(actions(desk.command('retry')), ['start']);
});

test('Sync is away for a moment: no word; for longer: reconnecting; back: listening', () => {
  const desk = new Desk().live().take({ type: 'connection', up: false });
  desk.pass(1499);
  assert.equal(desk.status.state, 'listening');
  desk.pass(1);
  assert.deepEqual(desk.status, { state: 'reconnecting', what: 'sync' });
  desk.pass(600_000);
  assert.equal(desk.take({ type: 'connection', up: true }).status.state, 'listening');
});

test('nothing came of the start in time: the words depend on whether this page could have heard it', () => {
  const lost = new Desk().command('start').answer().listed().pass(45_000);
  assert.deepEqual(lost.status, { state: 'failed', failure: { code: 'streamLost', action: 'retry' } });
  const deaf = new Desk().command('start').answer().pass(45_000);
  assert.deepEqual(deaf.status, { state: 'failed', failure: { code: 'syncUnreachable', action: 'retry' } });
  assert.equal(lost.relay('live').status.state, 'listening', 'late is better than never');
});

test('no permission to read: failed; the button opens again', () => {
  const desk = new Desk().live();
  desk.take({ type: 'mapFailed', missing: true, failure: { code: 'syncNotPermitted', action: 'retry' } });
  assert.equal(desk.status.state, 'failed');
  assert.equal(desk.view.permitted.stop, true, 'what runs can be stopped all the same');
  desk.done('ask');
  desk.command('retry');
  assert.deepEqual(desk.effects.map(({ kind }) => kind), ['connectAgain', 'follow']);
  assert.equal(desk.status.state, 'listening');
});

test('states out of order: the Map has the last word, the Stream only what is later', () => {
  const desk = new Desk().live();
  const { now } = desk;
  desk.relay('paused', { at: now + 20, id: 'g1-status-3' }, 'stream').relay('reconnecting', { at: now + 10, id: 'g1-status-2' }, 'stream');
  assert.equal(desk.status.state, 'paused');
  desk.relay('reconnecting', { at: now + 10, id: 'g1-status-2' });
  assert.equal(desk.status.state, 'paused', 'the Map is behind');
  desk.relay('paused', { at: now + 20, id: 'g1-status-3' }).relay('lost', { at: now + 15, reason: 'StreamLost', id: 'g1-lost' });
  assert.equal(desk.status.state, 'failed', 'written later, by a clock that is behind');
  desk.relay('live', { generation: 0 });
  assert.equal(desk.status.state, 'failed', 'an older generation');
});

test('what the agent must know while the assist listens is told and announced once, and goes with the next word', () => {
  for (const [reason, note] of [['AudioFormat', 'audioFormat'], ['AgentTrackLost', 'agentTrackLost'], ['TurnBlocked', 'turnBlocked']] as const) {
    const desk = new Desk().live();
    const { now } = desk;
    desk.relay('live', { reason, message: 'In its words.', at: now + 10, id: 'g1-status-2' });
    assert.deepEqual(desk.status, { state: 'listening', note, detail: 'In its words.' });
    const said = desk.view.announcement;
    assert.deepEqual(said?.kind === 'status' && said.status, desk.status);
    desk.relay('live', { reason, message: 'In its words.', at: now + 20, id: 'g1-status-3' });
    assert.equal(desk.view.announcement, said, 'once');
    desk.relay('live', { reason: 'Started', at: now + 30, id: 'g1-status-4' });
    assert.deepEqual(desk.status, { state: 'listening' });
    assert.equal(desk.view.announcement, said);
  }
});

test('a budget that is spent is no pause of the agent: nothing can be resumed, and it goes on by itself', () => {
  const desk = new Desk().live();
  const { now } = desk;
  desk.relay('paused', { reason: 'BudgetSpent', at: now + 10, id: 'g1-status-2' });
  assert.deepEqual(desk.status, { state: 'paused', byHold: false, spent: true });
  assert.deepEqual([desk.view.permitted.pause, desk.view.permitted.resume, desk.view.permitted.stop], [false, false, true]);
  assert.equal(desk.view.announcement?.kind, 'status');
  desk.relay('paused', { reason: 'AgentRequest', at: now + 20, id: 'g1-status-3' });
  assert.deepEqual([desk.status, desk.view.permitted.resume], [{ state: 'paused', byHold: false }, true]);
  desk.relay('live', { reason: 'Started', at: now + 30, id: 'g1-status-4' });
  assert.deepEqual(desk.status, { state: 'listening' });
});

test('a start beyond the number of calls is said as it is, and not tried again by itself', () => {
  const desk = new Desk().command('start').refuse('call_limit', 429, 30);
  assert.deepEqual(desk.status, { state: 'failed', failure: { code: 'callLimit', action: 'retry', detail: 'said do' } });
  assert.deepEqual(actions(desk.pass(600_000)), ['start']);
});

test('`transcript` messages alone, the original server: a suggestion appears, and the assist counts as listening', () => {
  const desk = new Desk().command('start').answer({ generation: null, map: '', stream: '', named: false });
  assert.equal(desk.done('follow')[0]?.stream, `FLEX_ASSIST_${CALL}`);
  desk.take({ type: 'mapFailed', missing: true, failure: { code: 'syncNotPermitted', action: 'retry' } });
  desk.take({ type: 'streamMessage', data: { transcript: JSON.stringify({ question: 'Where?', answer: 'Here.' }) } });
  assert.equal(desk.status.state, 'listening');
  assert.deepEqual(desk.view.suggestions.map(({ question, answer }) => [question, answer]), [['Where?', 'Here.']]);
  assert.equal(desk.pass(600_000).status.state, 'listening');
});

test('a new answer is announced once, wherever it was heard first; a growing draft is not', () => {
  const desk = new Desk().live();
  const before = desk.view.announcement;
  desk.take({ type: 'streamMessage', data: { type: 'draft', id: 'g1-item_1', revision: 'r1', part: 1, answer: 'ans' } });
  assert.equal(desk.view.announcement, before);
  desk.take({ type: 'streamMessage', data: { ...suggestionData(1), transcript: '{}' } });
  const said = desk.view.announcement;
  assert.equal(said?.kind === 'suggestion' && said.answer, 'answer 1');
  desk.suggestion(1).listed([keyOf(1), suggestionData(1)]).take({ type: 'streamMessage', data: suggestionData(1) });
  assert.equal(desk.view.announcement, said);
});

test('a draft that came early says so until the turn is over, and goes if the customer goes on', () => {
  const desk = new Desk().live();
  const draft = { type: 'draft', id: 'g1-early', revision: 'r1', part: 1, answer: 'w' } as const;
  const shown = (): unknown => desk.view.suggestions.map(({ id, early }) => [id, early]);
  desk.take({ type: 'streamMessage', data: { ...draft, early: true } });
  assert.deepEqual(shown(), [['g1-early', true]]);
  desk.take({ type: 'streamMessage', data: { ...draft, part: 2, answer: 'wo' } });
  assert.deepEqual(shown(), [['g1-early', undefined]]);
  desk.take({ type: 'streamMessage', data: { ...draft, id: 'g1-second', early: true } });
  desk.take({ type: 'streamMessage', data: { type: 'withdrawn', id: 'g1-second', revision: 'r1', reason: 'SpokeOn' } });
  assert.deepEqual(shown(), [['g1-early', undefined]]);
});

test('a gap in the numbers: the Map is read again after a moment, and not for ever', () => {
  const desk = new Desk().live().suggestion(1).suggestion(3);
  desk.pass(2999);
  assert.deepEqual(desk.done('readMapAgain'), []);
  desk.pass(1);
  assert.equal(desk.done('readMapAgain').length, 1);
  desk.listed([keyOf(1), suggestionData(1)], [keyOf(3), suggestionData(3)]).pass(600_000);
  assert.deepEqual(desk.done('readMapAgain'), []);
});

test('a draft whose end was lost goes after a while; a pause takes it away at once', () => {
  const draft = { type: 'streamMessage', data: { type: 'draft', id: 'g1-x', revision: 'r1', part: 1, answer: 'w' } } as const;
  const desk = new Desk().live().take(draft);
  assert.equal(desk.view.suggestions.length, 1);
  assert.equal(desk.pass(20_000).view.suggestions.length, 0);
  assert.equal(new Desk().live().take(draft).relay('paused', { at: 1_900_000_000_000 }).view.suggestions.length, 0);
});

test('dismissed: gone from the list, remembered by id alone, and can be taken back', () => {
  const desk = new Desk().live().suggestion(1).suggestion(2);
  desk.effects = [];
  desk.take({ type: 'dismiss', id: 'g1-item_2' });
  assert.deepEqual(desk.view.suggestions.map(({ seq }) => seq), [1]);
  assert.equal(desk.view.dismissed, 1);
  const [remembered] = desk.done('persist');
  assert.ok(remembered && !JSON.stringify(remembered).includes('answer'));
  assert.deepEqual(desk.command('undismiss').view.suggestions.map(({ seq }) => seq), [2, 1]);
});

test('feedback is sent with the suggestion\'s revision; an edited text that is used counts, an unchanged one does not', () => {
  const desk = new Desk().live().suggestion(1);
  desk.effects = [];
  desk.take({ type: 'verdict', id: 'g1-item_1', verdict: { verdict: 'notHelpful', reason: 'wrong' } });
  assert.deepEqual(desk.done('feedback'), [
    { kind: 'feedback', url: URL_, callSid: CALL, id: 'g1-item_1', revision: 'r1', seq: 1, verdict: { verdict: 'notHelpful', reason: 'wrong' } },
  ]);
  assert.equal(desk.view.suggestions[0]?.feedback.sending, 'sending');
  desk.take({ type: 'verdictDone', id: 'g1-item_1', ended: 'failed' });
  assert.equal(desk.view.suggestions[0]?.feedback.sending, 'failed');
  desk.take({ type: 'verdict', id: 'g1-item_1', verdict: { verdict: 'helpful' } }).take({ type: 'verdictDone', id: 'g1-item_1', ended: 'notMine' });
  assert.deepEqual(desk.view.suggestions[0]?.feedback, { given: null, sending: 'notMine' });
  desk.take({ type: 'verdictDone', id: 'g1-item_9', ended: 'sent' });
  desk.effects = [];
  desk.take({ type: 'use', id: 'g1-item_1', how: 'copy', text: 'answer 1' });
  assert.deepEqual(desk.effects.map(({ kind }) => kind), ['use']);
  desk.effects = [];
  desk.take({ type: 'use', id: 'g1-item_1', how: 'insert', text: 'answer one' });
  assert.deepEqual(desk.effects.map(({ kind }) => kind), ['use', 'feedback']);
});

test('what has not changed stays the same object', () => {
  const desk = new Desk().live().suggestion(1).suggestion(2);
  const before = desk.view;
  assert.equal(desk.view, before);
  desk.take({ type: 'streamMessage', data: { type: 'draft', id: 'g1-x', revision: 'r1', part: 1, answer: 'w' } });
  const after = desk.view;
  assert.notEqual(after, before);
  assert.equal(after.suggestions[1], before.suggestions[0]);
  assert.equal(after.permitted, before.permitted);
  assert.equal(after.status, before.status);
});
