// The filters that all pages share, as they stand in the address.

import { address, type Parameters } from '../api/client';
import type { Filters } from '../api/types';
import { useData } from '../api/use-data';
import { addDays, isDay } from './days';
import { useLocation } from './location';

export const presets = [
  { id: '7d', label: '7 days', days: 7 },
  { id: '14d', label: '14 days', days: 14 },
  { id: '28d', label: '28 days', days: 28 },
  { id: '90d', label: '90 days', days: 90 },
  { id: 'all', label: 'All', days: null },
] as const;

export type PresetId = (typeof presets)[number]['id'];
export const defaultPreset: PresetId = '28d';

export interface Choice {
  /** The preset in force; `null` if the days were chosen one by one. */
  preset: PresetId | null;
  from: string | null;
  to: string | null;
  platform: string;
  country: string;
  game: string | null;
}

/** What the address asks for, given the days that there are. What it cannot mean is ignored. */
export function readChoice(search: URLSearchParams, known: Filters | undefined): Choice {
  const last = known?.last_day ?? null;
  const first = known?.first_day ?? null;
  const cuts = {
    platform: search.get('platform') ?? 'all',
    country: search.get('country') ?? 'all',
    game: search.get('game'),
  };
  const from = search.get('from');
  const to = search.get('to');
  if ((from !== null && isDay(from)) || (to !== null && isDay(to))) {
    const start = from !== null && isDay(from) ? from : first;
    const end = to !== null && isDay(to) ? to : last;
    const swapped = start !== null && end !== null && start > end;
    return { preset: null, from: swapped ? end : start, to: swapped ? start : end, ...cuts };
  }
  const preset =
    presets.find((each) => each.id === search.get('range')) ??
    presets.find((each) => each.id === defaultPreset);
  const days = preset?.days ?? null;
  if (last === null) return { preset: preset?.id ?? null, from: null, to: null, ...cuts };
  const start = days === null ? first : addDays(last, 1 - days);
  return {
    preset: preset?.id ?? null,
    from: start !== null && first !== null && start < first ? first : start,
    to: last,
    ...cuts,
  };
}

export interface FilterState extends Choice {
  known: Filters | undefined;
  /** Whether the days are known, so that figures can be asked for. */
  ready: boolean;
  /** Whether a day's figures are whole. */
  isOver: (day: string) => boolean;
}

/** Whether a day was over when the latest events came in. */
export function dayIsOver(day: string, known: Filters | undefined): boolean {
  const through = known?.data_through;
  return through === null || through === undefined || day < through.slice(0, 10);
}

export function useFilters(): FilterState {
  const { search } = useLocation();
  const answer = useData<Filters>(address('/filters'));
  const choice = readChoice(search, answer.data);
  return {
    ...choice,
    known: answer.data,
    ready: answer.data !== undefined,
    isOver: (day) => dayIsOver(day, answer.data),
  };
}

/** The filters as parameters of a mart's address. */
export function martParameters(choice: Choice): Parameters {
  return {
    from: choice.from,
    to: choice.to,
    platform: choice.platform === 'all' ? null : choice.platform,
    country: choice.country === 'all' ? null : choice.country,
  };
}
