/** What the agent does: commands, verdicts, and what is copied or inserted (pure). */
import type { CallEvent } from './call_state';
import { follow } from './following';
import type { Verdict } from './model';
import { ask, start } from './requests';
import { isAlive, permittedOf } from './status';
import * as suggestions from './suggestions';
import type { Turn } from './turn';

export function command(turn: Turn, command: Extract<CallEvent, { type: 'command' }>['command']): void {
  const { state } = turn;
  const may = permittedOf(state);
  switch (command) {
    case 'start':
      if (may.start) start(turn);
      return;
    case 'stop':
      if (!may.stop) return;
      turn.persist({ stopped: true });
      if (state.request) turn.set({ stopNext: true });
      else ask(turn, 'stop');
      return;
    case 'pause':
      if (may.pause) ask(turn, 'pause');
      return;
    case 'resume':
      if (!may.resume) return;
      turn.set({ holdGivenUp: state.onHold });
      ask(turn, 'resume');
      return;
    case 'retry':
      if (may.retry) retry(turn);
      return;
    case 'dismissAlert':
      return turn.set({ alert: null });
    case 'undismiss':
      return turn.persist({ dismissed: [] });
  }
}

function retry(turn: Turn): void {
  const { state } = turn;
  const failure = state.stage.at === 'failed' ? state.stage.failure : null;
  if (failure?.code.startsWith('sync') && state.objects && (state.relay === null || isAlive(state.relay))) {
    turn.set({ stage: { at: 'following' }, disconnected: false, disconnectedAt: null });
    turn.effects.push({ kind: 'connectAgain' });
    follow(turn, state.objects, true);
    return;
  }
  start(turn);
}

export function verdict(turn: Turn, id: string, verdict: Verdict): void {
  const { state } = turn;
  const { target } = state.configuration;
  const suggestion = suggestions.finishedById(state.list, id);
  if (!suggestion || !permittedOf(state).feedback || 'unconfigured' in target) return;
  turn.set({ feedback: new Map(state.feedback).set(id, { given: verdict, sending: 'sending' }) });
  turn.effects.push({ kind: 'feedback', url: target.url, callSid: state.callSid, id, revision: suggestion.revision, seq: suggestion.seq, verdict });
}

export function verdictDone(turn: Turn, id: string, ended: 'sent' | 'failed' | 'notMine'): void {
  const before = turn.state.feedback.get(id);
  if (!before) return;
  const after = ended === 'notMine' ? { given: null, sending: ended } : { ...before, sending: ended };
  turn.set({ feedback: new Map(turn.state.feedback).set(id, after) });
}

export function use(turn: Turn, id: string, how: 'copy' | 'insert', edited: string | undefined): void {
  const suggestion = suggestions.finishedById(turn.state.list, id);
  const text = edited ?? suggestion?.answer ?? turn.state.list.drafts.get(id)?.answer;
  if (text === undefined) return;
  turn.effects.push({ kind: 'use', id, how, text });
  if (edited !== undefined && edited !== suggestion?.answer) verdict(turn, id, { verdict: 'editedAndUsed' });
}

