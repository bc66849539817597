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

const Props = React.createContext<PanelProps | null>(null);

export function Panel(props: PanelProps): JSX.Element {
  return (
    <ErrorBoundary language={props.language}>
      <Props.Provider value={props}>
        <Still taskSid={props.view.taskSid} dark={props.dark} language={props.language} />
      </Props.Provider>
    </ErrorBoundary>
  );
}

/** What is the same from draft to draft. The styles of the whole panel are worked out here, which takes longer than drawing a draft. */
const Still = React.memo(function Still({ taskSid, dark, language }: { readonly taskSid: string; readonly dark: boolean; readonly language: string }) {
  return (
    <AssistTheme dark={dark}>
      <Root aria-label={textsFor(language).panel} lang={languageOf(language)} data-voice-assist={taskSid} data-testid="voice-assist-panel">
        <Body />
      </Root>
    </AssistTheme>
  );
});

let panels = 0;

function Body(): JSX.Element | null {
  const props = React.useContext(Props);
  return props && <Shown {...props} />;
}

function Shown({ view, commands, language }: PanelProps): JSX.Element {
  const [id] = React.useState(() => `voice-assist-${(panels += 1)}`);
  const shared = React.useMemo(() => ({ texts: textsFor(language), clock: clockFor(languageOf(language)), commands }), [language, commands]);
  const [keys, setKeys] = React.useState(false);
  const toggleKeys = React.useCallback(() => setKeys((open) => !open), []);
  const { status, busy, permitted, readOnly, tab, alert } = view;
  return (
    <Shared.Provider value={shared}>
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
    </Shared.Provider>
  );
}
