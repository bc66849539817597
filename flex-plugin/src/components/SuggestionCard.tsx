/**
 * One suggestion, from its first word to its last use. A draft and what becomes of it are one card: the text grows in a place that was
 * kept for it, and neither the question nor the buttons push it about when they come.
 */
import React from 'react';

import type { SuggestionView } from '../core/model';
import { useShared } from './context';
import { CardActions, EditBox, Reasons, SmallActions } from './CardActions';
import { Glyph } from './glyphs';

/** `newest`: the newest finished one, with all its buttons; `older`: small, its buttons come with the mouse or the focus. */
export type Place = 'draft' | 'newest' | 'older';

export interface CardProps {
  readonly one: SuggestionView;
  readonly place: Place;
  /** It shows what can be done with it. */
  readonly active: boolean;
  /** The one card of the list that the Tab key reaches. */
  readonly current: boolean;
  readonly feedback: boolean;
  /** Pixels that a draft's text is given from the start. */
  readonly reserve: number;
  readonly onActive: (id: string) => void;
  readonly onDismiss: (id: string) => void;
}

let cards = 0;

export const SuggestionCard = React.memo(function SuggestionCard({ one, place, active, current, feedback, reserve, onActive, onDismiss }: CardProps) {
  const { texts, clock } = useShared();
  const [name] = React.useState(() => `voice-assist-card-${(cards += 1)}`);
  const [kept] = React.useState(() => (one.draft ? reserve : 0));
  const [editing, setEditing] = React.useState(false);
  const { id, draft } = one;
  const activate = (): void => onActive(id);
  const kind = one.kind ? (texts.kinds[one.kind] ?? one.kind) : '';
  const given = one.feedback.given;
  const shows = place === 'newest' || (place === 'older' && active);

  const classes = ['va-card', `va-card-${place}`];
  if (one.kind === 'warning') classes.push('va-card-warning');
  if (one.early) classes.push('va-card-early');
  if (one.faded && place === 'older') classes.push('va-card-faded');

  return (
    <article
      className={classes.join(' ')}
      tabIndex={current ? 0 : -1}
      aria-labelledby={`${name}-question`}
      aria-describedby={draft ? undefined : `${name}-answer`}
      aria-busy={draft || undefined}
      data-id={id}
      data-faded={one.faded || undefined}
      data-testid="voice-assist-suggestion"
      onMouseEnter={activate}
      onFocus={activate}
    >
      <div className="va-meta">
        {kind ? <span className={one.kind === 'warning' ? 'va-badge va-badge-warning' : 'va-badge'}>{kind}</span> : null}
        {draft ? <span>{one.early ? texts.early : texts.now}</span> : null}
        {one.at === null ? null : <time dateTime={new Date(one.at).toISOString()}>{clock.format(one.at)}</time>}
        {place === 'older' ? <SmallActions one={one} active={active} feedback={feedback} onActive={activate} onDismiss={onDismiss} onEdit={() => setEditing(true)} /> : null}
        {place === 'newest' ? <Dismiss onClick={() => onDismiss(id)} /> : null}
      </div>
      <h3 id={`${name}-question`} className="va-question">
        {one.question || (draft ? texts.writing : texts.noQuestion)}
      </h3>
      {editing && !draft ? (
        <EditBox one={one} onDone={() => setEditing(false)} />
      ) : (
        <p id={`${name}-answer`} className="va-answer" style={kept && place !== 'older' ? { minHeight: kept } : undefined}>
          <Words text={one.answer} growing={draft} />
        </p>
      )}
      {draft ? null : <Extra one={one} />}
      {draft ? <div className="va-actions" /> : null}
      {shows && !editing ? (
        <>
          {place === 'newest' ? <CardActions one={one} feedback={feedback} onEdit={() => setEditing(true)} /> : null}
          {feedback && given?.verdict === 'notHelpful' && !given.reason ? <Reasons id={id} /> : null}
        </>
      ) : null}
      <Told one={one} shows={shows} />
    </article>
  );
});

/** A draft's new words come in softly; what was there stays untouched. */
function Words({ text, growing }: { readonly text: string; readonly growing: boolean }): JSX.Element {
  const before = React.useRef('');
  const known = growing && text.startsWith(before.current) ? before.current : growing ? '' : text;
  React.useEffect(() => {
    before.current = text;
  });
  return (
    <>
      {known}
      {known.length < text.length ? (
        <span key={text.length} className="va-fresh">
          {text.slice(known.length)}
        </span>
      ) : null}
      {growing ? <span className="va-caret" aria-hidden="true" /> : null}
    </>
  );
}

function Dismiss({ onClick }: { readonly onClick: () => void }): JSX.Element {
  const { texts } = useShared();
  return (
    <span className="va-actions-small">
      <button type="button" className="va-button" aria-label={texts.dismiss} data-tip={texts.dismiss} data-testid="voice-assist-dismiss" onClick={onClick}>
        <Glyph name="dismiss" />
      </button>
    </span>
  );
}

/** What only some suggestions have. */
function Extra({ one }: { readonly one: SuggestionView }): JSX.Element | null {
  const { texts } = useShared();
  const { sources, redactions, truncated } = one;
  if (!sources?.length && !redactions?.length && !truncated) return null;
  return (
    <div className="va-extra">
      {truncated ? <p>{texts.truncated}</p> : null}
      {redactions?.length ? (
        <p data-testid="voice-assist-redactions">
          <Glyph name="leftOut" />
          {texts.leftOut(redactions.map((category) => texts.categories[category] ?? category).join(', '))}
        </p>
      ) : null}
      {sources?.length ? (
        <ul className="va-sources" aria-label={texts.sources} data-testid="voice-assist-sources">
          {sources.map((source, index) => (
            <li key={index}>
              {source.url ? (
                <a className="va-source" href={source.url} target="_blank" rel="noopener noreferrer">
                  {source.title}
                  <Glyph name="link" />
                  <span className="va-unseen">({texts.opensInNewTab})</span>
                </a>
              ) : (
                source.title
              )}
            </li>
          ))}
        </ul>
      ) : null}
    </div>
  );
}

/** What became of the agent's last deed, where it is not plain from the button. */
function Told({ one, shows }: { readonly one: SuggestionView; readonly shows: boolean }): JSX.Element | null {
  const { texts, commands } = useShared();
  const { given, sending } = one.feedback;
  const lines: React.ReactNode[] = [];
  if (one.used === 'nowhere') lines.push(texts.insertedNowhere);
  if (one.used === 'failed') lines.push(texts.useFailed);
  if (given && sending === 'failed') {
    const again = (): void => (given.verdict === 'notHelpful' ? commands.notHelpful(one.id, given.reason) : commands.helpful(one.id));
    lines.push(
      <>
        {texts.feedbackFailed}.
        {given.verdict === 'editedAndUsed' ? null : (
          <button type="button" className="va-button va-again" onClick={again}>
            {texts.tryAgain}
          </button>
        )}
      </>,
    );
  }
  if (sending === 'notMine') lines.push(texts.feedbackNotMine);
  if (shows && sending === 'sent' && given?.verdict === 'notHelpful' && given.reason) lines.push(texts.thanks);
  if (!lines.length) return null;
  return (
    <div className="va-extra">
      {lines.map((line, index) => (
        <div key={index}>{line}</div>
      ))}
    </div>
  );
}
