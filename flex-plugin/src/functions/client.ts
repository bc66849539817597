/**
 * Asks the functions: /stream, /token, /feedback. Each request reads the Flex token anew and has a time-out; nothing here throws.
 *
 * Bodies are forms: those need no CORS preflight, so a start is one round trip.
 */
import type { Action, StreamAnswer } from '../core/call_state';
import type { Refusal } from '../core/failures';
import type { Failure, NotHelpfulReason, Verdict } from '../core/model';

/** Milliseconds until a request is given up. A start may wait for Twilio, a pause for the relay with the audio. */
export const TIMEOUTS = { stream: 20_000, token: 10_000, feedback: 10_000 } as const;

export type Outcome<T> =
  | { readonly kind: 'ok'; readonly value: T }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'failed'; readonly failure: Failure };

export interface SyncToken {
  readonly token: string;
  /** Epoch milliseconds by the server's clock. */
  readonly expires: number;
}

export interface Painted {
  /** When the suggestion was finished, epoch milliseconds, as the Map has it. */
  readonly at: number;
  readonly latencyMs: number | null;
  /** Milliseconds from the paint to this request. */
  readonly agoMs: number;
}

/** Which suggestion a report is about; `seq` null: its number in the Map is not known. */
export interface Rated {
  readonly id: string;
  readonly revision: string;
  readonly seq: number | null;
}

export interface FunctionsDependencies {
  readonly fetch: typeof fetch;
  /** Flex's token of this moment; '' when there is none. */
  readonly flexToken: () => string;
}

type Fields = Readonly<Record<string, string>>;

export class FunctionsClient {
  constructor(private readonly dependencies: FunctionsDependencies) {}

  async stream(url: string, action: Action, callSid: string, taskSid: string): Promise<Outcome<StreamAnswer>> {
    const fields = { action, callSid, ...(taskSid ? { taskSid } : {}) };
    return this.ask(`${url}/stream`, fields, TIMEOUTS.stream, readStreamAnswer);
  }

  async token(url: string): Promise<Outcome<SyncToken>> {
    return this.ask(`${url}/token`, {}, TIMEOUTS.token, readSyncToken);
  }

  async verdict(url: string, callSid: string, about: Rated, verdict: Verdict): Promise<Outcome<true>> {
    const fields: Record<string, string> = { callSid, ...ratedFields(about), verdict: WIRE_VERDICT[verdict.verdict] };
    if (verdict.verdict === 'notHelpful' && verdict.reason) fields.reason = WIRE_REASON[verdict.reason];
    return this.ask(`${url}/feedback`, fields, TIMEOUTS.feedback, () => true);
  }

  async painted(url: string, callSid: string, about: Rated, painted: Painted): Promise<Outcome<true>> {
    const { at, latencyMs, agoMs } = painted;
    const fields: Record<string, string> = { callSid, ...ratedFields(about), verdict: 'painted', at: String(at), agoMs: String(Math.round(agoMs)) };
    if (latencyMs !== null) fields.latencyMs = String(Math.round(latencyMs));
    return this.ask(`${url}/feedback`, fields, TIMEOUTS.feedback, () => true);
  }

  private async ask<T>(url: string, fields: Fields, timeoutMs: number, read: (body: unknown) => T | null): Promise<Outcome<T>> {
    const token = this.dependencies.flexToken();
    const first = await this.askOnce(url, fields, token, timeoutMs, read);
    if (first.kind !== 'refused' || first.refusal.status !== 401) return first;
    const renewed = this.dependencies.flexToken();
    return renewed && renewed !== token ? this.askOnce(url, fields, renewed, timeoutMs, read) : first;
  }

  private async askOnce<T>(url: string, fields: Fields, token: string, timeoutMs: number, read: (body: unknown) => T | null): Promise<Outcome<T>> {
    if (!token) return failed('signedOut', 'signIn');
    const abort = new AbortController();
    const timer = setTimeout(() => abort.abort(), timeoutMs);
    try {
      const response = await this.dependencies.fetch(url, {
        method: 'POST',
        body: new URLSearchParams({ ...fields, Token: token }),
        credentials: 'omit',
        cache: 'no-store',
        redirect: 'error',
        referrerPolicy: 'no-referrer',
        signal: abort.signal,
      });
      const body: unknown = await response.json().catch(() => null);
      if (abort.signal.aborted) return failed('timedOut');
      if (!response.ok) return { kind: 'refused', refusal: readRefusal(response, body) };
      const value = read(body);
      return value === null ? failed('badAnswer') : { kind: 'ok', value };
    } catch {
      return failed(abort.signal.aborted ? 'timedOut' : 'unreachable');
    } finally {
      clearTimeout(timer);
    }
  }
}

function ratedFields({ id, revision, seq }: Rated): Record<string, string> {
  return { id, revision, ...(seq === null ? {} : { seq: String(seq) }) };
}

const WIRE_REASON: Readonly<Record<NotHelpfulReason, string>> = {
  wrong: 'wrong',
  notRelevant: 'not_relevant',
  tooLate: 'too_late',
  tooLong: 'too_long',
  other: 'other',
};

const WIRE_VERDICT = { helpful: 'up', notHelpful: 'down', editedAndUsed: 'edited' } as const;

function failed(code: Failure['code'], action: Failure['action'] = 'retry'): Outcome<never> {
  return { kind: 'failed', failure: { code, action } };
}

function readStreamAnswer(body: unknown): StreamAnswer | null {
  const state = field(body, 'state');
  if (typeof state !== 'string') return null;
  const generation = field(body, 'generation');
  const map = field(body, 'map');
  const stream = field(body, 'stream');
  return {
    state,
    generation: typeof generation === 'number' ? generation : null,
    map: typeof map === 'string' ? map : '',
    stream: typeof stream === 'string' ? stream : '',
    named: typeof map === 'string' && map !== '',
    ignored: typeof field(body, 'ignored') === 'string',
    readsAlong: field(body, 'outcome') === 'watching',
  };
}

function readSyncToken(body: unknown): SyncToken | null {
  const token = field(body, 'token');
  const expires = field(body, 'expires');
  return typeof token === 'string' && token && typeof expires === 'number' ? { token, expires: expires * 1000 } : null;
}

function readRefusal(response: Response, body: unknown): Refusal {
  const error = field(body, 'error');
  const twilioCode = field(field(error, 'twilio'), 'code');
  const seconds = Number(response.headers.get('retry-after') ?? NaN);
  return {
    status: response.status,
    code: text(field(error, 'code')),
    message: text(field(error, 'message')),
    hint: text(field(error, 'hint')),
    twilioCode: typeof twilioCode === 'number' ? twilioCode : null,
    retryAfter: Number.isFinite(seconds) && seconds >= 0 ? seconds : null,
  };
}

function field(holder: unknown, name: string): unknown {
  return typeof holder === 'object' && holder !== null ? (holder as Record<string, unknown>)[name] : undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
