/** The panel's two parts, and the way to the list of keys. Arrow keys go from one part to the other, as in every list of tabs. */
import React from 'react';

import type { Tab } from '../core/model';
import { useShared } from './context';
import { Glyph } from './glyphs';

export const TABS: readonly Tab[] = ['suggestions', 'transcript'];
export const tabId = (id: string, tab: Tab): string => `${id}-tab-${tab}`;
export const pageId = (id: string, tab: Tab): string => `${id}-page-${tab}`;

interface Props {
  readonly id: string;
  readonly tab: Tab;
  readonly keys: boolean;
  readonly onKeys: () => void;
}

export const keysId = (id: string): string => `${id}-keys`;

export const Tabs = React.memo(function Tabs({ id, tab, keys, onKeys }: Props) {
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
    <div className="va-tabs">
      <div ref={list} className="va-tablist" role="tablist" aria-label={texts.tabs.label} onKeyDown={onKeyDown}>
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
      <button
        type="button"
        className="va-button va-button-icon"
        aria-label={texts.shortcuts}
        aria-expanded={keys}
        aria-controls={keys ? keysId(id) : undefined}
        data-tip={texts.shortcuts}
        data-testid="voice-assist-keys"
        onClick={onKeys}
      >
        <Glyph name="keys" />
      </button>
    </div>
  );
});
