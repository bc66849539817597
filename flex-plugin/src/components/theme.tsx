/**
 * Paste's tokens for everything of ours, light or dark as Flex is, and for nothing else: Paste's own provider would also write global
 * styles, which are Flex's to set. A cache of its own keeps our classes apart from Flex's.
 */
import React from 'react';

import { DarkTheme, DefaultTheme, StyledBase } from '@twilio-paste/core/theme';
import { CacheProvider, ThemeProvider, createCache, styled } from '@twilio-paste/core/styling-library';

const cache = createCache({ key: 'voice-assist' });

/** All that the call canvas leaves free. What Flex shows above it keeps its height: the canvas scrolls before anything is squeezed. */
const Frame = styled(StyledBase)({
  display: 'flex',
  flexDirection: 'column',
  flex: '1000 1 0',
  minHeight: '19.5rem',
  ':has(> &) > *': { flexShrink: 0 },
});

export function AssistTheme({ dark, children }: { readonly dark: boolean; readonly children: React.ReactNode }): JSX.Element {
  return (
    <CacheProvider value={cache}>
      <ThemeProvider theme={dark ? DarkTheme : DefaultTheme}>
        <Frame>{children}</Frame>
      </ThemeProvider>
    </CacheProvider>
  );
}
