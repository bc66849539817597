/**
 * The list of suggestions, newest on top. One card is in the tab order, arrow keys go to the others; what is read stays where it is when
 * something comes above it; 200 cards are drawn a few at a time, and an old card is not drawn again because a new one grows.
 */
import React from 'react';

import type { CallView } from '../core/model';
import { useShared } from './context';
import { Strip, Whole } from './notices';
import { SuggestionCard } from './SuggestionCard';
import { useGrowing, whenIdle } from './Transcript';

/** Cards drawn at first; the rest follows when the browser has nothing else to do. */
const FIRST = 20;
/** Space for a draft: three lines at least, six at most, and as the last answer was. */
const RESERVE_PX = { least: 72, most: 144 };
const AT_TOP_PX = 8;

type Props = Pick<CallView, 'status' | 'busy' | 'permitted' | 'readOnly' | 'suggestions' | 'listed'>;

export function SuggestionList({ status, busy, permitted, readOnly, suggestions, listed }: Props): JSX.Element {
  const { texts } = useShared();
  const scroll = React.useRef<HTMLDivElement>(null);
  const count = useGrowing(suggestions.length, FIRST);
  const shown = count < suggestions.length ? suggestions.slice(0, count) : suggestions;
  const newest = suggestions.find(({ draft }) => !draft)?.id ?? '';
  const { active, setActive, current, onKeyDown, onDismiss } = useCards(scroll, suggestions, newest);
  const reserve = useReserve(scroll, newest);
  const { fresh, onScroll, toTop } = useTop(scroll, suggestions[0]?.id ?? '');
  const state = { status, busy, permitted, readOnly };
  const waits = !listed && (status.state === 'listening' || status.state === 'starting' || status.state === 'paused');

  return (
    <>
      <div className="va-scroll" ref={scroll} onScroll={onScroll} onKeyDown={onKeyDown} data-testid="voice-assist-list" tabIndex={suggestions.length ? undefined : 0} role="group" aria-label={texts.list}>
        {suggestions.length ? (
          <>
            <Strip {...state} />
            <div className="va-feed" role="feed" aria-label={texts.list}>
              {shown.map((one) => (
                <SuggestionCard
                  key={one.id}
                  one={one}
                  place={one.draft ? 'draft' : one.id === newest ? 'newest' : 'older'}
                  active={one.id === active}
                  current={one.id === current}
                  feedback={permitted.feedback}
                  reserve={one.draft ? reserve : 0}
                  onActive={setActive}
                  onDismiss={onDismiss}
                />
              ))}
            </div>
          </>
        ) : waits && status.state !== 'starting' ? (
          <Placeholder />
        ) : (
          <Whole {...state} />
        )}
      </div>
      {fresh ? (
        <button type="button" className="va-button va-button-first va-new" data-testid="voice-assist-new" onClick={toTop}>
          ↑ {texts.newSuggestion}
        </button>
      ) : null}
    </>
  );
}

function Placeholder(): JSX.Element {
  const { texts } = useShared();
  return (
    <div className="va-skeletons" data-testid="voice-assist-loading">
      <span className="va-unseen">{texts.loading}</span>
      <div className="va-skeleton" style={{ height: '9rem' }} />
      <div className="va-skeleton" />
      <div className="va-skeleton" />
    </div>
  );
}

const cardsIn = (box: HTMLElement | null): HTMLElement[] => [...(box?.querySelectorAll<HTMLElement>('article.va-card') ?? [])];

/** Which card shows its buttons, which is in the tab order, what keys do, and where the focus goes when its card is taken away. */
function useCards(scroll: React.RefObject<HTMLDivElement>, suggestions: CallView['suggestions'], newest: string) {
  const { commands } = useShared();
  const [active, setActive] = React.useState('');
  const orphaned = React.useRef<number | null>(null);
  const known = suggestions.some(({ id }) => id === active);
  const current = known ? active : newest || (suggestions[0]?.id ?? '');

  React.useEffect(() => {
    if (orphaned.current === null) return;
    const cards = cardsIn(scroll.current);
    (cards[Math.min(orphaned.current, cards.length - 1)] ?? scroll.current)?.focus({ preventScroll: false });
    orphaned.current = null;
  }, [scroll, suggestions]);

  const onDismiss = React.useCallback(
    (id: string): void => {
      const cards = cardsIn(scroll.current);
      const at = cards.findIndex((card) => card.dataset['id'] === id);
      if (cards[at]?.contains(document.activeElement)) orphaned.current = at;
      commands.dismiss(id);
    },
    [commands, scroll],
  );

  const onKeyDown = (event: React.KeyboardEvent): void => {
    const target = event.target as HTMLElement;
    const card = target.closest<HTMLElement>('article.va-card');
    if (!card || event.ctrlKey || event.metaKey || event.altKey || target.closest('textarea')) return;
    const one = suggestions.find(({ id }) => id === card.dataset['id']);
    if (!one) return;
    const cards = cardsIn(scroll.current);
    const at = cards.indexOf(card);
    const to = { ArrowDown: at + 1, PageDown: at + 1, ArrowUp: at - 1, PageUp: at - 1, Home: 0, End: cards.length - 1 }[event.key];
    const press = (glyph: string): void => card.querySelector<HTMLElement>(`[data-testid="voice-assist-${glyph}"]`)?.click();
    if (to !== undefined) cards[Math.max(0, Math.min(to, cards.length - 1))]?.focus();
    else if (one.draft) return;
    else if (event.key === 'c') commands.copy(one.id);
    else if (event.key === 'i') commands.insert(one.id);
    else if (event.key === 'e') press('edit');
    else if (event.key === '+') press('helpful');
    else if (event.key === '-') press('notHelpful');
    else if (event.key === 'Delete' || event.key === 'x') onDismiss(one.id);
    else return;
    event.preventDefault();
  };

  return { active: known ? active : '', setActive, current, onKeyDown, onDismiss };
}

/** The height of the newest answer, as the space that the next draft is given. Read when nothing else is to do: the layout is clean then. */
function useReserve(scroll: React.RefObject<HTMLDivElement>, newest: string): number {
  const height = React.useRef(RESERVE_PX.least);
  React.useEffect(
    () =>
      whenIdle(() => {
        const answer = scroll.current?.querySelector<HTMLElement>('.va-card-newest .va-answer');
        if (answer) height.current = Math.max(RESERVE_PX.least, Math.min(answer.offsetHeight, RESERVE_PX.most));
      }),
    [scroll, newest],
  );
  return height.current;
}

/** Whether something new came on top while the agent reads further down. The browser keeps what they read in its place. */
function useTop(scroll: React.RefObject<HTMLDivElement>, top: string) {
  const [seen, setSeen] = React.useState<string | null>(null);
  const onScroll = (): void => setSeen((before) => ((scroll.current?.scrollTop ?? 0) <= AT_TOP_PX ? null : (before ?? top)));
  const toTop = (): void => scroll.current?.scrollTo({ top: 0 });
  return { fresh: seen !== null && seen !== top, onScroll, toTop };
}
