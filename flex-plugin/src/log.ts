/** A log for whoever opens the browser's console: what happened, in fixed words. No tokens, no spoken words, no call SIDs. */

export type LogFields = Readonly<Record<string, string | number | boolean>>;

export interface Log {
  info(what: string, fields?: LogFields): void;
  warn(what: string, fields?: LogFields): void;
}

export const consoleLog: Log = {
  info: (what, fields = {}) => console.info(line(what, fields)),
  warn: (what, fields = {}) => console.warn(line(what, fields)),
};

function line(what: string, fields: LogFields): string {
  return ['[voice assist]', what, ...Object.entries(fields).map(([name, value]) => `${name}=${value}`)].join(' ');
}
