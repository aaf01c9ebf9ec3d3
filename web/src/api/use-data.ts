// Answers for components: one request per address however many ask, the last answer at once when a
// page is opened again, and a new look at it every minute and when the window gets the focus.

import { useCallback, useEffect, useSyncExternalStore } from 'react';
import { useStore } from '../state/store';
import { ApiError } from './client';
import { getWhole } from './whole';
import { keyPrompt } from './key';

export interface Answer<T> {
  data: T | undefined;
  error: ApiError | undefined;
  loading: boolean;
  /** Asks again. */
  retry: () => void;
}

interface Entry {
  data: unknown;
  error: ApiError | undefined;
  loading: boolean;
  at: number;
  watchers: Set<() => void>;
}

const refreshAfter = 60_000;
const kept = 200;
const entries = new Map<string, Entry>();
const nothing: Entry = {
  data: undefined,
  error: undefined,
  loading: false,
  at: 0,
  watchers: new Set(),
};

function change(url: string, part: Partial<Entry>): void {
  const entry = entries.get(url);
  if (entry === undefined) return;
  const next = { ...entry, ...part };
  entries.set(url, next);
  next.watchers.forEach((tell) => tell());
}

function forgetOldest(): void {
  for (const [url, entry] of entries) {
    if (entries.size <= kept) return;
    if (entry.watchers.size === 0) entries.delete(url);
  }
}

function load(url: string): void {
  const entry = entries.get(url);
  if (entry?.loading === true) return;
  change(url, { loading: true });
  getWhole(url).then(
    (data) => change(url, { data, error: undefined, loading: false, at: Date.now() }),
    (cause: unknown) => {
      const error =
        cause instanceof ApiError
          ? cause
          : new ApiError(0, { title: 'The answer cannot be read', detail: String(cause) });
      change(url, { error, loading: false, at: Date.now() });
    },
  );
}

function watch(url: string, tell: () => void): () => void {
  let entry = entries.get(url);
  if (entry === undefined) {
    entry = { ...nothing, watchers: new Set() };
    entries.set(url, entry);
    forgetOldest();
  }
  const { watchers } = entry;
  watchers.add(tell);
  if (entry.data === undefined || Date.now() - entry.at > refreshAfter / 2) load(url);
  return () => watchers.delete(tell);
}

/** Asks again for all that is on the page and was answered before `age` milliseconds. */
function refresh(age: number): void {
  if (document.hidden) return;
  for (const [url, entry] of entries) {
    if (entry.watchers.size > 0 && Date.now() - entry.at >= age) load(url);
  }
}

if (typeof window !== 'undefined') {
  setInterval(() => refresh(refreshAfter), refreshAfter / 4);
  window.addEventListener('focus', () => refresh(refreshAfter / 4));
  keyPrompt.subscribe(() => {
    if (!keyPrompt.get().open) refresh(0);
  });
}

/** The answer at an address; `null` asks for nothing. */
export function useData<T>(url: string | null): Answer<T> {
  const subscribe = useCallback(
    (tell: () => void) => (url === null ? () => undefined : watch(url, tell)),
    [url],
  );
  const entry = useSyncExternalStore(subscribe, () =>
    url === null ? nothing : (entries.get(url) ?? nothing),
  );
  const { version } = useStore(keyPrompt);
  useEffect(() => {
    if (url !== null && version > 0 && entries.get(url)?.error?.status === 401) load(url);
  }, [url, version]);
  const retry = useCallback(() => {
    if (url !== null) load(url);
  }, [url]);
  return {
    data: entry.data as T | undefined,
    error: entry.error,
    loading: url !== null && (entry.loading || (entry.data === undefined && !entry.error)),
    retry,
  };
}

/** Asks again for every address that begins so, as its data was just changed. */
export function invalidate(prefix: string): void {
  for (const [url, entry] of entries) {
    if (!url.startsWith(prefix)) continue;
    if (entry.watchers.size > 0) load(url);
    else entries.delete(url);
  }
}
