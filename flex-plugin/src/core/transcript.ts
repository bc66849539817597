/** What both sides say: lines in the order in which they began, each the whole text so far; the highest part of a line wins. */
import type { Transcript } from './messages';
import type { TranscriptLine } from './model';

/** Lines that are kept: about two hours of talk. The oldest go first. */
const MAX_LINES = 1000;

interface Line extends TranscriptLine {
  readonly part: number;
}

export interface TranscriptState {
  readonly lines: readonly Line[];
}

export const NO_TRANSCRIPT: TranscriptState = { lines: [] };

/** A line as it is so far. A final one stays as it is. */
export function said(state: TranscriptState, { id, track, part, text, final }: Transcript): TranscriptState {
  const at = state.lines.findIndex((line) => line.id === id);
  const line: Line = { id, track, part, text, final };
  if (at < 0) return text || !final ? { lines: [...state.lines, line].slice(-MAX_LINES) } : state;
  const before = state.lines[at];
  if (!before || (before.final && !final) || (before.part >= part && before.final === final)) return state;
  return { lines: state.lines.map((other, index) => (index === at ? line : other)) };
}
