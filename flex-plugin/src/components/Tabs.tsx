/** The panel's two parts. Arrow keys go from one to the other, as a list of tabs does. */
import React from 'react';

import type { Tab } from '../core/model';
import { useShared } from './context';

export const TABS: readonly Tab[] = ['suggestions', 'transcript'];
export const tabId = (id: string, tab: Tab): string => `${id}-tab-${tab}`;
export const pageId = (id: string, tab: Tab): string => `${id}-page-${tab}`;

export const Tabs = React.memo(function Tabs({ id, tab }: { readonly id: string; readonly tab: Tab }) {
  const { texts, commands } = useShared();
  const list = React.useRef<HTMLDivElement>(null);

  const onKeyDown = (event: React.KeyboardEvent): void => {
    const at = TABS.indexOf(tab);
    const to = { ArrowRight: at + 1, ArrowLeft: at - 1 + TABS.length, Home: 0, End: TABS.length - 1 }[event.key];
    if (to === undefined) return;
    event.preventDefault();
    const next = TABS[to % TABS.length] ?? tab;
    commands.switchTab(next);
    list.current?.querySelector<HTMLElement>(`#${CSS.escape(tabId(id, next))}`)?.focus();
  };

  return (
    <div ref={list} className="va-tabs" role="tablist" aria-label={texts.tabs.label} onKeyDown={onKeyDown}>
      {TABS.map((one) => (
        <button
          key={one}
          type="button"
          role="tab"
          id={tabId(id, one)}
          className="va-tab"
          aria-selected={one === tab}
          aria-controls={one === tab ? pageId(id, one) : undefined}
          tabIndex={one === tab ? 0 : -1}
          data-testid={`voice-assist-tab-${one}`}
          onClick={() => commands.switchTab(one)}
        >
          {texts.tabs[one]}
        </button>
      ))}
    </div>
  );
});
