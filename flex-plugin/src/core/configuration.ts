/**
 * Where a task's functions are and how the plugin behaves for its queue, from the Flex configuration (pure).
 *
 * The operator writes `ui_attributes.custom_data.voice_assist.instances['<namespace>/<name>']`: {functionsUrl, queues | default}; a
 * person may write `voice_assist.settings`: {autoStart, pauseOnHold, functionsUrl, paintedSample, queues: {<queue>: {…}}} beside it.
 */
import type { Unconfigured } from './model';

export interface Settings {
  /** Start by itself when a call is accepted. */
  readonly autoStart: boolean;
  /** Pause by itself while the call is on hold. */
  readonly pauseOnHold: boolean;
  /** Share of suggestions whose painting is reported, 0 to 1. */
  readonly paintedSample: number;
}

export const DEFAULTS: Settings = { autoStart: false, pauseOnHold: true, paintedSample: 0.1 };

export type Target = { readonly url: string } | { readonly unconfigured: Unconfigured; readonly queue: string };

export interface Configuration {
  readonly target: Target;
  readonly settings: Settings;
}

export interface Queue {
  readonly name: string;
  readonly sid: string;
}

type Fields = Readonly<Record<string, unknown>>;

/** `uiAttributes`: of the Flex configuration as Flex has read it; `fallbackUrl`: the plugin's own setting, '' for none. */
export function configurationFor(queue: Queue, uiAttributes: unknown, fallbackUrl = ''): Configuration {
  const ours = part(part(uiAttributes, 'custom_data'), 'voice_assist');
  const general = part(ours, 'settings');
  const byQueue = part(general, 'queues');
  const settings = withSettings(withSettings(DEFAULTS, general), { ...part(byQueue, queue.name), ...part(byQueue, queue.sid) });
  const own = typeof general.functionsUrl === 'string' && general.functionsUrl ? general.functionsUrl : fallbackUrl;
  return { settings, target: targetFor(queue, part(ours, 'instances'), own) };
}

function targetFor(queue: Queue, instances: Fields, own: string): Target {
  const entries = Object.keys(instances).sort().map((key) => part(instances, key));
  const names = [queue.name, queue.sid].filter(Boolean);
  const found =
    entries.find((entry) => Array.isArray(entry.queues) && names.some((name) => (entry.queues as unknown[]).includes(name))) ??
    entries.find((entry) => entry.default === true);
  const given = found ? found.functionsUrl : own || undefined;
  if (given === undefined) return { unconfigured: entries.length ? 'noQueue' : 'noEntry', queue: queue.name };
  const url = httpsUrl(given);
  return url === null ? { unconfigured: 'badUrl', queue: queue.name } : { url };
}

/** An https address without a query and without a slash at its end; null for anything else. */
export function httpsUrl(value: unknown): string | null {
  if (typeof value !== 'string' || !/^https:\/\/[^\s?#@]+$/i.test(value)) return null;
  try {
    const { origin, pathname } = new URL(value);
    return origin + pathname.replace(/\/+$/, '');
  } catch {
    return null;
  }
}

function withSettings(base: Settings, given: Fields): Settings {
  const sample = given.paintedSample;
  return {
    autoStart: typeof given.autoStart === 'boolean' ? given.autoStart : base.autoStart,
    pauseOnHold: typeof given.pauseOnHold === 'boolean' ? given.pauseOnHold : base.pauseOnHold,
    paintedSample: typeof sample === 'number' && sample >= 0 && sample <= 1 ? sample : base.paintedSample,
  };
}

function part(holder: unknown, name: string): Fields {
  if (typeof holder !== 'object' || holder === null || Array.isArray(holder)) return {};
  const found = Object.prototype.hasOwnProperty.call(holder, name) ? (holder as Fields)[name] : undefined;
  return typeof found === 'object' && found !== null && !Array.isArray(found) ? (found as Fields) : {};
}
