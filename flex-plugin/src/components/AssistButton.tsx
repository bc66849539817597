/** Start and stop among the call canvas's own buttons, drawn by Flex's own button. */
import React from 'react';

import { IconButton } from '@twilio/flex-ui';

import type { AssistButtonProps } from '../core/commands';
import { textsFor } from '../texts/texts';
import { ErrorBoundary } from './ErrorBoundary';
import { toldOf } from './status';

/** If it cannot be drawn it is not there: the call's own buttons are. */
export const AssistButton = (props: AssistButtonProps): JSX.Element => (
  <ErrorBoundary language={props.language} quiet>
    <StartStop {...props} />
  </ErrorBoundary>
);

const StartStop = React.memo(function StartStop({ view, commands, language }: AssistButtonProps) {
  if (view.readOnly) return null;
  const texts = textsFor(language);
  const { permitted, busy } = view;
  const stops = permitted.stop || busy === 'stop';
  const may = busy === null && (stops ? permitted.stop : permitted.start);
  const command = stops ? texts.stop : texts.start;
  const { name } = toldOf(view.status, texts);
  return (
    <IconButton
      icon={stops ? 'BulbBold' : 'Bulb'}
      title={`${texts.panel}: ${busy ? texts.busy[busy] : may ? command : name}`}
      aria-pressed={stops}
      aria-disabled={!may || undefined}
      variant={stops ? 'primary' : 'secondary'}
      data-testid="voice-assist-button"
      onClick={() => {
        if (may) commands[stops ? 'stop' : 'start']();
      }}
    />
  );
});
