/** Which keys do what; and, while there is something to take back, the foot that says so. */
import React from 'react';

import type { ShortcutName } from '../texts/texts';
import { SHORTCUT_KEYS } from '../shortcuts/keys';
import { useShared } from './context';

export const Foot = React.memo(function Foot({ dismissed }: { readonly dismissed: number }) {
  const { texts, commands } = useShared();
  if (!dismissed) return null;
  return (
    <div className="va-foot">
      <span>
        {texts.dismissed}: {dismissed}
      </span>
      <button type="button" className="va-button va-push" data-testid="voice-assist-undismiss" onClick={commands.undismiss}>
        {texts.undo}
      </button>
    </div>
  );
});

const OF_THE_AGENT: readonly ShortcutName[] = ['helpful', 'notHelpful', 'startStop', 'pauseResume'];

export function Keys({ id, readOnly }: { readonly id: string; readonly readOnly: boolean }): JSX.Element {
  const { texts } = useShared();
  const names = (Object.keys(SHORTCUT_KEYS) as ShortcutName[]).filter((name) => !readOnly || !OF_THE_AGENT.includes(name));
  const onCard: readonly (readonly [string, string])[] = [
    [texts.keyNames.arrows, texts.cardKeys.move],
    [texts.keyNames.ends, texts.cardKeys.ends],
    ['C', texts.cardKeys.copy],
    ['I', texts.cardKeys.insert],
    ['E', texts.cardKeys.edit],
    ['X', texts.cardKeys.dismiss],
    ...(readOnly ? [] : ([['+', texts.cardKeys.helpful], ['−', texts.cardKeys.notHelpful]] as const)),
  ];
  return (
    <div className="va-keys" id={id} role="region" aria-label={texts.shortcuts} tabIndex={0}>
      <h4>{texts.shortcutsAnywhere}</h4>
      <dl>
        {names.map((name) => (
          <React.Fragment key={name}>
            <dt>
              <kbd>
                {texts.keyNames.ctrlShift}+{SHORTCUT_KEYS[name]}
              </kbd>
            </dt>
            <dd>{texts.shortcutNames[name]}</dd>
          </React.Fragment>
        ))}
      </dl>
      <h4>{texts.shortcutsInCard}</h4>
      <dl>
        {onCard.map(([keys, name]) => (
          <React.Fragment key={name}>
            <dt>
              <kbd>{keys}</kbd>
            </dt>
            <dd>{name}</dd>
          </React.Fragment>
        ))}
      </dl>
    </div>
  );
}
