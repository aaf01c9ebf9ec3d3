import { createStore, useStore } from './store';

export type Theme = 'system' | 'light' | 'dark';

const slot = 'questlake.theme';

function stored(): Theme {
  const value = document.documentElement.dataset.theme;
  return value === 'light' || value === 'dark' ? value : 'system';
}

const theme = createStore<Theme>(stored());

export const useTheme = (): Theme => useStore(theme);

export function setTheme(next: Theme): void {
  if (next === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = next;
  try {
    if (next === 'system') localStorage.removeItem(slot);
    else localStorage.setItem(slot, next);
  } catch {
    // Then it lasts until the page is reloaded.
  }
  theme.set(next);
}
