/** What Flex's store says of tasks, as facts: the worker's own calls, and the one that a supervisor listens to. */
import type { FlexTask } from '../core/task';

/** Flex's CallMonitoringStatus. */
const MONITORING = 2;

export interface Slices {
  readonly worker: unknown;
  readonly conferences: unknown;
  readonly supervisor: unknown;
}

/** The parts of the state in which something may have changed; the same objects mean that nothing has. */
export function slicesOf(state: unknown): Slices {
  const flex = field(state, 'flex');
  return { worker: field(flex, 'worker'), conferences: field(flex, 'conferences'), supervisor: field(flex, 'supervisor') };
}

export function ownTasks({ worker }: Slices): FlexTask[] {
  const tasks = field(worker, 'tasks');
  return tasks instanceof Map ? ([...tasks.values()] as FlexTask[]) : [];
}

export function monitoredTask({ supervisor }: Slices): FlexTask | null {
  const monitoring = field(supervisor, 'callMonitoring');
  const task = field(monitoring, 'task');
  return field(monitoring, 'status') === MONITORING && typeof task === 'object' && task !== null ? (task as FlexTask) : null;
}

/** The task that the agent looks at; empty if there is none. */
export function selectedTaskSid(state: unknown): string {
  const flex = field(state, 'flex');
  const reservation = field(field(flex, 'view'), 'selectedTaskSid');
  const own = ownTasks(slicesOf(state)).find((task) => field(task, 'sid') === reservation);
  const taskSid = field(own, 'taskSid') ?? field(monitoredTask(slicesOf(state)), 'taskSid');
  return typeof taskSid === 'string' ? taskSid : '';
}

function field(holder: unknown, name: string): unknown {
  return typeof holder === 'object' && holder !== null ? (holder as Record<string, unknown>)[name] : undefined;
}
