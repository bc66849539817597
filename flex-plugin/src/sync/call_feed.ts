/**
 * One call's Map and Stream, kept open: from handles of twilio-sync to events of the core.
 *
 * A new client, a removed object, a refused subscription (the client never asks again by itself) or a doubt: everything is closed,
 * opened and listed anew. Permissions and objects may come moments after the start has answered, so opening is patient.
 */
import type { CallEvent } from '../core/call_state';
import type { FailureCode } from '../core/model';
import type { Log } from '../log';
import { syncErrorOf } from './client';
import type { Client, Item, MapHandle, StreamHandle } from './client';
import type { Follower, SyncConnection } from './connection';
import { backoff, pause, within } from './waiting';

export interface FeedTiming {
  /** Around opening an object, and dependencies each page of its list. */
  readonly open: number;
  /** How long it is tried where the objects may still come. */
  readonly patience: number;
  /** How long it is tried where they were there before: what is gone then is gone, as after a transfer. */
  readonly rereading: number;
  /** Between attempts. */
  readonly retryFirst: number;
  readonly retryMost: number;
  /** From an open Map to its subscription, after which the connection counts as broken. */
  readonly subscribe: number;
}

export const FEED_TIMING: FeedTiming = { open: 15_000, patience: 40_000, rereading: 3000, retryFirst: 250, retryMost: 4000, subscribe: 15_000 };

const PAGE_SIZE = 100;
/** Attempts at what is not missing but fails, where there is no patience. */
const TRIES = 4;
/** A Stream that cannot be opened is tried again at this pace at last: the Map goes on without it. */
const STREAM_MOST = 30_000;

type Emit = (event: CallEvent) => void;

export class CallFeed implements Follower {
  private client: Client | null = null;
  private map: MapHandle | null = null;
  private stream: StreamHandle | null = null;
  /** Each opening has a number; what comes of an earlier one is closed and forgotten. */
  private mapRun = 0;
  private streamRun = 0;
  private up = false;
  private subscribed = true;
  private patient: boolean;
  private refusals: { count: number; readonly since: number } | null = null;
  private closed = false;

  constructor(
    private readonly connection: SyncConnection,
    private readonly mapName: string,
    private streamName: string,
    patient: boolean,
    private readonly emit: Emit,
    private readonly log: Log,
    private readonly timing: FeedTiming = FEED_TIMING,
  ) {
    this.patient = patient;
  }

  get name(): string {
    return this.mapName;
  }

  open(): void {
    this.connection.add(this);
  }

  /** Another Stream, or the same objects once more after a failure. */
  follow(streamName: string, patient: boolean): void {
    this.patient = patient;
    const other = streamName !== this.streamName;
    this.streamName = streamName;
    const client = this.living();
    if (!client) return;
    if (other || !this.stream) void this.openStream(client);
    if (!this.map) void this.openMap(client);
  }

  readMapAgain(): void {
    const client = this.living();
    if (client) void this.openMap(client, this.timing.rereading);
  }

  connectAgain(): void {
    if (!this.living()) this.connection.again();
  }

  close(): void {
    this.closed = true;
    this.mapRun += 1;
    this.streamRun += 1;
    this.connection.remove(this);
    this.closeMap();
    this.closeStream();
  }

  // what the connection tells

  clientReady(client: Client): void {
    if (this.closed || client === this.client) return;
    this.client = client;
    this.map = null;
    this.stream = null;
    void this.openMap(client);
    void this.openStream(client);
  }

  connectionChanged(up: boolean): void {
    this.up = up;
    this.tellLink();
  }

  connectionFailed(failure: Parameters<Follower['connectionFailed']>[0]): void {
    if (!this.closed) this.emit({ type: 'connectionFailed', failure });
  }

  /** The client, if it was not replaced or given up; what is asked for without one is done when there is one. */
  private living(): Client | null {
    return this.client && this.connection.has(this.client) ? this.client : null;
  }

  private tellLink(): void {
    if (!this.closed) this.emit({ type: 'connection', up: this.up && this.subscribed });
  }

  // the Map

  private async openMap(client: Client, patience = this.patient ? this.timing.patience : 0): Promise<void> {
    this.mapRun += 1;
    const run = this.mapRun;
    const mine = (): boolean => !this.closed && run === this.mapRun && client === this.client;
    this.closeMap();
    const end = Date.now() + patience;
    for (let attempt = 0; mine(); attempt += 1) {
      try {
        const map = await within(client.map({ id: this.mapName, mode: 'open_existing' }), this.timing.open, (late) => late.close());
        if (!mine()) return map.close();
        this.map = map;
        this.emit({ type: 'mapOpening' });
        this.listen(client, map, mine);
        await this.list(map, mine);
        return;
      } catch (error) {
        if (!mine()) return;
        this.closeMap();
        const { status } = syncErrorOf(error);
        const missing = status === 403 || status === 404;
        const again = patience ? Date.now() < end : !missing && attempt + 1 < TRIES;
        if (!again) return this.giveUp(missing, status);
        await pause(backoff(attempt, this.timing.retryFirst, this.timing.retryMost, 1.6));
      }
    }
  }

  private listen(client: Client, map: MapHandle, mine: () => boolean): void {
    const item = ({ item: { key, data } }: { item: Item }): void => {
      if (!mine()) return;
      this.connection.heard();
      this.emit({ type: 'mapItem', key, data });
    };
    map.on('itemAdded', item as never);
    map.on('itemUpdated', item as never);
    map.on('itemRemoved', (({ key }: { key: string }) => mine() && this.emit({ type: 'mapItemRemoved', key })) as never);
    map.on('removed', (() => mine() && this.again(client, 0)) as never);
    map.on('failure', ((error: unknown) => {
      if (!mine()) return;
      this.log.warn('sync: subscription refused', syncErrorOf(error));
      this.refused(client, syncErrorOf(error).status);
    }) as never);
    this.watchSubscription(map, mine);
  }

  /** The client repeats a subscription that fails for ever, and tells nobody: the agent must see that nothing comes. */
  private watchSubscription(map: MapHandle, mine: () => boolean): void {
    let timer: ReturnType<typeof setTimeout> | undefined;
    const set = (subscribed: boolean): void => {
      if (!mine() || this.subscribed === subscribed) return;
      this.subscribed = subscribed;
      this.tellLink();
    };
    map.on('_subscriptionStateChanged', ((state: string) => {
      clearTimeout(timer);
      if (state === 'established') {
        this.refusals = null;
        set(true);
      } else timer = setTimeout(() => this.up && set(false), this.timing.subscribe);
    }) as never);
  }

  private async list(map: MapHandle, mine: () => boolean): Promise<void> {
    const items: (readonly [string, unknown])[] = [];
    let page = await within(map.getItems({ pageSize: PAGE_SIZE, order: 'asc' }), this.timing.open);
    for (;;) {
      if (!mine()) return;
      for (const { key, data } of page.items) items.push([key, data]);
      if (!page.hasNextPage) break;
      page = await within(page.nextPage(), this.timing.open);
    }
    if (!mine()) return;
    this.connection.heard();
    if (!this.subscribed) {
      this.subscribed = true; // whether this one is subscribed to in time is watched anew
      this.tellLink();
    }
    this.emit({ type: 'mapListed', items });
  }

  /** The read permission may be a moment late; one that does not come is told. */
  private refused(client: Client, status: number): void {
    const { count, since } = (this.refusals ??= { count: 0, since: Date.now() });
    this.refusals.count += 1;
    if (Date.now() - since < this.timing.patience) return this.again(client, this.timing.retryFirst * 2 ** Math.min(count, 8));
    this.refusals = null;
    this.mapRun += 1;
    this.closeMap();
    this.giveUp(true, status);
  }

  /** Closes and opens the Map after a moment; patiently, for it was there. */
  private again(client: Client, waitMs: number): void {
    this.patient = true;
    this.mapRun += 1;
    const run = this.mapRun;
    this.closeMap();
    void pause(backoff(0, waitMs, this.timing.retryMost)).then(() => {
      if (!this.closed && run === this.mapRun && client === this.client) void this.openMap(client);
    });
  }

  private giveUp(missing: boolean, status: number): void {
    this.log.warn('sync: no suggestions can be read', { status });
    const code: FailureCode = missing ? 'syncNotPermitted' : 'syncUnreachable';
    this.emit({ type: 'mapFailed', missing, failure: { code, action: 'retry' } });
  }

  private closeMap(): void {
    if (this.map) closeQuietly(this.map);
    this.map = null;
  }

  // the Stream

  private async openStream(client: Client): Promise<void> {
    this.streamRun += 1;
    const run = this.streamRun;
    const mine = (): boolean => !this.closed && run === this.streamRun && client === this.client;
    this.closeStream();
    if (!this.streamName) return;
    for (let attempt = 0; mine(); attempt += 1) {
      try {
        const stream = await within(client.stream({ id: this.streamName, mode: 'open_existing' }), this.timing.open, (late) => late.close());
        if (!mine()) return stream.close();
        this.stream = stream;
        stream.on('messagePublished', (({ message }: { message: { data: unknown } }) => {
          if (!mine()) return;
          this.connection.heard();
          this.emit({ type: 'streamMessage', data: message.data });
        }) as never);
        const again = (): void => {
          if (!mine()) return;
          void pause(this.timing.retryFirst * 4).then(() => (mine() ? this.openStream(client) : undefined));
        };
        stream.on('removed', (() => {
          if (!mine()) return;
          again();
          this.readMapAgain(); // a start has given the call another Stream: whether the Map is still this agent's to read, Sync tells nobody
        }) as never);
        stream.on('failure', again as never);
        return;
      } catch {
        await pause(backoff(attempt, this.timing.retryFirst, STREAM_MOST, 1.6));
      }
    }
  }

  private closeStream(): void {
    if (this.stream) closeQuietly(this.stream);
    this.stream = null;
  }
}

function closeQuietly(handle: { close(): void }): void {
  try {
    handle.close();
  } catch {
    // it is of a client that is over
  }
}
