/** In place of Flex: its icon button, as far as ours uses it. */
import React from 'react';

interface Props extends React.ButtonHTMLAttributes<HTMLButtonElement> {
  readonly icon: string;
  readonly variant?: string;
}

export function IconButton({ icon: _icon, variant: _variant, title, ...rest }: Props): JSX.Element {
  return (
    <button type="button" {...rest} aria-label={title} title={title}>
      ✦
    </button>
  );
}
