/** The plugin's class: puts everything together when Flex starts it. Waits for nothing and never throws: Flex would start 10 s later. */
import React from 'react';

import { FlexPlugin } from '@twilio/flex-plugin';
import type * as Flex from '@twilio/flex-ui';

import { Calls } from './assist/calls';
import { PersistedStateStore } from './assist/persisted_state';
import { configurationFor } from './core/configuration';
import { ConnectedButton, ConnectedPanel } from './flex/Connected';
import { Appearance } from './flex/appearance';
import { BrowserHands } from './flex/hands';
import { PaintReporter } from './flex/painting';
import { monitoredTask, ownTasks, selectedTaskSid, slicesOf } from './flex/tasks';
import { OtherTabs } from './flex/tabs';
import { FunctionsClient } from './functions/client';
import { consoleLog } from './log';
import { flexShortcuts } from './shortcuts/shortcuts';
import type { ShortcutTarget } from './shortcuts/shortcuts';
import { makeClient } from './sync/client';
import { SyncConnection } from './sync/connection';

const NAME = 'VoiceAssistPlugin';
/** Far down: below what Flex shows of the call. */
const PANEL_ORDER = 100;
const BUTTON_ORDER = 100;

export default class VoiceAssistPlugin extends FlexPlugin {
  constructor() {
    super(NAME);
  }

  /** Async only by Flex's type: there is nothing to wait for. */
  override async init(flex: typeof Flex, manager: Flex.Manager): Promise<void> {
    try {
      setUp(flex, manager);
    } catch {
      consoleLog.warn('could not start; Flex goes on without it');
    }
  }
}

function setUp(flex: typeof Flex, manager: Flex.Manager): void {
  const functions = new FunctionsClient({ fetch: (input, init) => window.fetch(input, init), flexToken: () => manager.user?.token ?? '' });
  const connections = new Map<string, SyncConnection>();
  const connection = (url: string): SyncConnection => {
    const found = connections.get(url) ?? new SyncConnection(() => functions.token(url), makeClient, consoleLog);
    connections.set(url, found);
    return found;
  };
  const persisted = new PersistedStateStore(storage());
  persisted.prune();
  const hands = new BrowserHands();
  hands.watch(document);
  const tabs: OtherTabs = new OtherTabs((callSid) => calls.startedElsewhere(callSid));
  const calls: Calls = new Calls(
    {
      functions,
      connection,
      hands,
      persist: (taskSid, kept) => (kept ? persisted.write(taskSid, kept) : persisted.forget(taskSid)),
      broadcastStart: (callSid) => tabs.started(callSid),
      log: consoleLog,
    },
    persisted,
    (queue) => configurationFor(queue, manager.serviceConfiguration?.ui_attributes, process.env.FLEX_APP_FUNCTIONS_URL),
  );

  const appearance = new Appearance(manager);
  const painting = new PaintReporter(functions);
  const panel = <ConnectedPanel key="voice-assist-panel" calls={calls} appearance={appearance} painting={painting} />;
  flex.CallCanvas.Content.add(panel, { sortOrder: PANEL_ORDER });
  flex.CallCanvasActions.Content.add(<ConnectedButton key="voice-assist-button" calls={calls} appearance={appearance} />, { sortOrder: BUTTON_ORDER });
  flex.Supervisor.TaskCanvas.Content.add(panel, { sortOrder: PANEL_ORDER });

  followTasks(flex, manager, calls);
  quietly(() => addShortcuts(flex, manager, calls, appearance.language));
}

/** Beside Flex's own, never in their place; a key that something else has taken stays with it. */
function addShortcuts(flex: typeof Flex, manager: Flex.Manager, calls: Calls, language: string): void {
  const taken = flex.KeyboardShortcutManager.keyboardShortcuts ?? {};
  const current = (): ShortcutTarget | null => {
    const selected = selectedTaskSid(manager.store.getState());
    return (selected && calls.get(selected)) || null;
  };
  const ours = Object.entries(flexShortcuts(current, language)).filter(([key]) => !(key in taken));
  flex.KeyboardShortcutManager.addShortcuts(Object.fromEntries(ours));
}

/** Flex tells of tasks by its store (also of those that were there before the page) and of hold and monitoring by actions. */
function followTasks(flex: typeof Flex, manager: Flex.Manager, calls: Calls): void {
  let seen = slicesOf(null);
  let listening = false;
  const sweep = (): void => {
    const slices = slicesOf(manager.store.getState());
    if (slices.worker === seen.worker && slices.conferences === seen.conferences && slices.supervisor === seen.supervisor) return;
    seen = slices;
    quietly(() => calls.own(ownTasks(slices)));
    quietly(() => {
      const task = monitoredTask(slices);
      if (task) calls.monitor(task);
      else if (listening) calls.monitor(null);
      listening = task !== null;
    });
  };
  const again = (): void => {
    seen = slicesOf(null);
    sweep();
  };
  manager.store.subscribe(() => quietly(sweep));
  for (const event of ['taskAccepted', 'taskUpdated', 'taskWrapup', 'taskCompleted', 'taskCanceled', 'taskRescinded']) {
    manager.events.addListener(event, () => quietly(again));
  }
  quietly(sweep);

  const { Actions } = flex;
  const onHold = (held: boolean) => (payload: { task?: Flex.ITask; sid?: string; participantCallSid?: unknown }): void =>
    quietly(() => {
      const task = payload.task ?? ownTasks(slicesOf(manager.store.getState())).find((one) => (one as Flex.ITask).sid === payload.sid);
      const taskSid = typeof task?.taskSid === 'string' ? task.taskSid : '';
      const whom = payload.participantCallSid;
      if (typeof whom !== 'string' || !whom || whom === calls.get(taskSid)?.view.callSid) calls.hold(taskSid, held);
    });
  Actions.addListener('afterHoldCall', onHold(true));
  Actions.addListener('afterUnholdCall', onHold(false));
  Actions.addListener('afterMonitorCall', (payload) => quietly(() => calls.monitor(payload.task ?? null)));
  Actions.addListener('afterStopMonitoringCall', () => quietly(() => calls.monitor(null)));
}

/** Nothing of ours may fail within Flex's own work. */
function quietly(job: () => void): void {
  try {
    job();
  } catch {
    consoleLog.warn('an event of Flex could not be followed');
  }
}

/** Null where the browser forbids it. */
function storage(): Storage | null {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}
