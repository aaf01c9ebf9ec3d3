// The API key: asked for once a session when the server wants one, and kept no longer than that.

import { createStore } from '../state/store';

const slot = 'questlake.key';

function stored(): string | null {
  try {
    return sessionStorage.getItem(slot);
  } catch {
    return null;
  }
}

let key = stored();

export interface KeyPrompt {
  open: boolean;
  /** Whether a key was sent and refused. */
  refused: boolean;
  /** Goes up with each new key, so that what failed is asked for again. */
  version: number;
}

export const keyPrompt = createStore<KeyPrompt>({ open: false, refused: false, version: 0 });

export function apiKey(): string | null {
  return key;
}

/** Asks for a key because the server did not take the present one, or wants one at all. */
export function askForKey(): void {
  const now = keyPrompt.get();
  if (!now.open) keyPrompt.set({ ...now, open: true, refused: key !== null });
}

export function setKey(value: string): void {
  key = value.trim();
  try {
    sessionStorage.setItem(slot, key);
  } catch {
    // Then it lasts until the page is reloaded.
  }
  keyPrompt.set({ open: false, refused: false, version: keyPrompt.get().version + 1 });
}

export function dismissKey(): void {
  keyPrompt.set({ ...keyPrompt.get(), open: false });
}
