/** An error while drawing stays here: Flex and the call go on, and the agent can open the panel again. */
import React from 'react';

import { textsFor } from '../texts/texts';

interface Props {
  readonly language: string;
  /** Nothing is shown in place of what broke. */
  readonly quiet?: boolean;
  readonly children: React.ReactNode;
}

export class ErrorBoundary extends React.Component<Props, { readonly broken: boolean }> {
  override state = { broken: false };

  static getDerivedStateFromError(): { broken: boolean } {
    return { broken: true };
  }

  /** Drawn without Paste: the theme may be what broke. */
  override render(): React.ReactNode {
    if (!this.state.broken) return this.props.children;
    if (this.props.quiet) return null;
    const { crashed, crashedRetry } = textsFor(this.props.language);
    return (
      <section role="alert" data-testid="voice-assist-crashed" style={{ padding: '1rem', fontSize: '0.875rem', lineHeight: '1.25rem' }}>
        <p style={{ margin: 0, fontWeight: 600 }}>{crashed.title}</p>
        <p style={{ margin: '0.25rem 0 0.75rem' }}>{crashed.body}</p>
        <button type="button" style={{ font: 'inherit', padding: '0.25rem 0.75rem', cursor: 'pointer' }} onClick={() => this.setState({ broken: false })}>
          {crashedRetry}
        </button>
      </section>
    );
  }
}
