/** What is kept of a task over a reload and for a second tab, in the browser's local storage: no spoken words, one day at most. */
import { NOTHING_PERSISTED } from '../core/call_state';
import type { PersistedState } from '../core/call_state';

const PREFIX = 'voiceassist:';
const LIFE_MS = 24 * 3_600_000;
const MAX_TASKS = 50;

/** Without a storage (blocked by the browser) nothing is kept, and nothing fails. */
export class PersistedStateStore {
  constructor(
    private readonly storage: Pick<Storage, 'getItem' | 'setItem' | 'removeItem' | 'key' | 'length'> | null,
    private readonly now: () => number = Date.now,
  ) {}

  read(taskSid: string): PersistedState {
    return this.quietly(() => readPersistedState(JSON.parse(this.storage?.getItem(PREFIX + taskSid) ?? 'null'))) ?? NOTHING_PERSISTED;
  }

  write(taskSid: string, persisted: PersistedState): void {
    this.quietly(() => this.storage?.setItem(PREFIX + taskSid, JSON.stringify({ ...persisted, at: this.now() })));
  }

  forget(taskSid: string): void {
    this.quietly(() => this.storage?.removeItem(PREFIX + taskSid));
  }

  /** Removes what is old, or too much. */
  prune(): void {
    this.quietly(() => {
      const { storage } = this;
      if (!storage) return;
      const found: { key: string; at: number }[] = [];
      for (let i = 0; i < storage.length; i += 1) {
        const key = storage.key(i);
        if (key?.startsWith(PREFIX)) found.push({ key, at: this.quietly(() => timeOf(JSON.parse(storage.getItem(key) ?? ''))) ?? 0 });
      }
      found.sort((a, b) => b.at - a.at);
      found.forEach(({ key, at }, index) => {
        if (index >= MAX_TASKS || this.now() - at > LIFE_MS) storage.removeItem(key);
      });
    });
  }

  private quietly<T>(job: () => T): T | undefined {
    try {
      return job();
    } catch {
      return undefined;
    }
  }
}

function readPersistedState(value: unknown): PersistedState {
  if (typeof value !== 'object' || value === null) return NOTHING_PERSISTED;
  const fields = value as Record<string, unknown>;
  const dismissed = Array.isArray(fields.dismissed) ? fields.dismissed.filter((id): id is string => typeof id === 'string').slice(-500) : [];
  return {
    on: fields.on === true,
    stopped: fields.stopped === true,
    byHold: fields.byHold === true,
    dismissed,
    tab: fields.tab === 'transcript' ? 'transcript' : 'suggestions',
  };
}

function timeOf(value: unknown): number {
  const at = typeof value === 'object' && value !== null ? (value as { at?: unknown }).at : undefined;
  return typeof at === 'number' ? at : 0;
}
