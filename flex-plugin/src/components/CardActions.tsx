/** What an agent can do with a suggestion: use it, change it and use it, judge it, take it away. */
import React from 'react';

import type { SuggestionView } from '../core/model';
import { NOT_HELPFUL_REASONS } from '../core/model';
import { useShared } from './context';
import type { GlyphName } from './glyphs';
import { Glyph } from './glyphs';

/** The newest card's row. */
export function CardActions({ one, feedback, onEdit }: { readonly one: SuggestionView; readonly feedback: boolean; readonly onEdit: () => void }): JSX.Element {
  const { texts, commands } = useShared();
  const { id, used } = one;
  return (
    <div className="va-actions">
      <Use done={used === 'copied'} label={texts.copy} doneLabel={texts.copied} testId="copy" onClick={() => commands.copy(id)} />
      <Use done={used === 'inserted'} label={texts.insert} doneLabel={texts.inserted} testId="insert" onClick={() => commands.insert(id)} />
      {feedback ? <IconButton glyph="edit" label={texts.edit} onClick={onEdit} /> : null}
      <span className="va-gap" />
      {feedback ? <Verdicts one={one} /> : null}
    </div>
  );
}

function Use({ done, label, doneLabel, testId, onClick }: { readonly done: boolean; readonly label: string; readonly doneLabel: string; readonly testId: string; readonly onClick: () => void }): JSX.Element {
  return (
    <button type="button" className={`va-button va-button-framed${done ? ' va-button-done' : ''}`} data-testid={`voice-assist-${testId}`} onClick={onClick}>
      {done ? doneLabel : label}
    </button>
  );
}

function Verdicts({ one }: { readonly one: SuggestionView }): JSX.Element {
  const { texts, commands } = useShared();
  const given = one.feedback.given?.verdict;
  return (
    <>
      <IconButton glyph="helpful" label={texts.helpful} pressed={given === 'helpful'} onClick={() => commands.helpful(one.id)} />
      <IconButton glyph="notHelpful" label={texts.notHelpful} pressed={given === 'notHelpful'} onClick={() => commands.notHelpful(one.id)} />
    </>
  );
}

interface SmallProps {
  readonly one: SuggestionView;
  readonly active: boolean;
  readonly feedback: boolean;
  readonly onActive: () => void;
  readonly onDismiss: (id: string) => void;
  readonly onEdit: () => void;
}

/** An older card's, in the line of its time: one sign until the mouse or the focus comes, so that nothing moves then. */
export const SmallActions = ({ one, active, feedback, onActive, onDismiss, onEdit }: SmallProps): JSX.Element => {
  const { texts, commands } = useShared();
  const box = React.useRef<HTMLSpanElement>(null);
  const wanted = React.useRef(false);
  React.useEffect(() => {
    if (active && wanted.current) box.current?.querySelector('button')?.focus();
    wanted.current = false;
  }, [active]);
  const open = (): void => {
    wanted.current = true;
    onActive();
  };
  const { id, used, question } = one;
  return (
    <span className="va-actions-small" ref={box}>
      {active ? (
        <>
          <IconButton glyph={used === 'copied' ? 'done' : 'copy'} label={used === 'copied' ? texts.copied : texts.copy} onClick={() => commands.copy(id)} />
          <IconButton glyph={used === 'inserted' ? 'done' : 'insert'} label={used === 'inserted' ? texts.inserted : texts.insert} onClick={() => commands.insert(id)} />
          {feedback ? <IconButton glyph="edit" label={texts.edit} onClick={onEdit} /> : null}
          {feedback ? <Verdicts one={one} /> : null}
          <IconButton glyph="dismiss" label={texts.dismiss} onClick={() => onDismiss(id)} />
        </>
      ) : (
        <button type="button" className="va-button" tabIndex={-1} aria-label={`${texts.more}: ${question || texts.noQuestion}`} onClick={open}>
          <Glyph name="more" />
        </button>
      )}
    </span>
  );
};

/** Asked after "not helpful", which counts with or without an answer. */
export function Reasons({ id }: { readonly id: string }): JSX.Element {
  const { texts, commands } = useShared();
  return (
    <fieldset className="va-reasons" data-testid="voice-assist-reasons">
      <legend>{texts.whyNotHelpful}</legend>
      {NOT_HELPFUL_REASONS.map((reason) => (
        <button key={reason} type="button" className="va-button" onClick={() => commands.notHelpful(id, reason)}>
          {texts.reasons[reason]}
        </button>
      ))}
    </fieldset>
  );
}

/** The agent's own wording. Escape leaves it; nothing is sent before it is used. */
export function EditBox({ one, onDone }: { readonly one: SuggestionView; readonly onDone: () => void }): JSX.Element {
  const { texts, commands } = useShared();
  const [text, setText] = React.useState(one.answer);
  const box = React.useRef<HTMLTextAreaElement>(null);

  React.useEffect(() => {
    const area = box.current;
    area?.focus();
    area?.setSelectionRange(area.value.length, area.value.length);
  }, []);
  React.useLayoutEffect(() => {
    const area = box.current;
    if (!area) return;
    area.style.height = 'auto';
    area.style.height = `${area.scrollHeight + 2}px`;
  }, [text]);

  const leave = (): void => {
    const card = box.current?.closest<HTMLElement>('article');
    onDone();
    card?.focus();
  };
  const use = (how: 'copy' | 'insert'): void => {
    if (text === one.answer) commands[how](one.id);
    else commands.editedAndUsed(one.id, text, how);
    leave();
  };
  const empty = !text.trim();

  return (
    <>
      <textarea
        ref={box}
        className="va-edit"
        aria-label={texts.editLabel}
        value={text}
        data-testid="voice-assist-edit"
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key !== 'Escape') return;
          event.stopPropagation();
          leave();
        }}
      />
      <div className="va-actions">
        <button type="button" className="va-button va-button-framed" aria-disabled={empty || undefined} onClick={() => empty || use('copy')}>
          {texts.copyEdited}
        </button>
        <button type="button" className="va-button va-button-framed" aria-disabled={empty || undefined} onClick={() => empty || use('insert')}>
          {texts.insertEdited}
        </button>
        <button type="button" className="va-button" onClick={leave}>
          {texts.cancel}
        </button>
      </div>
    </>
  );
}

interface IconButtonProps {
  readonly glyph: GlyphName;
  readonly label: string;
  readonly pressed?: boolean;
  readonly onClick: () => void;
}

function IconButton({ glyph, label, pressed, onClick }: IconButtonProps): JSX.Element {
  return (
    <button type="button" className="va-button va-button-icon" aria-label={label} aria-pressed={pressed} data-tip={label} data-testid={`voice-assist-${glyph}`} onClick={onClick}>
      <Glyph name={glyph} />
    </button>
  );
}
