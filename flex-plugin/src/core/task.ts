/** What the plugin needs to know of a Flex task (pure): from Flex's objects, read leniently, to facts. */

export type Phase = 'offered' | 'accepted' | 'wrapping' | 'over';

export interface TaskFacts {
  readonly taskSid: string;
  /** The customer's leg; empty while the task does not name it. */
  readonly callSid: string;
  readonly phase: Phase;
  readonly queueName: string;
  readonly queueSid: string;
  /** Whether the customer is on hold; null: Flex does not know. */
  readonly onHold: boolean | null;
}

/** The fields of Flex's ITask that are read. */
export interface FlexTask {
  readonly taskSid?: unknown;
  readonly attributes?: unknown;
  readonly status?: unknown;
  readonly taskStatus?: unknown;
  readonly queueName?: unknown;
  readonly queueSid?: unknown;
  readonly taskChannelUniqueName?: unknown;
  readonly channelType?: unknown;
  readonly conference?: unknown;
}

const CALL_SID = /^CA[0-9a-f]{32}$/;

/** Whether it is a phone call's task. */
export function isCall(task: FlexTask): boolean {
  return task.taskChannelUniqueName === 'voice' || task.channelType === 'voice';
}

export function factsOf(task: FlexTask): TaskFacts {
  return {
    taskSid: text(task.taskSid),
    callSid: callSidOf(task.attributes),
    phase: phaseOf(text(task.status), text(task.taskStatus)),
    queueName: text(task.queueName),
    queueSid: text(task.queueSid),
    onHold: holdOf(task.conference),
  };
}

/** The customer's leg: `conference.participants.customer`, else `call_sid`. */
export function callSidOf(attributes: unknown): string {
  const customer = field(field(field(attributes, 'conference'), 'participants'), 'customer');
  for (const found of [customer, field(attributes, 'call_sid')]) if (typeof found === 'string' && CALL_SID.test(found)) return found;
  return '';
}

/** `status` is the reservation's, `taskStatus` the task's; a supervisor sees the latter alone. */
function phaseOf(status: string, taskStatus: string): Phase {
  if (['completed', 'canceled', 'rejected', 'rescinded', 'timeout'].includes(status) || ['completed', 'canceled'].includes(taskStatus)) return 'over';
  if (status === 'wrapping' || taskStatus === 'wrapping') return 'wrapping';
  if (status === 'accepted' || (!status && taskStatus === 'assigned')) return 'accepted';
  return 'offered';
}

function holdOf(conference: unknown): boolean | null {
  const participants = field(conference, 'participants');
  if (!Array.isArray(participants)) return null;
  const customer = participants.find((one) => field(one, 'participantType') === 'customer' && field(one, 'status') !== 'left');
  const onHold = field(customer, 'onHold');
  return typeof onHold === 'boolean' ? onHold : null;
}

function field(holder: unknown, name: string): unknown {
  return typeof holder === 'object' && holder !== null ? (holder as Record<string, unknown>)[name] : undefined;
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : '';
}
