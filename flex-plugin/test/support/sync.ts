/** A client of Sync that does as it is told: connected when asked to, silent when asked to. */
import { EventEmitter } from 'node:events';

import type { Client } from '../../src/sync/client';
import type { Follower } from '../../src/sync/link';

export class FakeClient extends EventEmitter {
  connectionState = 'connecting';
  readonly updates: { readonly token: string; readonly at: string }[] = [];
  probes = 0;
  deaf = false;
  shut = false;
  /** What an update leads to. */
  afterUpdate = 'connected';

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
  readonly links: boolean[] = [];
  readonly failures: string[] = [];

  clientReady(client: Client): void {
    this.clients.push(client);
  }

  link(up: boolean): void {
    this.links.push(up);
  }

  linkFailed({ code }: { readonly code: string }): void {
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
