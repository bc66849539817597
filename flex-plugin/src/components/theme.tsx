/**
 * Paste's tokens for everything of ours, light or dark as Flex is, and for nothing else: Paste's own provider would also write global
 * styles, which are Flex's to set. A cache of its own keeps our classes apart from Flex's.
 */
import React from 'react';

import { DarkTheme, DefaultTheme, StyledBase } from '@twilio-paste/core/theme';
import { CacheProvider, ThemeProvider, createCache } from '@twilio-paste/core/styling-library';

const cache = createCache({ key: 'voice-assist' });

export function AssistTheme({ dark, children }: { readonly dark: boolean; readonly children: React.ReactNode }): JSX.Element {
  return (
    <CacheProvider value={cache}>
      <ThemeProvider theme={dark ? DarkTheme : DefaultTheme}>
        <StyledBase style={{ height: '100%', minHeight: 0 }}>{children}</StyledBase>
      </ThemeProvider>
    </CacheProvider>
  );
}
