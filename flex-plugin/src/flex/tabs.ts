/** Tells this browser's other tabs which call's assist was started, so that they show it too. */

const CHANNEL = 'voice-assist';

export class OtherTabs {
  private readonly channel = typeof BroadcastChannel === 'function' ? new BroadcastChannel(CHANNEL) : null;

  constructor(started: (callSid: string) => void) {
    this.channel?.addEventListener('message', ({ data }: MessageEvent<unknown>) => {
      const callSid = typeof data === 'object' && data !== null ? (data as { started?: unknown }).started : undefined;
      if (typeof callSid === 'string') started(callSid);
    });
  }

  started(callSid: string): void {
    this.channel?.postMessage({ started: callSid });
  }
}
