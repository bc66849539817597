/**
 * Reads what the relay writes to Sync (crds/src/voiceassist_crds/messages.py), leniently: other versions may write more, and anybody who
 * knows a Stream's name may write to it. What cannot be understood is null, never an exception.
 */
import type { Source } from './model';

/** A finished suggestion. */
export interface Suggestion {
  readonly id: string;
  readonly revision: string;
  /** The number in the Map; null in the original's form. */
  readonly seq: number | null;
  readonly question: string;
  readonly answer: string;
  /** Epoch milliseconds by the relay's clock, when it was finished; null if it was not said. */
  readonly at: number | null;
  /** Milliseconds from the customer's last syllable to `at`; null if it was not measured. */
  readonly latencyMs: number | null;
  readonly truncated: boolean;
  readonly sources?: readonly Source[];
  readonly kind?: string;
  readonly redactions?: readonly string[];
}

export type RelayState = 'starting' | 'live' | 'paused' | 'reconnecting' | 'stopped' | 'lost' | 'failed';

export interface RelayStatus {
  readonly id: string;
  readonly state: RelayState;
  /** StatusReason of the relay, for example `StreamLost`; unknown ones are possible. */
  readonly reason: string;
  /** For the agent's eyes, in English. */
  readonly message: string;
  readonly generation: number;
  /** Unique name of the call's Stream; empty if it was not said. */
  readonly stream: string;
  readonly at: number;
}

export interface Draft {
  readonly id: string;
  readonly revision: string;
  readonly part: number;
  readonly answer: string;
  /** The customer may not have finished: it is withdrawn if the sentence goes on. */
  readonly early?: true;
}

export interface Transcript {
  readonly id: string;
  readonly track: 'customer' | 'agent';
  readonly part: number;
  readonly text: string;
  readonly final: boolean;
}

export type StreamMessage =
  | { readonly type: 'draft'; readonly draft: Draft }
  | { readonly type: 'suggestion'; readonly suggestion: Suggestion }
  | { readonly type: 'withdrawn'; readonly id: string }
  | { readonly type: 'transcript'; readonly transcript: Transcript }
  | { readonly type: 'status'; readonly status: RelayStatus };

export type MapItem =
  | { readonly type: 'suggestion'; readonly seq: number; readonly suggestion: Suggestion }
  | { readonly type: 'status'; readonly status: RelayStatus };

/** The Map's one key that is not a number. */
export const STATUS_KEY = 'status';

const MAX_TEXT = 20_000;
const MAX_LABEL = 200;
const MAX_PARTS = 20;
const SUGGESTION_KEY = /^[0-9]{1,9}$/;
const STATES: ReadonlySet<string> = new Set<RelayState>(['starting', 'live', 'paused', 'reconnecting', 'stopped', 'lost', 'failed']);

type Fields = Readonly<Record<string, unknown>>;

/** A message of the call's Stream. */
export function readStreamMessage(data: unknown): StreamMessage | null {
  const fields = asFields(data);
  if (!fields) return null;
  switch (fields.type) {
    case 'draft': {
      const id = identifier(fields);
      const part = whole(fields.part);
      if (!id || part === null || typeof fields.answer !== 'string') return null;
      const early = fields.early === true ? ({ early: true } as const) : {};
      return { type: 'draft', draft: { id, revision: label(fields.revision), part, answer: text(fields.answer), ...early } };
    }
    case 'withdrawn': {
      const id = identifier(fields);
      return id ? { type: 'withdrawn', id } : null;
    }
    case 'transcript': {
      const id = identifier(fields);
      const part = whole(fields.part);
      const { track } = fields;
      if (!id || part === null || typeof fields.text !== 'string' || (track !== 'customer' && track !== 'agent')) return null;
      return { type: 'transcript', transcript: { id, track, part, text: text(fields.text), final: fields.final === true } };
    }
    case 'status': {
      const status = readStatus(fields);
      return status && { type: 'status', status };
    }
    case 'suggestion': {
      const suggestion = readSuggestion(fields, whole(fields.seq)) ?? inOriginalForm(fields);
      return suggestion && { type: 'suggestion', suggestion };
    }
    default: {
      const suggestion = inOriginalForm(fields);
      return suggestion && { type: 'suggestion', suggestion };
    }
  }
}

/** An item of the call's Map. The key is the suggestion's number, whatever its data says. */
export function readMapItem(key: string, data: unknown): MapItem | null {
  const fields = asFields(data);
  if (!fields) return null;
  if (key === STATUS_KEY) {
    const status = readStatus(fields);
    return status && { type: 'status', status };
  }
  const seq = seqOf(key);
  const suggestion = seq === null ? null : readSuggestion(fields, seq);
  return suggestion && seq !== null ? { type: 'suggestion', seq, suggestion } : null;
}

/** The number of a suggestion's key; null for other keys. */
export function seqOf(key: string): number | null {
  return SUGGESTION_KEY.test(key) ? Number(key) : null;
}

/** Whether `a` is the later one of two states of a call. */
export function isLater(a: RelayStatus, b: RelayStatus): boolean {
  if (a.generation !== b.generation) return a.generation > b.generation;
  if (a.at !== b.at) return a.at > b.at;
  return counted(a.id) > counted(b.id);
}

function readSuggestion(fields: Fields, seq: number | null): Suggestion | null {
  const id = identifier(fields);
  if (!id || typeof fields.answer !== 'string') return null;
  const sources = list(fields.sources, asSource);
  const redactions = [...new Set(list(fields.redactions, asRedaction))];
  const kind = label(fields.kind);
  return {
    id,
    revision: label(fields.revision),
    seq,
    question: text(fields.question),
    answer: text(fields.answer),
    at: whole(fields.at),
    latencyMs: whole(fields.latencyMs),
    truncated: fields.truncated === true,
    ...(sources.length ? { sources } : {}),
    ...(kind ? { kind } : {}),
    ...(redactions.length ? { redactions } : {}),
  };
}

/** What the original server sent: {"transcript": "{\"question\": …, \"answer\": …}"}, and nothing that names it. */
function inOriginalForm(fields: Fields): Suggestion | null {
  const said = fields.transcript;
  const parsed = typeof said === 'string' ? asFields(parseJson(said)) : asFields(said);
  const question = parsed ? text(parsed.question) : '';
  const answer = parsed ? text(parsed.answer) : typeof said === 'string' ? text(said).trim() : '';
  if (!answer) return null;
  const id = `original-${digest(`${question}\n${answer}`)}`;
  return { id, revision: '', seq: null, question, answer, at: null, latencyMs: null, truncated: false };
}

function readStatus(fields: Fields): RelayStatus | null {
  const { state } = fields;
  const generation = whole(fields.generation);
  if (typeof state !== 'string' || !STATES.has(state) || generation === null) return null;
  return {
    id: identifier(fields),
    state: state as RelayState,
    reason: label(fields.reason),
    message: text(fields.message).slice(0, 500),
    generation,
    stream: label(fields.stream),
    at: whole(fields.at) ?? 0,
  };
}

function asSource(value: unknown): Source | null {
  if (typeof value === 'string') return value.trim() ? { title: label(value) } : null;
  const fields = asFields(value);
  if (!fields) return null;
  const url = typeof fields.url === 'string' && fields.url.length <= 2000 && /^https:\/\/[^\s]+$/i.test(fields.url) ? fields.url : undefined;
  const title = label(fields.title) || (url === undefined ? '' : url.slice(0, MAX_LABEL));
  if (!title) return null;
  return url === undefined ? { title } : { title, url };
}

function asRedaction(value: unknown): string | null {
  if (typeof value === 'string') return label(value) || null;
  const fields = asFields(value);
  return fields ? label(fields.category) || label(fields.kind) || null : null;
}

function list<T>(value: unknown, read: (part: unknown) => T | null): T[] {
  if (!Array.isArray(value)) return [];
  return value.slice(0, MAX_PARTS).flatMap((part) => read(part) ?? []);
}

function asFields(value: unknown): Fields | null {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Fields) : null;
}

function parseJson(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return null;
  }
}

function identifier(fields: Fields): string {
  return label(fields.id);
}

function label(value: unknown): string {
  return typeof value === 'string' ? value.trim().slice(0, MAX_LABEL) : '';
}

function text(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, MAX_TEXT) : '';
}

function whole(value: unknown): number | null {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0 ? value : null;
}

/** The relay numbers its states: g1-status-3. */
function counted(id: string): number {
  const found = /-([0-9]{1,9})$/.exec(id);
  return found ? Number(found[1]) : -1;
}

/** FNV-1a of a text, from either end: enough to know the same text again within a call. */
function digest(value: string): string {
  let forth = 0x811c9dc5;
  let back = 0x811c9dc5;
  for (let i = 0; i < value.length; i += 1) {
    forth = Math.imul(forth ^ value.charCodeAt(i), 0x01000193);
    back = Math.imul(back ^ value.charCodeAt(value.length - 1 - i), 0x01000193);
  }
  return `${(forth >>> 0).toString(36)}-${(back >>> 0).toString(36)}`;
}
