/** A client of Sync that does as it is told: connected when asked to, silent when asked to. */
import { EventEmitter } from 'node:events';

import type { Client, Item, Page } from '../../src/sync/client';
import type { Follower } from '../../src/sync/connection';

/** An open Map or Stream. Its list comes in pages. */
export class FakeObject extends EventEmitter {
  readonly sid = 'XX1';
  pages: readonly (readonly Item[])[] = [[]];
  closed = false;

  async getItems(): Promise<Page> {
    return this.page(0);
  }

  close(): void {
    this.closed = true;
  }

  private page(at: number): Page {
    return { items: this.pages[at] ?? [], hasNextPage: at + 1 < this.pages.length, nextPage: async () => this.page(at + 1) };
  }
}

export interface Opening {
  readonly kind: 'map' | 'stream';
  readonly id: string;
  readonly mode: string;
  readonly object: FakeObject;
}

export class FakeClient extends EventEmitter {
  connectionState = 'connecting';
  readonly updates: { readonly token: string; readonly at: string }[] = [];
  probes = 0;
  deaf = false;
  shut = false;
  /** What an update leads to. */
  afterUpdate = 'connected';
  readonly openings: Opening[] = [];
  /** What the next openings of Maps lead to: a refusal with this status, or an answer that is late; then they succeed. */
  readonly refusals: (number | 'late')[] = [];
  pages: readonly (readonly Item[])[] = [[]];
  lateBy = 0;

  constructor(readonly token: string) {
    super();
  }

  become(state: string): void {
    this.connectionState = state;
    this.emit('connectionStateChanged', state);
  }

  async document(): Promise<never> {
    this.probes += 1;
    if (this.deaf) return new Promise(() => undefined);
    throw Object.assign(new Error('not found'), { status: 404, code: 54100 });
  }

  async map({ id, mode }: { readonly id: string; readonly mode: string }): Promise<FakeObject> {
    const object = new FakeObject();
    object.pages = this.pages;
    this.openings.push({ kind: 'map', id, mode, object });
    const refusal = this.refusals.shift();
    if (refusal === 'late') await soon(this.lateBy);
    else if (refusal !== undefined) throw Object.assign(new Error('refused'), { status: refusal, code: 0 });
    return object;
  }

  async stream({ id, mode }: { readonly id: string; readonly mode: string }): Promise<FakeObject> {
    const object = new FakeObject();
    this.openings.push({ kind: 'stream', id, mode, object });
    return object;
  }

  opened(kind: Opening['kind']): Opening[] {
    return this.openings.filter((one) => one.kind === kind);
  }

  async updateToken(token: string): Promise<void> {
    this.updates.push({ token, at: this.connectionState });
    if (this.afterUpdate) this.become(this.afterUpdate);
  }

  async shutdown(): Promise<void> {
    this.shut = true;
  }

  get asClient(): Client {
    return this as unknown as Client;
  }
}

export class Notes implements Follower {
  readonly clients: Client[] = [];
  readonly connected: boolean[] = [];
  readonly failures: string[] = [];

  clientReady(client: Client): void {
    this.clients.push(client);
  }

  connectionChanged(up: boolean): void {
    this.connected.push(up);
  }

  connectionFailed({ code }: { readonly code: string }): void {
    this.failures.push(code);
  }
}

export const soon = (ms = 30): Promise<void> => new Promise((resolve) => void setTimeout(resolve, ms));

/** Waits until something holds; fails after two seconds. */
export async function until(holds: () => boolean): Promise<void> {
  for (let waited = 0; !holds(); waited += 5) {
    if (waited > 2000) throw new Error(`never: ${holds.toString()}`);
    await soon(5);
  }
}
