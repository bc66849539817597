/** All of this page's assists, one for each task, kept in step with what Flex says of its tasks. */
import type { Configuration, Queue } from '../core/configuration';
import type { Role } from '../core/call_state';
import { factsOf, isCall } from '../core/task';
import type { FlexTask, TaskFacts } from '../core/task';
import { AssistCall } from './call';
import type { CallDependencies } from './call';
import type { PersistedStateStore } from './persisted_state';

export class Calls {
  private readonly calls = new Map<string, AssistCall>();
  private readonly known = new Map<string, string>();
  private readonly listeners = new Set<() => void>();
  private swept = false;
  private monitored: string | null = null;

  constructor(
    private readonly dependencies: CallDependencies,
    private readonly persisted: PersistedStateStore,
    private readonly configurationOf: (queue: Queue) => Configuration,
  ) {}

  get(taskSid: string): AssistCall | undefined {
    return this.calls.get(taskSid);
  }

  /** Told when a task's assist appears or goes. */
  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  /** The worker's tasks as they are now. What is there the first time was there before this page: a call goes on after a reload. */
  own(tasks: readonly FlexTask[]): void {
    const found = new Set<string>();
    for (const task of tasks) {
      if (!isCall(task)) continue;
      const facts = factsOf(task);
      found.add(facts.taskSid);
      this.update(facts, 'agent');
    }
    for (const taskSid of [...this.calls.keys()]) {
      if (taskSid !== this.monitored && !found.has(taskSid)) this.end(taskSid);
    }
    this.swept = true;
  }

  /** A supervisor listens to this task's call; null: to none. */
  monitor(task: FlexTask | null): void {
    const facts = task && isCall(task) ? factsOf(task) : null;
    if (this.monitored !== null && this.monitored !== facts?.taskSid) {
      const before = this.monitored;
      this.monitored = null;
      this.end(before);
    }
    if (!facts || !facts.taskSid || (this.calls.has(facts.taskSid) && this.monitored !== facts.taskSid)) return;
    this.monitored = facts.taskSid;
    this.update({ ...facts, phase: facts.phase === 'offered' ? 'accepted' : facts.phase }, 'supervisor');
  }

  hold(taskSid: string, onHold: boolean): void {
    this.calls.get(taskSid)?.take({ type: 'hold', onHold });
  }

  /** Another tab of this browser has started the assist of a call. */
  startedElsewhere(callSid: string): void {
    for (const call of this.calls.values()) if (call.view.callSid === callSid) call.take({ type: 'otherTabStarted' });
  }

  private update(facts: TaskFacts, role: Role): void {
    const { taskSid } = facts;
    if (!taskSid) return;
    const configuration = this.configurationOf({ name: facts.queueName, sid: facts.queueSid });
    const signature = JSON.stringify([facts, configuration]);
    const call = this.calls.get(taskSid);
    if (!call) {
      if (facts.phase === 'offered' || facts.phase === 'over') return;
      const met = this.swept && facts.phase === 'accepted' ? 'accepted' : 'found';
      this.calls.set(taskSid, new AssistCall(this.dependencies, role, facts, configuration, this.persisted.read(taskSid), met));
      this.known.set(taskSid, signature);
      this.tell();
    } else if (this.known.get(taskSid) !== signature) {
      this.known.set(taskSid, signature);
      call.take({ type: 'task', task: facts, configuration });
    }
  }

  private end(taskSid: string): void {
    const call = this.calls.get(taskSid);
    if (!call) return;
    this.calls.delete(taskSid);
    this.known.delete(taskSid);
    call.over();
    call.close();
    this.tell();
  }

  private tell(): void {
    for (const listener of [...this.listeners]) listener();
  }
}
