/** One task's assist as data: its state, the events that change it, and what is to be done about it; no more than types and the beginning. */
import type { Configuration } from './configuration';
import type { Alert, Announcement, Failure, FeedbackState, SuggestionView, Tab, Verdict } from './model';
import type { Refusal } from './failures';
import type { RelayStatus } from './messages';
import { EMPTY } from './suggestions';
import type { SuggestionList } from './suggestions';
import type { TaskFacts } from './task';
import { NO_TRANSCRIPT } from './transcript';
import type { TranscriptState } from './transcript';

export type Role = 'agent' | 'supervisor';
export type Action = 'start' | 'stop' | 'pause' | 'resume';

/** What is kept of a task over a reload of the page: no spoken words. */
export interface PersistedState {
  /** The assist was running, as far as this page knew. */
  readonly on: boolean;
  /** The agent stopped it: it does not start by itself again. */
  readonly stopped: boolean;
  readonly byHold: boolean;
  readonly dismissed: readonly string[];
  readonly tab: Tab;
}

export const NOTHING_PERSISTED: PersistedState = { on: false, stopped: false, byHold: false, dismissed: [], tab: 'suggestions' };

/** What the functions answered. */
export interface StreamAnswer {
  /** `starting`, `live`, `paused` or `stopped`. */
  readonly state: string;
  readonly generation: number | null;
  readonly map: string;
  readonly stream: string;
  /** Whether the answer named the objects; the original's did not. */
  readonly named: boolean;
  /** The stop did not count: another worker is in the call. */
  readonly ignored: boolean;
  /** The start lets read along only: another worker is in charge of the call. */
  readonly readsAlong: boolean;
}

export type CallEvent =
  | { readonly type: 'task'; readonly task: TaskFacts; readonly configuration: Configuration }
  | { readonly type: 'hold'; readonly onHold: boolean }
  | { readonly type: 'command'; readonly command: Action | 'retry' | 'dismissAlert' | 'undismiss' }
  | { readonly type: 'switchTab'; readonly tab: Tab }
  | { readonly type: 'dismiss'; readonly id: string }
  | { readonly type: 'verdict'; readonly id: string; readonly verdict: Verdict }
  | { readonly type: 'verdictDone'; readonly id: string; readonly ended: 'sent' | 'failed' | 'notMine' }
  | { readonly type: 'use'; readonly id: string; readonly how: 'copy' | 'insert'; readonly text?: string }
  | { readonly type: 'used'; readonly id: string; readonly used: SuggestionView['used'] }
  | { readonly type: 'answered'; readonly request: number; readonly answer: StreamAnswer }
  | { readonly type: 'refused'; readonly request: number; readonly refusal: Refusal }
  | { readonly type: 'unanswered'; readonly request: number; readonly failure: Failure }
  | { readonly type: 'otherTabStarted' }
  | { readonly type: 'connection'; readonly up: boolean }
  | { readonly type: 'connectionFailed'; readonly failure: Failure }
  | { readonly type: 'mapOpening' }
  | { readonly type: 'mapListed'; readonly items: readonly (readonly [key: string, data: unknown])[] }
  | { readonly type: 'mapItem'; readonly key: string; readonly data: unknown }
  | { readonly type: 'mapItemRemoved'; readonly key: string }
  /** `missing`: it is not there, or this user may not read it (yet): Sync does not tell them apart. */
  | { readonly type: 'mapFailed'; readonly missing: boolean; readonly failure: Failure }
  | { readonly type: 'streamMessage'; readonly data: unknown }
  | { readonly type: 'woke' };

export type Effect =
  | { readonly kind: 'ask'; readonly request: number; readonly action: Action; readonly url: string; readonly callSid: string; readonly taskSid: string }
  /** Opens the call's objects. `patient`: they may come in moments. Following the same Map already: only the Stream may change. */
  | { readonly kind: 'follow'; readonly url: string; readonly callSid: string; readonly map: string; readonly stream: string; readonly patient: boolean }
  | { readonly kind: 'readMapAgain' }
  | { readonly kind: 'unfollow' }
  | { readonly kind: 'connectAgain' }
  | { readonly kind: 'feedback'; readonly url: string; readonly callSid: string; readonly id: string; readonly revision: string; readonly seq: number | null; readonly verdict: Verdict }
  | { readonly kind: 'use'; readonly id: string; readonly how: 'copy' | 'insert'; readonly text: string }
  | { readonly kind: 'persist'; readonly persisted: PersistedState }
  | { readonly kind: 'removePersisted' }
  | { readonly kind: 'broadcastStart'; readonly callSid: string };

export interface Request {
  readonly id: number;
  readonly action: Action;
  readonly attempt: number;
  readonly byHold: boolean;
  /** When it is asked again; null: it is under way. */
  readonly again: number | null;
}

/** Where the assist is, apart from what the relay says. */
export type Stage =
  | { readonly at: 'off'; readonly why: 'notStarted' | 'stopped' | 'callEnded' }
  /** Looking for what may be running already, without starting anything. */
  | { readonly at: 'looking' }
  | { readonly at: 'asking' }
  | { readonly at: 'following' }
  | { readonly at: 'failed'; readonly failure: Failure }
  | { readonly at: 'otherAgent' };

export interface CallState {
  readonly role: Role;
  readonly task: TaskFacts;
  readonly configuration: Configuration;
  /** The call that is assisted: pinned by a start. */
  readonly callSid: string;
  readonly stage: Stage;
  readonly request: Request | null;
  readonly requests: number;
  readonly stopNext: boolean;
  /** Names of what is followed. */
  readonly objects: { readonly map: string; readonly stream: string; readonly named: boolean } | null;
  /** When a lost connection becomes worth a word; null: it is there, or is shown as lost. */
  readonly disconnectedAt: number | null;
  readonly disconnected: boolean;
  readonly relay: RelayStatus | null;
  readonly relayFrom: 'map' | 'stream' | 'answer';
  readonly leastGeneration: number;
  readonly stoppedGeneration: number;
  readonly moving: boolean;
  readonly restartAt: number | null;
  /** When to ask again whether the call is this agent's: she has joined one that another holds. */
  readonly claimAt: number | null;
  readonly liveBy: number | null;
  readonly doubtAt: number | null;
  readonly onHold: boolean;
  /** The agent went on during this hold, or pausing failed: not paused again by itself. */
  readonly holdGivenUp: boolean;
  readonly pausedByHold: boolean;
  readonly alert: Alert | null;
  readonly list: SuggestionList;
  readonly transcript: TranscriptState;
  readonly feedback: ReadonlyMap<string, FeedbackState>;
  readonly used: ReadonlyMap<string, SuggestionView['used']>;
  readonly persisted: PersistedState;
  readonly announced: ReadonlySet<string>;
  readonly announcement: Announcement | null;
  readonly announcements: number;
}

export interface Step {
  readonly state: CallState;
  readonly effects: readonly Effect[];
}

/** How a task was met: just accepted in this page, or found in Flex's store. */
export type Met = 'accepted' | 'found';

export function initialState(role: Role, task: TaskFacts, configuration: Configuration, persisted: PersistedState): CallState {
  return {
    role,
    task,
    configuration,
    callSid: task.callSid,
    stage: { at: 'off', why: 'notStarted' },
    request: null,
    requests: 0,
    stopNext: false,
    objects: null,
    disconnectedAt: null,
    disconnected: false,
    relay: null,
    relayFrom: 'map',
    leastGeneration: 0,
    stoppedGeneration: 0,
    moving: false,
    restartAt: null,
    claimAt: null,
    liveBy: null,
    doubtAt: null,
    onHold: task.onHold === true,
    holdGivenUp: false,
    pausedByHold: persisted.byHold,
    alert: null,
    list: EMPTY,
    transcript: NO_TRANSCRIPT,
    feedback: new Map(),
    used: new Map(),
    persisted,
    announced: new Set(),
    announcement: null,
    announcements: 0,
  };
}
