/** The components in Flex: they get the task from where Flex mounts them, and its assist from us. */
import React, { useEffect, useLayoutEffect, useReducer } from 'react';

import { AssistButton } from '../components/AssistButton';
import { Panel } from '../components/Panel';
import type { AssistCall } from '../assist/call';
import type { Calls } from '../assist/calls';
import type { Appearance } from './appearance';
import type { PaintReporter } from './painting';

export interface ConnectedProps {
  readonly calls: Calls;
  readonly appearance: Appearance;
  readonly painting: PaintReporter;
  /** From Flex. */
  readonly task?: { readonly taskSid?: string };
}

export function ConnectedPanel({ calls, appearance, painting, task }: ConnectedProps): JSX.Element | null {
  const call = useAssist(calls, task?.taskSid);
  useChanges(appearance);
  const view = call?.view;
  useLayoutEffect(() => {
    if (call && view) painting.rendered(call, view);
  }, [call, view, painting]);
  if (!call || !view) return null;
  return <Panel key={view.taskSid} view={view} commands={call.commands} language={appearance.language} dark={appearance.dark} />;
}

export function ConnectedButton({ calls, appearance, task }: Omit<ConnectedProps, 'painting'>): JSX.Element | null {
  const call = useAssist(calls, task?.taskSid);
  useChanges(appearance);
  return call ? <AssistButton view={call.view} commands={call.commands} language={appearance.language} /> : null;
}

interface Changing {
  subscribe(listener: () => void): () => void;
}

function useAssist(calls: Calls, taskSid: string | undefined): AssistCall | undefined {
  useChanges(calls);
  const call = taskSid ? calls.get(taskSid) : undefined;
  useChanges(call);
  return call;
}

/** Renders anew when something says that it has changed, also if that was between rendering and subscribing. */
function useChanges(source: Changing | undefined): void {
  const [, changed] = useReducer((count: number) => count + 1, 0);
  useEffect(() => {
    if (!source) return undefined;
    const stop = source.subscribe(changed);
    changed();
    return stop;
  }, [source]);
}
