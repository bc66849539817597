/** The part of twilio-sync that is used, as types; and the one way in which a client is made. */
import { SyncClient } from 'twilio-sync';

export type ConnectionState = 'connecting' | 'connected' | 'disconnecting' | 'disconnected' | 'denied' | 'error' | 'unknown';

interface Emitter {
  on(event: string, listener: (args: never) => void): unknown;
  removeAllListeners(event?: string): unknown;
}

export interface Item {
  readonly key: string;
  readonly data: unknown;
}

export interface Page {
  readonly items: readonly Item[];
  readonly hasNextPage: boolean;
  nextPage(): Promise<Page>;
}

export interface MapHandle extends Emitter {
  readonly sid: string;
  getItems(options: { readonly pageSize: number; readonly order: 'asc' }): Promise<Page>;
  close(): void;
}

export interface StreamHandle extends Emitter {
  readonly sid: string;
  close(): void;
}

interface ByName {
  readonly id: string;
  readonly mode: 'open_existing';
}

export interface Client extends Emitter {
  readonly connectionState: string;
  map(name: ByName): Promise<MapHandle>;
  stream(name: ByName): Promise<StreamHandle>;
  document(name: ByName): Promise<{ close(): void }>;
  updateToken(token: string): Promise<unknown>;
  shutdown(): Promise<unknown>;
}

export type MakeClient = (token: string) => Client;

/**
 * Without session storage a reload reads the Map's list before it subscribes from there: with it, events between the two can be missed
 * (maps are stored without their last event). The library is silent: at its talkative levels it prints tokens.
 */
export const makeClient: MakeClient = (token) =>
  new SyncClient(token, { Sync: { enableSessionStorage: false }, logLevel: 'silent' }) as unknown as Client;

/** What an error of Sync says: 0 where it says nothing. Its text is not passed on. */
export function syncErrorOf(error: unknown): { readonly status: number; readonly code: number } {
  const of = (name: string): number => {
    const value = typeof error === 'object' && error !== null ? (error as Record<string, unknown>)[name] : undefined;
    return typeof value === 'number' ? value : 0;
  };
  return { status: of('status'), code: of('code') };
}
