/** Every state that the panel can be in, as the core would describe it. Names are the gallery's addresses and the tests' parameters. */
import type { AssistStatus, CallView, FailureCode, Permitted, SuggestionView, TranscriptLine } from '../src/core/model';

const NOON = Date.UTC(2026, 4, 12, 12, 4, 0);
const NOTHING: Permitted = { start: false, stop: false, pause: false, resume: false, retry: false, feedback: true };
const may = (...names: (keyof Permitted)[]): Permitted => ({ ...NOTHING, ...Object.fromEntries(names.map((name) => [name, true])) });

export const ANSWERS: readonly (readonly [question: string, answer: string])[] = [
  ['Can I still change the delivery date of my order?', 'Yes, until the parcel is handed to the carrier. I can move it to any weekday within the next two weeks. Which day suits you?'],
  ['How much does express delivery cost?', 'Express delivery is 9.90 within the country and arrives the next working day if you order before 3 pm.'],
  ['What if the shoes do not fit?', 'You can send them back free of charge within 30 days. I will email you the return label right now.'],
  ['Do you deliver to parcel lockers?', 'Yes. Choose “locker” at checkout, or tell me the locker’s number and I will change the address for you.'],
  ['Where is my invoice?', 'It was sent to the address on file when the order left our warehouse. I can send it once more.'],
  ['Is there a discount for teachers?', 'Yes, 10 % on everything that is not on sale, with a school email address.'],
];

export function suggestion(index: number, fields: Partial<SuggestionView> = {}): SuggestionView {
  const [question, answer] = ANSWERS[index % ANSWERS.length] ?? ['', ''];
  return {
    id: `1-item_${index}`,
    revision: '7f3a91c2',
    seq: index + 1,
    question,
    answer,
    draft: false,
    faded: false,
    truncated: false,
    at: NOON + index * 41_000,
    feedback: { given: null, sending: 'no' },
    used: 'no',
    ...fields,
  };
}

export function draft(index: number, answer: string): SuggestionView {
  return suggestion(index, { answer, question: '', draft: true, at: null, seq: null });
}

/** Newest first; only the newest two are on their topic still. */
export function list(count: number): SuggestionView[] {
  return Array.from({ length: count }, (_, age) => suggestion(count - 1 - age, { faded: age >= 2 }));
}

const TALK: readonly (readonly ['customer' | 'agent', string])[] = [
  ['agent', 'Good afternoon, this is Sam, how can I help you?'],
  ['customer', 'Hi, I ordered a pair of running shoes on Monday and they were meant to come tomorrow, but I will not be at home.'],
  ['agent', 'Let me have a look. Is that the order with the blue ones?'],
  ['customer', 'Exactly. Can I still change the delivery date? And what if they do not fit, can I just send them back?'],
  ['agent', 'Yes, until the parcel is handed to the carrier. I can move it to any weekday within the next two weeks.'],
];
export const transcript = (count: number): TranscriptLine[] =>
  Array.from({ length: count }, (_, index) => {
    const [track, text] = TALK[index % TALK.length] ?? ['customer', ''];
    return { id: `line-${index}`, track, text, final: true };
  });

export function view(status: AssistStatus, fields: Partial<CallView> = {}): CallView {
  return {
    taskSid: 'WT00000000000000000000000000000001',
    callSid: 'CA00000000000000000000000000000001',
    readOnly: false,
    status,
    busy: null,
    alert: null,
    suggestions: [],
    dismissed: 0,
    listed: true,
    transcript: transcript(5),
    tab: 'suggestions',
    permitted: permittedFor(status),
    announcement: null,
    ...fields,
  };
}

function permittedFor(status: AssistStatus): Permitted {
  switch (status.state) {
    case 'off':
      return status.why === 'callEnded' ? NOTHING : may('start');
    case 'starting':
      return may('stop');
    case 'listening':
      return may('stop', 'pause');
    case 'reconnecting':
      return may('stop', 'pause');
    case 'paused':
      return status.spent ? may('stop') : may('stop', 'resume');
    case 'moved':
      return status.to === 'server' ? may('stop') : may('start');
    case 'failed':
      return status.failure.action === 'none' ? NOTHING : may('retry');
    case 'notConfigured':
      return NOTHING;
  }
}

const listening: AssistStatus = { state: 'listening' };
const failed = (code: FailureCode, rest: object = {}): AssistStatus => ({ state: 'failed', failure: { code, action: 'retry', ...rest } });
const HALF = 'Yes, until the parcel is handed to the carrier. I can move it to any';
const LONG =
  'Three things, please:\n• Check that the name on the account is the caller’s own name.\n• Ask for the last two digits of the postcode and for the date of the last order, never for the password.\n• If either is wrong, say: “For your security I cannot change this by telephone. I am sending you a link to the address that we have on file.” Then close the request as “not verified” and tell nobody which of the two was wrong.';

export const STATES = {
  off: () => view({ state: 'off', why: 'notStarted' }),
  'off-stopped': () => view({ state: 'off', why: 'stopped' }, { suggestions: list(4) }),
  'off-call-ended': () => view({ state: 'off', why: 'callEnded' }, { suggestions: list(4) }),
  starting: () => view({ state: 'starting' }),
  'starting-busy': () => view({ state: 'starting' }, { busy: 'start' }),
  'listening-empty': () => view(listening),
  'listening-loading': () => view(listening, { listed: false }),
  listening: () => view(listening, { suggestions: list(6) }),
  'listening-busy': () => view(listening, { suggestions: list(3), busy: 'pause' }),
  'listening-noise': () =>
    view({ state: 'listening', note: 'audioFormat', detail: 'The model’s service counts 25 % of the audio that it is sent.' }, { suggestions: list(1) }),
  'listening-agent-lost-empty': () => view({ state: 'listening', note: 'agentTrackLost' }),
  'listening-blocked': () => view({ state: 'listening', note: 'turnBlocked' }, { suggestions: list(3) }),
  draft: () => view(listening, { suggestions: [draft(9, HALF), ...list(5)] }),
  'draft-early': () => view(listening, { suggestions: [{ ...draft(9, HALF), early: true }, ...list(2)] }),
  'draft-first': () => view(listening, { suggestions: [draft(9, 'Yes, until')] }),
  rich: () =>
    view(listening, {
      suggestions: [
        suggestion(3, {
          kind: 'answer',
          sources: [
            { title: 'Delivery: changing the date', url: 'https://help.example.com/delivery/change' },
            { title: 'Terms 4.2', url: 'https://help.example.com/terms#4-2' },
            { title: 'Team handbook' },
          ],
          redactions: ['card number', 'email'],
        }),
        suggestion(2, { kind: 'warning', question: 'Caller asks to change the bank account', answer: LONG, truncated: true }),
        suggestion(1, { kind: 'checklist', faded: true, redactions: ['card number'] }),
      ],
    }),
  'without-question': () => view(listening, { suggestions: [suggestion(1, { question: '', revision: '', seq: null }), suggestion(0, { question: '' })] }),
  used: () =>
    view(listening, {
      suggestions: [
        suggestion(3, { used: 'copied', feedback: { given: { verdict: 'helpful' }, sending: 'sent' } }),
        suggestion(2, { used: 'inserted' }),
        suggestion(1, { used: 'nowhere' }),
        suggestion(0, { used: 'failed', faded: true }),
      ],
    }),
  'not-helpful': () => view(listening, { suggestions: [suggestion(3, { feedback: { given: { verdict: 'notHelpful' }, sending: 'sent' } }), ...list(3)] }),
  'feedback-not-mine': () => view(listening, { suggestions: [suggestion(3, { feedback: { given: null, sending: 'notMine' } }), ...list(3)] }),
  'feedback-failed': () => view(listening, { suggestions: [suggestion(3, { feedback: { given: { verdict: 'notHelpful', reason: 'wrong' }, sending: 'failed' } }), ...list(3)] }),
  dismissed: () => view(listening, { suggestions: list(3), dismissed: 2 }),
  paused: () => view({ state: 'paused', byHold: false }, { suggestions: list(4) }),
  'paused-empty': () => view({ state: 'paused', byHold: false }),
  'budget-spent': () => view({ state: 'paused', byHold: false, spent: true }, { suggestions: list(4) }),
  'paused-by-hold': () => view({ state: 'paused', byHold: true }, { suggestions: list(4) }),
  'reconnecting-model': () => view({ state: 'reconnecting', what: 'model', detail: 'The model closed the connection; trying again, 2 of 5.' }, { suggestions: list(4) }),
  'reconnecting-sync': () => view({ state: 'reconnecting', what: 'sync' }, { suggestions: list(4) }),
  'reconnecting-empty': () => view({ state: 'reconnecting', what: 'sync' }),
  'moved-server': () => view({ state: 'moved', to: 'server' }, { suggestions: list(4) }),
  'moved-agent': () => view({ state: 'moved', to: 'agent' }, { suggestions: list(4) }),
  failed: () => view(failed('unreachable')),
  'failed-with-list': () =>
    view(failed('streamLost', { detail: 'The stream of this call ended at Twilio (31921). Start again to go on.', twilioCode: 31921 }), { suggestions: list(4) }),
  'failed-no-button': () => view(failed('originRefused', { action: 'none' })),
  'failed-signed-out': () => view(failed('signedOut', { action: 'signIn' }), { suggestions: list(2) }),
  'not-configured': () => view({ state: 'notConfigured', why: 'noEntry' }),
  'not-configured-queue': () => view({ state: 'notConfigured', why: 'noQueue', queue: 'Returns and complaints' }),
  'not-configured-url': () => view({ state: 'notConfigured', why: 'badUrl' }),
  'alert-pause': () =>
    view(listening, { suggestions: list(3), alert: { command: 'pause', audioStillSent: true, failure: { code: 'serverError', action: 'retry', detail: 'The relay with the audio did not confirm the pause.' } } }),
  'alert-resume': () => view({ state: 'paused', byHold: false }, { suggestions: list(3), alert: { command: 'resume', audioStillSent: false, failure: { code: 'busy', action: 'retry' } } }),
  supervisor: () => view(listening, { suggestions: list(4), readOnly: true, permitted: { ...NOTHING, feedback: false } }),
  'supervisor-failed': () => view(failed('notRunning'), { readOnly: true, permitted: { ...NOTHING, feedback: false, retry: true } }),
  transcript: () => view(listening, { tab: 'transcript', transcript: [...transcript(12), { id: 'open', track: 'customer', text: 'And could you', final: false }] }),
  'transcript-empty': () => view(listening, { tab: 'transcript', transcript: [] }),
  many: () => view(listening, { suggestions: list(200), transcript: transcript(400) }),
} satisfies Record<string, () => CallView>;

export type StateName = keyof typeof STATES;
