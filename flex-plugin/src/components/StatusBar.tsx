/** The head of the panel: the state, always visible, and the buttons that change it. */
import React from 'react';

import { ShowIcon } from '@twilio-paste/icons/esm/ShowIcon';

import type { CallView } from '../core/model';
import { useShared } from './context';
import { Sign, toldOf } from './status';

type Props = Pick<CallView, 'status' | 'busy' | 'permitted' | 'readOnly'>;
type Command = 'start' | 'stop' | 'pause' | 'resume';

export const StatusBar = React.memo(function StatusBar({ status, busy, permitted, readOnly }: Props) {
  const { texts } = useShared();
  const { name, tone } = toldOf(status, texts);
  return (
    <div className="va-head">
      <div className="va-state">
        <Sign status={status} tone={tone} />
        <div className="va-state-words">
          <h2 className="va-title">{texts.panel}</h2>
          <span className="va-state-name" data-testid="voice-assist-state" data-state={status.state}>
            {name}
          </span>
        </div>
      </div>
      {readOnly ? (
        <span className="va-badge" title={texts.readOnly.body}>
          <ShowIcon decorative size="sizeIcon10" />
          {texts.readOnly.title}
        </span>
      ) : (
        <div className="va-head-buttons">
          <Two names={['resume', 'pause']} permitted={permitted} busy={busy} />
          <Two names={['start', 'stop']} permitted={permitted} busy={busy} />
        </div>
      )}
    </div>
  );
});

/**
 * One place for two commands of which one makes sense: the button stays, and the focus with it, when the other takes its turn. (Paste's
 * button is another element for each variant, so the focus would be lost.)
 */
function Two({ names, permitted, busy }: { readonly names: readonly [Command, Command] } & Pick<Props, 'permitted' | 'busy'>): JSX.Element | null {
  const { texts, commands } = useShared();
  const under = names.find((name) => name === busy);
  const name = under ?? names.find((one) => permitted[one]);
  if (!name) return null;
  const waits = busy !== null;
  const stands = name === 'start' || name === 'resume';
  return (
    <button
      type="button"
      className={`va-button va-button-head ${stands ? 'va-button-first' : 'va-button-plain'}`}
      aria-disabled={waits || undefined}
      aria-busy={under ? true : undefined}
      data-testid={`voice-assist-${name}`}
      onClick={() => {
        if (!waits) commands[name]();
      }}
    >
      {under ? texts.busy[under] : texts[name]}
    </button>
  );
}
