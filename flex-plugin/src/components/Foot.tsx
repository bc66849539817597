/** The foot of the panel: what was dismissed, and the keys. */
import React from 'react';

import type { ShortcutName } from '../texts/texts';
import { SHORTCUT_KEYS } from '../shortcuts/keys';
import { useShared } from './context';
import { Glyph } from './glyphs';

export const Foot = React.memo(function Foot({ dismissed, readOnly }: { readonly dismissed: number; readonly readOnly: boolean }) {
  const { texts, commands } = useShared();
  const [open, setOpen] = React.useState(false);
  return (
    <>
      {open ? <Keys readOnly={readOnly} /> : null}
      <div className="va-foot">
        {dismissed ? (
          <>
            <span>
              {texts.dismissed}: {dismissed}
            </span>
            <button type="button" className="va-button" data-testid="voice-assist-undismiss" onClick={commands.undismiss}>
              {texts.undo}
            </button>
          </>
        ) : null}
        <button type="button" className="va-button va-push" aria-expanded={open} data-testid="voice-assist-keys" onClick={() => setOpen(!open)}>
          <Glyph name="keys" />
          {texts.shortcuts}
        </button>
      </div>
    </>
  );
});

const OF_THE_AGENT: readonly ShortcutName[] = ['helpful', 'notHelpful', 'startStop', 'pauseResume'];

function Keys({ readOnly }: { readonly readOnly: boolean }): JSX.Element {
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
    <div className="va-keys" role="region" aria-label={texts.shortcuts} tabIndex={0}>
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
