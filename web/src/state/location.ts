// The page's address is its state: what is seen can be sent to somebody as a link.

import { createStore, useStore } from './store';

export interface Location {
  path: string;
  search: URLSearchParams;
}

function read(): Location {
  const path = window.location.pathname.replace(/\/+$/, '');
  return { path: path === '' ? '/' : path, search: new URLSearchParams(window.location.search) };
}

const location = createStore<Location>(read());

window.addEventListener('popstate', () => location.set(read()));

export function useLocation(): Location {
  return useStore(location);
}

export function currentSearch(): URLSearchParams {
  return location.get().search;
}

export function navigate(href: string, options: { replace?: boolean } = {}): void {
  if (options.replace === true) window.history.replaceState(null, '', href);
  else window.history.pushState(null, '', href);
  const before = location.get().path;
  location.set(read());
  if (location.get().path !== before) window.scrollTo({ top: 0 });
}

/** Changes parameters of the address; `null` and '' remove one. */
export function setSearch(
  changes: Record<string, string | null>,
  options: { replace?: boolean } = {},
): void {
  const { path, search } = location.get();
  const next = new URLSearchParams(search);
  for (const [name, value] of Object.entries(changes)) {
    if (value === null || value === '') next.delete(name);
    else next.set(name, value);
  }
  const text = next.toString();
  navigate(text === '' ? path : `${path}?${text}`, options);
}

const shared = ['range', 'from', 'to', 'platform', 'country', 'game'];

/** Address of another page that keeps the filters, and nothing else. */
export function hrefOf(
  path: string,
  search: URLSearchParams,
  extra: Record<string, string> = {},
): string {
  const next = new URLSearchParams();
  for (const name of shared) {
    const value = search.get(name);
    if (value !== null) next.set(name, value);
  }
  for (const [name, value] of Object.entries(extra)) next.set(name, value);
  const text = next.toString();
  return text === '' ? path : `${path}?${text}`;
}
