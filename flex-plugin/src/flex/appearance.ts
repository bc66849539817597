/** How Flex looks and speaks for this user, read leniently, and told when it changes. */

interface Source {
  readonly store: { getState(): unknown; subscribe(listener: () => void): () => void };
  readonly localization?: { readonly localeTag?: string };
}

export class Appearance {
  private theme: unknown = null;
  private readonly listeners = new Set<() => void>();

  constructor(private readonly manager: Source) {
    this.theme = this.read();
    manager.store.subscribe(() => {
      const theme = this.read();
      if (theme === this.theme) return;
      this.theme = theme;
      for (const listener of [...this.listeners]) listener();
    });
  }

  get dark(): boolean {
    return (field(this.theme, 'isLight') ?? field(this.theme, 'light')) === false;
  }

  get language(): string {
    try {
      return this.manager.localization?.localeTag || document.documentElement.lang || 'en';
    } catch {
      return 'en';
    }
  }

  subscribe(listener: () => void): () => void {
    this.listeners.add(listener);
    return () => this.listeners.delete(listener);
  }

  private read(): unknown {
    return field(field(field(this.manager.store.getState(), 'flex'), 'config'), 'theme');
  }
}

function field(holder: unknown, name: string): unknown {
  return typeof holder === 'object' && holder !== null ? (holder as Record<string, unknown>)[name] : undefined;
}
