/**
 * Tells the relay when suggestions were painted, for a sample of them: the last stage of the latency that agents feel.
 *
 * Called after React has put a suggestion into the page; the next frame's end is the paint. What was there when the panel was first
 * filled is not reported, nor what arrives while the page is hidden: it is painted when somebody looks.
 */
import type { AssistCall } from '../assist/call';
import type { CallView } from '../core/model';
import type { FunctionsClient } from '../functions/client';

/** A machine that slept, or a clock that is wrong, is no latency. */
const MAX_AGO_MS = 10_000;

export class PaintReporter {
  private readonly seen = new WeakMap<AssistCall, Set<string>>();
  /** Half of the last report's round trip: about what the report's way takes. */
  private way = 0;

  constructor(
    private readonly functions: FunctionsClient,
    private readonly chance: () => number = Math.random,
  ) {}

  rendered(call: AssistCall, view: CallView): void {
    if (!view.listed) return;
    const finished = view.suggestions.filter(({ draft }) => !draft).map(({ id }) => id);
    const seen = this.seen.get(call);
    if (!seen) {
      this.seen.set(call, new Set(finished));
      return;
    }
    const fresh = finished.filter((id) => !seen.has(id));
    for (const id of fresh) seen.add(id);
    if (!fresh.length || document.visibilityState !== 'visible') return;
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        port1.close();
        const at = performance.now();
        for (const id of fresh) void this.report(call, view, id, at);
      };
      port2.postMessage(null);
    });
  }

  private async report(call: AssistCall, view: CallView, id: string, painted: number): Promise<void> {
    const { target, settings } = call.configuration;
    const timing = call.timing(id);
    const about = view.suggestions.find((one) => one.id === id);
    if ('unconfigured' in target || !timing || !about?.revision || view.readOnly || this.chance() >= settings.paintedSample) return;
    const begin = performance.now();
    const agoMs = begin - painted + this.way;
    if (agoMs > MAX_AGO_MS) return;
    const outcome = await this.functions.painted(target.url, view.callSid, about, { ...timing, agoMs });
    if (outcome.kind === 'ok') this.way = (performance.now() - begin) / 2;
  }
}
