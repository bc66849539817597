/** Flex's components as far as ours use them, for tests without Flex: a button is a button. */
import React from 'react';

interface ButtonProps {
  readonly title?: string;
  readonly disabled?: boolean;
  readonly onClick?: () => void;
  readonly children?: React.ReactNode;
}

export function IconButton({ title, disabled, onClick, children, ...others }: ButtonProps): JSX.Element {
  const attributes = Object.fromEntries(Object.entries(others).filter(([name]) => /^(aria|data)-/.test(name)));
  return React.createElement('button', { type: 'button', title, disabled, onClick, ...attributes }, children);
}
