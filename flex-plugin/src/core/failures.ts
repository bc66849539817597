/** From what a server, Sync or the relay's status says to a failure that has words of its own. Texts of foreign errors are not passed on. */
import type { RelayStatus } from './messages';
import type { Failure, FailureAction, FailureCode } from './model';

/** An answer of the functions that is an error, as far as it could be read. */
export interface Refusal {
  readonly status: number;
  /** `error.code`; empty if the answer is not in the documented form. */
  readonly code: string;
  readonly message: string;
  readonly hint: string;
  readonly twilioCode: number | null;
  /** Seconds; null where there was no Retry-After. */
  readonly retryAfter: number | null;
}

const BY_CODE: Readonly<Record<string, readonly [FailureCode, FailureAction]>> = {
  token_missing: ['signedOut', 'signIn'],
  token_invalid: ['signedOut', 'signIn'],
  not_a_worker: ['notAWorker', 'none'],
  not_your_call: ['notYourCall', 'retry'],
  not_running: ['notRunning', 'retry'],
  not_in_the_call: ['otherAgent', 'none'],
  origin: ['originRefused', 'none'],
  call_ended: ['callEnded', 'none'],
  too_many_streams: ['tooManyStreams', 'retry'],
  superseded: ['busy', 'retry'],
  call_limit: ['callLimit', 'retry'],
  rate: ['tooManyRequests', 'retry'],
  no_api_key: ['serverSetup', 'retry'],
  no_auth_token: ['serverSetup', 'retry'],
  twilio_credentials: ['serverSetup', 'retry'],
  no_workspace: ['serverSetup', 'retry'],
  stream_url: ['serverSetup', 'retry'],
  twilio_busy: ['busy', 'retry'],
  busy: ['busy', 'retry'],
  contended: ['busy', 'retry'],
  slow: ['timedOut', 'retry'],
  relay_slow: ['timedOut', 'retry'],
  relay_unreachable: ['unreachable', 'retry'],
};

/** Codes whose message says what to do better than our words could: an administrator's hint. */
const WITH_DETAIL: ReadonlySet<FailureCode> = new Set<FailureCode>(['serverSetup', 'serverError', 'originRefused', 'notRunning', 'tooManyStreams', 'callLimit']);

const MODEL: Readonly<Record<string, FailureCode>> = {
  ModelUnreachable: 'modelUnreachable',
  ModelRefused: 'modelRefused',
  ModelQuota: 'modelQuota',
  ModelMisconfigured: 'modelMisconfigured',
  StreamLost: 'streamLost',
};

/** A failure in the documented form, or by its status alone. */
export function fromRefusal(refusal: Refusal): Failure {
  const [code, action] = BY_CODE[refusal.code] ?? byStatus(refusal.status);
  const told = [refusal.message, refusal.hint].filter(Boolean).join(' ').slice(0, 500);
  return {
    code,
    action,
    ...(told && WITH_DETAIL.has(code) ? { detail: told } : {}),
    ...(refusal.twilioCode === null ? {} : { twilioCode: refusal.twilioCode }),
  };
}

/** The state `lost` or `failed` of the relay, in a failure's form. */
export function fromStatus(status: RelayStatus): Failure {
  const code = MODEL[status.reason] ?? (status.state === 'failed' ? 'serverError' : 'streamLost');
  return { code, action: 'retry', ...(status.message ? { detail: status.message } : {}) };
}

/** Whether asking again by itself may help, without the agent's doing. */
export function isPassing(failure: Failure): boolean {
  return failure.code === 'notYourCall' || failure.code === 'busy' || failure.code === 'tooManyRequests';
}

function byStatus(status: number): readonly [FailureCode, FailureAction] {
  if (status === 401) return ['signedOut', 'signIn'];
  if (status === 408 || status === 504) return ['timedOut', 'retry'];
  if (status === 429) return ['tooManyRequests', 'retry'];
  if (status === 503) return ['busy', 'retry'];
  if (status >= 500) return ['serverError', 'retry'];
  return ['badAnswer', 'retry'];
}
