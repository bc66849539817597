/**
 * What the panel shows of one call: the immutable view that components render and nothing else.
 *
 * Words are the components' own (one file of texts); the core gives codes. The one exception is `detail`: a sentence that the server
 * wrote for the agent, in English, shown as it is below the panel's own words.
 */

/** Why something failed. Every code has its own words and its own advice in the texts. */
export type FailureCode =
  // the functions (/stream, /token)
  | 'unreachable' // no answer from the network: blocked, offline, wrong address
  | 'timedOut' // no answer in time
  | 'signedOut' // the Flex token is not accepted any more: sign in again
  | 'notAWorker' // this Flex user is no worker
  | 'notYourCall' // Twilio does not say that this worker holds the call
  | 'notRunning' // nothing runs for this call that could be watched or paused
  | 'otherAgent' // another worker is in charge of the call now
  | 'originRefused' // this page's address is not among functions.allowedOrigins
  | 'callEnded' // Twilio has no such call in progress
  | 'tooManyStreams' // all of the call's audio streams are in use
  | 'callLimit' // as many calls are assisted as may be at once
  | 'tooManyRequests' // asked too often: wait a moment
  | 'busy' // the server or Twilio is busy: try again in a moment
  | 'serverSetup' // an administrator must mend the server (missing or refused credentials, wrong address)
  | 'serverError' // the server failed at this request
  | 'badAnswer' // the answer was not understood: not the functions' address, or versions that do not fit
  // the relay, by the status it writes
  | 'streamLost' // the call's audio no longer reaches the assistant
  | 'modelUnreachable'
  | 'modelRefused'
  | 'modelQuota'
  | 'modelMisconfigured'
  // Sync: suggestions may be made, but do not reach this page
  | 'syncUnreachable'
  | 'syncRefused' // the access token is not accepted
  | 'syncNotPermitted' // this user may not read the call's suggestions
  // the plugin itself
  | 'noCallSid' // the task does not say which call it is
  | 'internal';

/** What the failed state's button does; `none`: there is no button, the words say what to do. */
export type FailureAction = 'retry' | 'signIn' | 'none';

export interface Failure {
  readonly code: FailureCode;
  readonly action: FailureAction;
  /** The server's own sentence for the agent, if it gave one. English, plain text, at most 500 characters. */
  readonly detail?: string;
  /** Twilio's error code, if its answer was the reason: for the administrator. */
  readonly twilioCode?: number;
}

/** Who must do what, where no address of functions is known. Each has its own words. */
export type Unconfigured =
  | 'noEntry' // no entry in the Flex configuration, no setting of the plugin: a platform engineer applies a VoiceAssist, or sets the address
  | 'noQueue' // entries, but none for this task's queue, and no default
  | 'badUrl'; // the entry's functionsUrl is no https address

/** It does not hear the call rightly; it does not hear the agent; the last turn was blocked by a policy. */
export type ListeningNote = 'audioFormat' | 'agentTrackLost' | 'turnBlocked';

export type AssistStatus =
  | { readonly state: 'off'; readonly why: 'notStarted' | 'stopped' | 'callEnded' }
  | { readonly state: 'starting' }
  /** `note`: what the agent must know although it listens; `detail` is the relay's own word for it, in English. */
  | { readonly state: 'listening'; readonly note?: ListeningNote; readonly detail?: string }
  /** `byHold`: it paused by itself because the call is on hold, and will go on by itself; `spent`: because the budget is spent. */
  | { readonly state: 'paused'; readonly byHold: boolean; readonly spent?: true }
  /** `what`: the assistant's connection to the model, this page's to Sync, or the page's own network. */
  | { readonly state: 'reconnecting'; readonly what: 'model' | 'sync'; readonly detail?: string }
  /** `server`: another relay takes the call over, by itself; `agent`: another agent has the call now. */
  | { readonly state: 'moved'; readonly to: 'server' | 'agent' }
  | { readonly state: 'failed'; readonly failure: Failure }
  | { readonly state: 'notConfigured'; readonly why: Unconfigured; readonly queue?: string };

export type AssistState = AssistStatus['state'];

export interface Source {
  readonly title: string;
  /** https only; anything else is left out. */
  readonly url?: string;
}

export const NOT_HELPFUL_REASONS = ['wrong', 'notRelevant', 'tooLate', 'tooLong', 'other'] as const;
export type NotHelpfulReason = (typeof NOT_HELPFUL_REASONS)[number];

export type Verdict =
  | { readonly verdict: 'helpful' }
  | { readonly verdict: 'notHelpful'; readonly reason?: NotHelpfulReason }
  | { readonly verdict: 'editedAndUsed' };

export interface FeedbackState {
  /** What the agent said last; null: nothing yet. */
  readonly given: Verdict | null;
  /** `sending` also while it is repeated; `failed`: it was given up, asking again is safe; `notMine`: it came to another agent, or is gone. */
  readonly sending: 'no' | 'sending' | 'sent' | 'failed' | 'notMine';
}

/** One card. A draft and the suggestion that it becomes have the same `id`: the card stays and its text grows. */
export interface SuggestionView {
  /** Unique within the call, stable from the first draft on: the React key. */
  readonly id: string;
  /** The prompt's revision; empty for a suggestion in the original's form. */
  readonly revision: string;
  /** The number in the Map; null for a draft, and for one in the original's form. */
  readonly seq: number | null;
  /** The customer's question; empty while it is a draft, or if none was named. */
  readonly question: string;
  readonly answer: string;
  readonly draft: boolean;
  /** A draft that came before it was sure that the customer had finished: it may be taken off again. */
  readonly early?: true;
  /** Its topic has passed: still readable, less prominent. */
  readonly faded: boolean;
  /** The text was cut to fit Sync's limits. */
  readonly truncated: boolean;
  /** When it was finished, epoch milliseconds; null for a draft. */
  readonly at: number | null;
  readonly sources?: readonly Source[];
  /** What kind of suggestion it is, as the server names it (for example `answer`, `warning`, `checklist`). */
  readonly kind?: string;
  /** What was left out of the text, by category (for example `card number`), each once. */
  readonly redactions?: readonly string[];
  readonly feedback: FeedbackState;
  /** What the agent did with it last: for the card's own confirmation (`nowhere`: no field had been used, so it was copied). */
  readonly used: 'no' | 'copied' | 'inserted' | 'nowhere' | 'failed';
}

export interface TranscriptLine {
  /** Stable: the React key. */
  readonly id: string;
  readonly track: 'customer' | 'agent';
  readonly text: string;
  readonly final: boolean;
}

/** Something to be said once by a screen reader; a new `key` is a new announcement, null: there is nothing to say. */
export type Announcement =
  | { readonly key: string; readonly kind: 'suggestion'; readonly question: string; readonly answer: string }
  | { readonly key: string; readonly kind: 'status'; readonly status: AssistStatus }
  | { readonly key: string; readonly kind: 'alert'; readonly alert: Alert }
  | { readonly key: string; readonly kind: 'used'; readonly used: SuggestionView['used'] };

/** A command that failed while the assist's state stays as it is; shown until dismissed or until the command works. */
export interface Alert {
  readonly command: 'stop' | 'pause' | 'resume';
  /** After a failed pause or stop: the audio is STILL being sent; the agent must see it. */
  readonly audioStillSent: boolean;
  readonly failure: Failure;
}

export type Tab = 'suggestions' | 'transcript';

/** What may be asked now; a command that may not is not offered. */
export interface Permitted {
  readonly start: boolean;
  readonly stop: boolean;
  readonly pause: boolean;
  readonly resume: boolean;
  readonly retry: boolean;
  /** Feedback counts only from the agent in the call. */
  readonly feedback: boolean;
}

export interface CallView {
  readonly taskSid: string;
  /** Empty while the task does not name its call. */
  readonly callSid: string;
  /** A supervisor who monitors: may read, and start or stop nothing. */
  readonly readOnly: boolean;
  readonly status: AssistStatus;
  /** A command under way (its button is busy). */
  readonly busy: 'start' | 'stop' | 'pause' | 'resume' | null;
  readonly alert: Alert | null;
  /** The list as it is shown: drafts first, then finished ones, newest first, without those that the agent dismissed. */
  readonly suggestions: readonly SuggestionView[];
  /** How many of the list the agent has taken off; `undismiss` brings them back. */
  readonly dismissed: number;
  /** Whether the list is known: false until the Map has been read for the first time (show a placeholder, not "nothing yet"). */
  readonly listed: boolean;
  /** Oldest first. */
  readonly transcript: readonly TranscriptLine[];
  readonly tab: Tab;
  readonly permitted: Permitted;
  readonly announcement: Announcement | null;
}
