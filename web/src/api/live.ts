// Server-sent events, read with fetch: an EventSource cannot send the key.

import { base, send } from './client';

export interface Counters {
  at?: string;
  events_per_second?: number | null;
  by_type?: Record<string, number> | null;
  landed?: number | null;
  duplicates?: number | null;
  quarantined?: number | null;
  lag_commits?: number | null;
  active_players_5m?: number | null;
}

/** Takes a stream apart into the data of its events; what is not whole yet stays for the next part. */
export function takeEvents(buffer: string): { events: string[]; rest: string } {
  const blocks = buffer.replaceAll('\r\n', '\n').split('\n\n');
  const rest = blocks.pop() ?? '';
  const events = blocks.flatMap((block) => {
    const data = block
      .split('\n')
      .filter((line) => line.startsWith('data:'))
      .map((line) => line.slice(5).trimStart());
    return data.length === 0 ? [] : [data.join('\n')];
  });
  return { events, rest };
}

const pause = (milliseconds: number, signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    signal.addEventListener('abort', () => {
      clearTimeout(timer);
      resolve();
    });
  });

const isAborted = (signal: AbortSignal): boolean => signal.aborted;

/** Watches the counters until the signal; after a break it connects anew, ever more slowly. */
export async function watchCounters(
  signal: AbortSignal,
  onCounters: (counters: Counters) => void,
  onState: (connected: boolean, problem: string | null) => void,
): Promise<void> {
  let wait = 1000;
  while (!signal.aborted) {
    try {
      const response = await send(`${base}/live`, {
        headers: { Accept: 'text/event-stream' },
        signal,
      });
      if (response.body === null) throw new Error('the stream is empty');
      onState(true, null);
      wait = 1000;
      const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
      let buffer = '';
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        const { events, rest } = takeEvents(buffer + value);
        buffer = rest;
        for (const event of events) onCounters(JSON.parse(event) as Counters);
      }
      onState(false, 'the server closed the stream');
    } catch (error) {
      // It may have become so while the answer was waited for.
      if (isAborted(signal)) return;
      onState(false, error instanceof Error ? error.message : String(error));
    }
    await pause(wait, signal);
    wait = Math.min(wait * 2, 15_000);
  }
}
