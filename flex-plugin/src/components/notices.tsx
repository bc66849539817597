/** What a state means and what to do: a strip above the list, or the whole page while there is no list. */
import React from 'react';

import { Button } from '@twilio-paste/core/button';
import { CloseIcon } from '@twilio-paste/icons/esm/CloseIcon';
import { ErrorIcon } from '@twilio-paste/icons/esm/ErrorIcon';
import { WarningIcon } from '@twilio-paste/icons/esm/WarningIcon';

import type { Alert, AssistStatus, CallView, Failure, Permitted } from '../core/model';
import { useShared } from './context';
import { Sign, toldOf } from './status';

interface Props {
  readonly status: AssistStatus;
  readonly permitted: Permitted;
  readonly busy: CallView['busy'];
  readonly readOnly: boolean;
}

/** Above a list: only for states in which the agent must know more than the state's name. */
export const Strip = React.memo(function Strip({ status, permitted, busy, readOnly }: Props) {
  const { texts } = useShared();
  if ((status.state === 'listening' && !status.note) || status.state === 'starting') return null;
  const { title, body, tone } = toldOf(status, texts);
  return (
    <div className={`va-notice va-notice-${tone}`} data-testid="voice-assist-notice">
      <Sign status={status} tone={tone} />
      <div className="va-notice-words">
        <p className="va-notice-title">{title}</p>
        <p>{body}</p>
        <FromServer status={status} />
        <Way status={status} permitted={permitted} busy={busy} readOnly={readOnly} />
      </div>
    </div>
  );
});

/** In place of a list that does not exist. */
export const Whole = React.memo(function Whole({ status, permitted, busy, readOnly }: Props) {
  const { texts } = useShared();
  const told = toldOf(status, texts);
  const { title, body } = status.state === 'listening' && !status.note ? texts.nothingYet : told;
  return (
    <div className="va-whole" data-testid="voice-assist-notice">
      <span className="va-sign">
        <Sign status={status} tone={told.tone} />
      </span>
      <h3>{title}</h3>
      <p className="va-weak">{body}</p>
      <FromServer status={status} />
      <Way status={status} permitted={permitted} busy={busy} readOnly={readOnly} />
    </div>
  );
});

/** The way out of a failure. Start and stop are the head's. */
function Way({ status, permitted, busy, readOnly }: Props): JSX.Element | null {
  const { texts, commands } = useShared();
  if (readOnly && status.state !== 'failed') return null;
  if (!permitted.retry) return null;
  const action = status.state === 'failed' ? status.failure.action : 'retry';
  if (action === 'none') return null;
  return (
    <div className="va-notice-buttons">
      <Button
        variant={status.state === 'failed' ? 'primary' : 'secondary'}
        size="small"
        aria-disabled={busy !== null || undefined}
        data-testid="voice-assist-retry"
        onClick={() => {
          if (busy === null) commands.retry();
        }}
      >
        {action === 'signIn' ? texts.signIn : texts.retry}
      </Button>
    </div>
  );
}

function FromServer({ status }: { readonly status: AssistStatus }): JSX.Element | null {
  if (status.state === 'failed') return <Detail {...status.failure} />;
  return (status.state === 'reconnecting' || status.state === 'listening') && status.detail ? <Detail detail={status.detail} /> : null;
}

function Detail({ detail, twilioCode }: Partial<Pick<Failure, 'detail' | 'twilioCode'>>): JSX.Element | null {
  const { texts } = useShared();
  if (!detail && twilioCode === undefined) return null;
  return (
    <div className="va-server">
      {detail ? (
        <p>
          {texts.fromServer} <span lang="en">{detail}</span>
        </p>
      ) : null}
      {twilioCode === undefined ? null : <p>{texts.twilioCode(twilioCode)}</p>}
    </div>
  );
}

/** A command failed, and the state is what it was: if the call is still being sent although the agent said no, nothing is louder. */
export const Banner = React.memo(function Banner({ alert }: { readonly alert: Alert }) {
  const { texts, commands } = useShared();
  const words = texts.alert[alert.command][alert.audioStillSent ? 'stillSent' : 'other'];
  const why = texts.failure[alert.failure.code];
  const tone = alert.audioStillSent ? 'error' : 'warning';
  return (
    <div className={`va-notice va-banner va-notice-${tone}`} data-testid="voice-assist-alert">
      <span className={`va-icon va-icon-${tone}`} aria-hidden="true">
        {alert.audioStillSent ? <ErrorIcon decorative size="sizeIcon20" /> : <WarningIcon decorative size="sizeIcon20" />}
      </span>
      <div className="va-notice-words">
        <p className="va-notice-title">{words.title}</p>
        <p>{words.body}</p>
        <p className="va-weak va-small">{why.title}</p>
        <Detail {...alert.failure} />
        <div className="va-notice-buttons">
          <Button variant={alert.audioStillSent ? 'destructive' : 'secondary'} size="small" onClick={() => commands[alert.command]()}>
            {texts.retry}
          </Button>
        </div>
      </div>
      <button type="button" className="va-button va-button-icon" aria-label={texts.close} onClick={commands.dismissAlert}>
        <CloseIcon decorative size="sizeIcon20" />
      </button>
    </div>
  );
});
