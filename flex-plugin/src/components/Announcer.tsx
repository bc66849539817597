/**
 * What a screen reader says, in its own time: each announcement once, nothing that was there when the panel opened. Two regions take
 * turns, so that the same words twice are said twice; what was said is taken away again, so that nobody finds old words while reading.
 */
import React from 'react';

import type { Announcement } from '../core/model';
import type { Texts } from '../texts/texts';
import { useShared } from './context';
import { toldOf } from './status';

const SAID_MS = 12_000;

export function Announcer({ announcement }: { readonly announcement: Announcement | null }): JSX.Element {
  const { texts } = useShared();
  const last = React.useRef(announcement?.key ?? '');
  const [said, say] = React.useState<readonly [turn: number, words: string]>([0, '']);

  React.useEffect(() => {
    if (!announcement || announcement.key === last.current) return;
    last.current = announcement.key;
    say(([turn]) => [1 - turn, wordsOf(announcement, texts)]);
  }, [announcement, texts]);

  React.useEffect(() => {
    if (!said[1]) return undefined;
    const timer = window.setTimeout(() => say(([turn]) => [turn, '']), SAID_MS);
    return () => window.clearTimeout(timer);
  }, [said]);

  return (
    <>
      {[0, 1].map((turn) => (
        <div key={turn} className="va-unseen" role="status" aria-live="polite" aria-atomic="true" data-testid="voice-assist-announcer">
          {said[0] === turn ? said[1] : ''}
        </div>
      ))}
    </>
  );
}

export function wordsOf(announcement: Announcement, texts: Texts): string {
  switch (announcement.kind) {
    case 'suggestion':
      return texts.announceSuggestion(announcement.question, announcement.answer);
    case 'status': {
      const { state } = announcement.status;
      const { name, title, body } = toldOf(announcement.status, texts);
      const short = `${texts.panel}: ${name}.`;
      return state === 'failed' || state === 'notConfigured' ? `${texts.panel}: ${title}. ${body}` : short;
    }
    case 'alert': {
      const words = texts.alert[announcement.alert.command][announcement.alert.audioStillSent ? 'stillSent' : 'other'];
      return `${words.title}. ${words.body}`;
    }
    case 'used':
      return announcement.used === 'no' ? '' : texts.announceUsed[announcement.used];
  }
}
