/** Signs on cards, drawn as plain paths: a list may have hundreds, and Paste's own icons are three styled elements each. */
import React from 'react';

const PATHS = {
  copy: 'M7 3.5h7.5a2 2 0 0 1 2 2V13M5.5 6.5h6a2 2 0 0 1 2 2v6a2 2 0 0 1-2 2h-6a2 2 0 0 1-2-2v-6a2 2 0 0 1 2-2Z',
  insert: 'M10 3v8m0 0 3-3m-3 3L7 8M4 13v2a1.5 1.5 0 0 0 1.5 1.5h9A1.5 1.5 0 0 0 16 15v-2',
  edit: 'm11.5 5.5 3 3M4 16l.8-3.6 8-8a1.4 1.4 0 0 1 2 0l.8.8a1.4 1.4 0 0 1 0 2l-8 8L4 16Z',
  dismiss: 'm5.5 5.5 9 9m0-9-9 9',
  helpful: 'M6.5 9v7.5m0-7.5 3-5.8c1.2 0 2 .9 2 2V8h3.3c1 0 1.7.9 1.5 1.8l-1 5.2c-.2.9-.9 1.5-1.8 1.5h-7M6.5 9H3.7v7.5h2.8',
  notHelpful: 'M13.5 11V3.5m0 7.5-3 5.8c-1.2 0-2-.9-2-2V12H5.2c-1 0-1.7-.9-1.5-1.8l1-5.2c.2-.9.9-1.5 1.8-1.5h7M13.5 11h2.8V3.5h-2.8',
  more: 'M5 10h.01M10 10h.01M15 10h.01',
  done: 'm4.5 10.5 3.5 3.5 7.5-8',
  link: 'M8.5 5H5.5A1.5 1.5 0 0 0 4 6.5v8A1.5 1.5 0 0 0 5.5 16h8a1.5 1.5 0 0 0 1.5-1.5v-3M11.5 4H16v4.5M16 4l-7 7',
  leftOut: 'M3 3l14 14M8.3 5c.6-.1 1.1-.2 1.7-.2 3.7 0 6 3 7 5.2a11 11 0 0 1-2 3M5.5 6.8A11 11 0 0 0 3 10c1 2.2 3.3 5.2 7 5.2 1.3 0 2.4-.4 3.4-.9',
  keys: 'M3.5 5.5h13a1 1 0 0 1 1 1v7a1 1 0 0 1-1 1h-13a1 1 0 0 1-1-1v-7a1 1 0 0 1 1-1ZM5.5 8.5h.01M8.5 8.5h.01M11.5 8.5h.01M14.5 8.5h.01M7 11.7h6',
} as const;

export type GlyphName = keyof typeof PATHS;

export function Glyph({ name }: { readonly name: GlyphName }): JSX.Element {
  const heavy = name === 'more';
  return (
    <svg aria-hidden="true" width="20" height="20" viewBox="0 0 20 20" fill="none" stroke="currentColor" strokeWidth={heavy ? 2.4 : 1.5} strokeLinecap="round" strokeLinejoin="round">
      <path d={PATHS[name]} />
    </svg>
  );
}
