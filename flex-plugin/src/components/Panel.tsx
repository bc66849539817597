/** The panel beside the call: a function of what the core shows of one call. */
import React from 'react';

import type { PanelProps } from '../core/commands';
import { languageOf, textsFor } from '../texts/texts';
import { Announcer } from './Announcer';
import { Shared, clockFor } from './context';
import { ErrorBoundary } from './ErrorBoundary';
import { Foot, Keys } from './Keys';
import { Banner } from './notices';
import { StatusBar } from './StatusBar';
import { Root } from './styles';
import { SuggestionList } from './SuggestionList';
import { Tabs, keysId, pageId, tabId } from './Tabs';
import { AssistTheme } from './theme';
import { Transcript } from './Transcript';

export function Panel(props: PanelProps): JSX.Element {
  return (
    <ErrorBoundary language={props.language}>
      <AssistTheme dark={props.dark}>
        <Body {...props} />
      </AssistTheme>
    </ErrorBoundary>
  );
}

let panels = 0;

function Body({ view, commands, language }: PanelProps): JSX.Element {
  const [id] = React.useState(() => `voice-assist-${(panels += 1)}`);
  const shared = React.useMemo(() => ({ texts: textsFor(language), clock: clockFor(languageOf(language)), commands }), [language, commands]);
  const [keys, setKeys] = React.useState(false);
  const toggleKeys = React.useCallback(() => setKeys((open) => !open), []);
  const { texts } = shared;
  const { status, busy, permitted, readOnly, tab, alert } = view;
  return (
    <Shared.Provider value={shared}>
      <Root aria-label={texts.panel} lang={languageOf(language)} data-voice-assist={view.taskSid} data-testid="voice-assist-panel">
        <StatusBar status={status} busy={busy} permitted={permitted} readOnly={readOnly} />
        {alert ? <Banner alert={alert} /> : null}
        <Tabs id={id} tab={tab} keys={keys} onKeys={toggleKeys} />
        <div className="va-page" role="tabpanel" id={pageId(id, tab)} aria-labelledby={tabId(id, tab)}>
          {tab === 'suggestions' ? (
            <SuggestionList status={status} busy={busy} permitted={permitted} readOnly={readOnly} suggestions={view.suggestions} listed={view.listed} />
          ) : (
            <Transcript lines={view.transcript} />
          )}
        </div>
        {keys ? <Keys id={keysId(id)} readOnly={readOnly} /> : null}
        <Foot dismissed={view.dismissed} />
        <Announcer announcement={view.announcement} />
      </Root>
    </Shared.Provider>
  );
}
