/** One event's work on one task's state: the state while it changes, and what is to be done. What changes it is in the modules beside this. */
import type { CallState, Effect, PersistedState } from './call_state';

export class Turn {
  readonly effects: Effect[] = [];
  state: CallState;

  constructor(
    state: CallState,
    /** Epoch milliseconds. */
    readonly now: number,
  ) {
    this.state = state;
  }

  set(part: Partial<CallState>): void {
    this.state = { ...this.state, ...part };
  }

  /** Changes what is kept over a reload. */
  persist(part: Partial<PersistedState>): void {
    const persisted = { ...this.state.persisted, ...part };
    const changed = (Object.keys(part) as (keyof PersistedState)[]).some((name) => persisted[name] !== this.state.persisted[name]);
    if (changed) this.set({ persisted });
  }
}
