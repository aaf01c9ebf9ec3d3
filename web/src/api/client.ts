// Requests to the API. Freshness is the browser's business: answers carry an ETag and `no-cache`, so
// that an unchanged one costs a 304.

import { apiKey, askForKey } from './key';
import type { Problem } from './types';

export const base = '/api/v1';

/** What the server refused, with what it says is wrong and allowed. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly problem: Problem,
    readonly retryAfter: number | null = null,
  ) {
    super(problem.detail ?? problem.title ?? `the server answered ${status}`);
  }

  /** One line per thing that is wrong. */
  get lines(): string[] {
    return (this.problem.errors ?? []).map((error) => {
      const allowed = Array.isArray(error.allowed)
        ? `; allowed: ${error.allowed.join(', ')}`
        : typeof error.allowed === 'string'
          ? `; allowed: ${error.allowed}`
          : '';
      const hint = error.hint === undefined ? '' : ` (${error.hint})`;
      return `${error.parameter ?? 'request'}: ${error.message ?? 'is not valid'}${allowed}${hint}`;
    });
  }
}

export type Parameters = Record<string, string | number | string[] | null | undefined>;

/** Path under the API with its query; parameters without a value are left out. */
export function address(path: string, parameters: Parameters = {}): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (Array.isArray(value)) value.forEach((each) => query.append(name, each));
    else if (value !== null && value !== undefined && value !== '') query.set(name, String(value));
  }
  const text = query.toString();
  return `${base}${path}${text === '' ? '' : `?${text}`}`;
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    return (await response.json()) as Problem;
  } catch {
    return { title: response.statusText, status: response.status };
  }
}

/** Sends a request with the key, and asks for one if the server wants it. */
export async function send(url: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const key = apiKey();
  if (key !== null) headers.set('Authorization', `Bearer ${key}`);
  let response: Response;
  try {
    response = await fetch(url, { ...init, headers });
  } catch (error) {
    if (error instanceof DOMException && error.name === 'AbortError') throw error;
    throw new ApiError(0, {
      title: 'The server does not answer',
      detail: 'Questlake cannot be reached. Is it still running?',
    });
  }
  if (response.ok) return response;
  if (response.status === 401) {
    // The refusal of a former key tells nothing of the one that was entered since.
    if (key !== apiKey()) return send(url, init);
    askForKey();
  }
  const problem = await problemOf(response);
  const wait = Number(response.headers.get('Retry-After'));
  throw new ApiError(response.status, problem, Number.isFinite(wait) && wait > 0 ? wait : null);
}

export async function getJson(url: string, signal?: AbortSignal): Promise<unknown> {
  const response = await send(url, { headers: { Accept: 'application/json' }, signal });
  return response.json();
}

export async function postJson(
  path: string,
  body: unknown,
  options: { accept?: string; signal?: AbortSignal } = {},
): Promise<Response> {
  return send(`${base}${path}`, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json', Accept: options.accept ?? 'application/json' },
    body: JSON.stringify(body),
    signal: options.signal,
  });
}
