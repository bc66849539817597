/**
 * The one connection to Sync of a Flex session (for each address of functions): its client, its token, and whether it lives.
 *
 * The client does not notice a dead socket, waits for ever for an answer, and stays closed after some ways of being closed. So: a
 * time-out dependencies each wait, a probe when nothing was heard for a while, a token before the old one ends, and a new client where the
 * old one cannot be brought back. Who follows a call is told of each new client, and reads everything anew from it.
 */
import { fromRefusal } from '../core/failures';
import type { Failure } from '../core/model';
import type { Outcome, SyncToken } from '../functions/client';
import type { Log } from '../log';
import { syncErrorOf } from './client';
import type { Client, MakeClient } from './client';
import { backoff, pause, within } from './waiting';

/** Milliseconds. */
export interface ConnectionTiming {
  /** From a new client to `connected`. */
  readonly connect: number;
  /** Around a token update. */
  readonly update: number;
  /** After a close, until the client says `disconnected` (it takes 3 s). */
  readonly disconnect: number;
  /** So long before its end a token is replaced. */
  readonly early: number;
  /** Nothing heard for so long: ask something. */
  readonly silence: number;
  /** For the answer to that. */
  readonly probe: number;
  /** Between attempts, first and longest. */
  readonly retryFirst: number;
  readonly retryMost: number;
}

export const CONNECTION_TIMING: ConnectionTiming = {
  connect: 20_000,
  update: 15_000,
  disconnect: 8000,
  early: 5 * 60_000,
  silence: 20_000,
  probe: 8000,
  retryFirst: 1000,
  retryMost: 30_000,
};

/** What a token is taken to last when its end is not believable, for example because this machine's clock is wrong. */
const TOKEN_LIFE = 55 * 60_000;
const MIN_LIFE = 2 * 60_000;
const MAX_LIFE = 25 * 3_600_000;
/** An object that is not there: a refusal is an answer. */
const PROBE_NAME = 'VA_PROBE';

export interface Follower {
  /** A client to open everything with, from scratch. */
  clientReady(client: Client): void;
  connectionChanged(up: boolean): void;
  /** No connection can be had, by itself not again. */
  connectionFailed(failure: Failure): void;
}

export class SyncConnection {
  private readonly followers = new Set<Follower>();
  private client: Client | null = null;
  private up = false;
  /** The client was connected once: objects can be opened with it, if need be when it is back. */
  private ready = false;
  private working: Promise<void> | null = null;
  /** Somebody asked for a connection while other work was under way. */
  private wanted = false;
  private renewAt: number | null = null;
  private lastHeard = 0;
  private probing = false;
  private failures = 0;
  private ticker: ReturnType<typeof setInterval> | null = null;

  constructor(
    private readonly token: () => Promise<Outcome<SyncToken>>,
    private readonly make: MakeClient,
    private readonly log: Log,
    private readonly timing: ConnectionTiming = CONNECTION_TIMING,
  ) {}

  add(follower: Follower): void {
    if (this.followers.has(follower)) return;
    this.followers.add(follower);
    this.lastHeard = Date.now();
    this.ticker ??= setInterval(() => this.tick(), Math.min(1000, this.timing.silence / 4));
    follower.connectionChanged(this.up);
    if (this.client && this.ready) follower.clientReady(this.client);
    else if (!this.client) this.connectSoon();
  }

  remove(follower: Follower): void {
    this.followers.delete(follower);
    if (this.followers.size || !this.ticker) return;
    clearInterval(this.ticker);
    this.ticker = null;
  }

  /** Whether it is this connection's client still. */
  has(client: Client): boolean {
    return this.client === client;
  }

  /** Something came from Sync: it lives. */
  heard(): void {
    this.lastHeard = Date.now();
  }

  /** The agent asks for another try. */
  again(): void {
    this.failures = 0;
    this.connectSoon();
  }

  private connectSoon(): void {
    this.wanted = true;
    this.work(() => this.connect());
  }

  /** One piece of work at a time; what is asked for meanwhile is what that work is about. */
  private work(job: () => Promise<void>): void {
    if (this.working) return;
    this.working = job()
      .catch(() => this.log.warn('sync: unexpected failure'))
      .finally(() => {
        this.working = null;
        if (this.client && this.followers.size && this.isEnded(this.client)) this.work(() => this.revive());
        else if (!this.client && this.followers.size && this.wanted) this.work(() => this.connect());
      });
  }

  /** Every second: the token's end, and signs of life. Without followers nothing is sent. */
  private tick(): void {
    const { client } = this;
    if (!client || this.working) return;
    const now = Date.now();
    if (this.renewAt !== null && now >= this.renewAt) this.work(() => this.renew());
    else if (this.up && now - this.lastHeard >= this.timing.silence && !this.probing) void this.probe(client);
  }

  private async connect(): Promise<void> {
    this.wanted = false;
    this.drop();
    while (this.followers.size) {
      const token = await this.newToken();
      if (token === 'final') return;
      if (token && (await this.open(token.text))) {
        this.failures = 0;
        return;
      }
      if (!this.followers.size) return;
      await pause(backoff(this.failures, this.timing.retryFirst, this.timing.retryMost));
      this.failures += 1;
    }
  }

  /** A new client that is connected; false if it did not come to that in time. */
  private async open(token: string): Promise<boolean> {
    const client = this.make(token);
    this.client = client;
    const connected = new Promise<void>((resolve, reject) => {
      client.on('connectionStateChanged', ((state: string) => {
        if (state === 'connected') resolve();
        if (state === 'denied' || state === 'disconnected') reject(new Error(state));
        this.changed(client, state);
      }) as never);
      if (client.connectionState === 'connected') resolve();
    });
    client.on('tokenAboutToExpire', (() => this.mine(client) && this.work(() => this.renew())) as never);
    client.on('tokenExpired', (() => this.mine(client) && this.work(() => this.revive())) as never);
    try {
      await within(connected, this.timing.connect);
    } catch {
      this.log.warn('sync: not connected in time', { state: client.connectionState });
      this.drop();
      return false;
    }
    if (!this.mine(client)) return false;
    this.heard();
    this.ready = true;
    this.setUp(true);
    for (const follower of [...this.followers]) follower.clientReady(client);
    return true;
  }

  /** A token that is about to end. Without followers it may end. As long as it lasts, a failure is tried again, and no word said. */
  private async renew(): Promise<void> {
    const { client } = this;
    if (!client) return;
    if (!this.followers.size) return this.drop();
    const token = await this.newToken(true);
    if (!this.mine(client)) return;
    if (!token || token === 'final') {
      this.renewAt = Date.now() + backoff(this.failures, this.timing.retryFirst, this.timing.retryMost);
      this.failures += 1;
      return;
    }
    this.failures = 0;
    if (!(await this.update(client, token.text)) && this.mine(client)) await this.connect();
  }

  /** The client was closed, or its token refused: a new token, and if that does not bring it back, a new client. */
  private async revive(): Promise<void> {
    const { client } = this;
    if (!client || !this.followers.size) return this.drop();
    const token = await this.newToken();
    if (!this.mine(client)) return;
    if (token === 'final') return this.drop();
    if (token && (await this.update(client, token.text))) {
      this.failures = 0;
      return;
    }
    if (this.mine(client)) await this.connect();
  }

  private async update(client: Client, token: string): Promise<boolean> {
    try {
      await this.untilNotDisconnecting(client);
      await within(client.updateToken(token), this.timing.update);
      await this.untilConnected(client);
      return this.mine(client);
    } catch (error) {
      this.log.warn('sync: token not taken', syncErrorOf(error));
      return false;
    }
  }

  /** An update during the closing would be lost with the old connection. */
  private async untilNotDisconnecting(client: Client): Promise<void> {
    const end = Date.now() + this.timing.disconnect;
    while (client.connectionState === 'disconnecting' && Date.now() < end) await pause(50);
  }

  private async untilConnected(client: Client): Promise<void> {
    const end = Date.now() + this.timing.connect;
    while (client.connectionState !== 'connected') {
      if (Date.now() >= end || client.connectionState === 'denied') throw new Error('not connected');
      await pause(50);
    }
    if (this.mine(client)) this.changed(client, 'connected');
  }

  private changed(client: Client, state: string): void {
    if (!this.mine(client)) return;
    if (state === 'connected') {
      this.heard();
      this.setUp(this.ready);
      return;
    }
    this.setUp(false);
    if (this.isEnded(client)) this.work(() => this.revive());
  }

  /** `disconnected` and `denied` are for good unless a token is given to the client. */
  private isEnded(client: Client): boolean {
    return client.connectionState === 'disconnected' || client.connectionState === 'denied';
  }

  private async probe(client: Client): Promise<void> {
    this.probing = true;
    try {
      const opened = await within(client.document({ id: PROBE_NAME, mode: 'open_existing' }), this.timing.probe, (late) => late.close());
      opened.close();
      this.heard();
    } catch (error) {
      const answered = syncErrorOf(error).status >= 400;
      if (answered) {
        this.heard();
      } else if (this.mine(client) && this.up && this.followers.size) {
        this.log.warn('sync: the connection is dead');
        this.setUp(false);
        this.work(() => this.connect());
      }
    } finally {
      this.probing = false;
    }
  }

  /** Null: none just now; `final`: none without somebody's doing, and the followers were told, if not `quiet`. */
  private async newToken(quiet = false): Promise<{ readonly text: string } | 'final' | null> {
    const outcome = await this.token();
    if (outcome.kind === 'ok') {
      const now = Date.now();
      const believed = outcome.value.expires - now;
      const life = believed >= MIN_LIFE && believed <= MAX_LIFE ? believed : TOKEN_LIFE;
      this.renewAt = now + Math.max(life / 2, life - this.timing.early);
      return { text: outcome.value.token };
    }
    const failure = outcome.kind === 'refused' ? fromRefusal(outcome.refusal) : outcome.failure;
    this.log.warn('sync: no access token', { why: failure.code });
    if (!isFinal(failure)) return null;
    if (!quiet) for (const follower of [...this.followers]) follower.connectionFailed(failure);
    return 'final';
  }

  private setUp(up: boolean): void {
    if (this.up === up) return;
    this.up = up;
    for (const follower of [...this.followers]) follower.connectionChanged(up);
  }

  private mine(client: Client): boolean {
    return this.client === client;
  }

  private drop(): void {
    const { client } = this;
    this.client = null;
    this.ready = false;
    this.renewAt = null;
    this.setUp(false);
    if (!client) return;
    client.removeAllListeners();
    within(Promise.resolve(client.shutdown()), this.timing.disconnect).catch(() => undefined);
  }
}

function isFinal(failure: Failure): boolean {
  return failure.action === 'none' || failure.code === 'signedOut' || failure.code === 'serverSetup' || failure.code === 'badAnswer';
}
