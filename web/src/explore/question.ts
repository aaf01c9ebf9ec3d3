// What is asked on the page, and its answer.

import { useCallback, useEffect, useRef, useState } from 'react';
import { address, ApiError, postJson, send } from '../api/client';
import type { Table } from '../api/types';

/** SQL of one's own, or a saved query with its parameters. */
export type Question =
  | { kind: 'sql'; sql: string }
  | { kind: 'saved'; name: string; parameters: Record<string, string> };

export interface Running {
  table: Table | null;
  /** What the table is the answer to. */
  question: Question | null;
  error: ApiError | null;
  /** Since when the answer is waited for. */
  since: number | null;
  /** How long it took, as the reader saw it. */
  took: number | null;
}

/** Most rows that are shown; an export has all of them. */
export const shownRows = 10_000;

export async function ask(
  question: Question,
  accept: string,
  signal?: AbortSignal,
): Promise<Response> {
  if (question.kind === 'sql') {
    const limit = accept === 'application/json' ? { max_rows: shownRows } : {};
    return postJson('/query', { sql: question.sql, ...limit }, { accept, signal });
  }
  return send(address(`/queries/${encodeURIComponent(question.name)}`, question.parameters), {
    headers: { Accept: accept },
    signal,
  });
}

const nothing: Running = { table: null, question: null, error: null, since: null, took: null };

export function useQuestion(): Running & { run: (question: Question) => void; cancel: () => void } {
  const [state, setState] = useState<Running>(nothing);
  const stop = useRef<AbortController | null>(null);

  const cancel = useCallback(() => {
    stop.current?.abort();
    setState((before) => ({ ...before, since: null }));
  }, []);

  const run = useCallback((question: Question) => {
    stop.current?.abort();
    const current = new AbortController();
    stop.current = current;
    const since = Date.now();
    setState((before) => ({ ...before, error: null, since }));
    ask(question, 'application/json', current.signal)
      .then(async (response) => (await response.json()) as Table)
      .then(
        (table) => {
          if (current.signal.aborted) return;
          setState({ table, question, error: null, since: null, took: Date.now() - since });
        },
        (cause: unknown) => {
          if (current.signal.aborted) return;
          const error =
            cause instanceof ApiError ? cause : new ApiError(0, { title: String(cause) });
          setState({ ...nothing, error });
        },
      );
  }, []);

  useEffect(() => () => stop.current?.abort(), []);
  return { ...state, run, cancel };
}
