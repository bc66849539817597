/** What both sides said. It follows the newest words while the agent is at the end, and stays where it is while they read back. */
import React from 'react';

import type { TranscriptLine } from '../core/model';
import { useShared } from './context';

/** Lines drawn at first; the rest follows when the browser has nothing else to do. */
const FIRST = 60;
const AT_END_PX = 24;

export const Transcript = React.memo(function Transcript({ lines }: { readonly lines: readonly TranscriptLine[] }) {
  const { texts } = useShared();
  const scroll = React.useRef<HTMLDivElement>(null);
  const follows = React.useRef(true);
  const [away, setAway] = React.useState(false);
  const from = Math.max(0, lines.length - useGrowing(lines.length, FIRST));

  React.useLayoutEffect(() => {
    if (follows.current && scroll.current) scroll.current.scrollTop = scroll.current.scrollHeight;
  }, [lines, from]);

  const onScroll = (): void => {
    const box = scroll.current;
    if (!box) return;
    follows.current = box.scrollHeight - box.scrollTop - box.clientHeight < AT_END_PX;
    setAway(!follows.current);
  };
  const toEnd = (): void => scroll.current?.scrollTo({ top: scroll.current.scrollHeight });

  return (
    <>
      <div className="va-scroll" ref={scroll} onScroll={onScroll} tabIndex={0} role="group" aria-label={texts.transcript} data-testid="voice-assist-transcript">
        {lines.length ? (
          <ul className="va-lines">
            {lines.slice(from).map((line) => (
              <Line key={line.id} line={line} />
            ))}
          </ul>
        ) : (
          <div className="va-whole">
            <h3>{texts.noTranscript.title}</h3>
            <p className="va-weak">{texts.noTranscript.body}</p>
          </div>
        )}
      </div>
      {away ? (
        <button type="button" className="va-button va-button-first va-new" style={{ top: 'auto', bottom: '0.5rem' }} onClick={toEnd}>
          {texts.toNewest} ↓
        </button>
      ) : null}
    </>
  );
});

const Line = React.memo(function Line({ line }: { readonly line: TranscriptLine }) {
  const { texts } = useShared();
  return (
    <li className={`va-line va-line-${line.track}${line.final ? '' : ' va-line-open'}`}>
      <span className="va-line-who">{texts[line.track]}</span>
      <span className="va-line-text">
        {line.text}
        {line.final ? '' : ' …'}
      </span>
    </li>
  );
});

/** How many of `total` are drawn: `first`, then as many again in each idle moment, until there are no more. */
export function useGrowing(total: number, first: number): number {
  const [drawn, draw] = React.useState(first);
  React.useEffect(() => {
    if (drawn >= total) return undefined;
    return whenIdle(() => draw((before) => before + first));
  }, [drawn, total, first]);
  return drawn;
}

/** Returns what calls it off. */
export function whenIdle(then: () => void): () => void {
  if (typeof window.requestIdleCallback === 'function') {
    const handle = window.requestIdleCallback(then, { timeout: 1000 });
    return () => window.cancelIdleCallback(handle);
  }
  const timer = window.setTimeout(then, 50);
  return () => window.clearTimeout(timer);
}
