import { describe, expect, it } from 'vitest';
import type { Filters } from '../api/types';
import { addDays, daysBetween, isDay, weekOf } from '../state/days';
import { dayIsOver, readChoice } from '../state/filters';
import { hrefOf } from '../state/location';

const known: Filters = {
  platforms: ['ios'],
  countries: ['DE'],
  games: [],
  first_day: '2026-01-01',
  last_day: '2026-01-30',
  data_through: '2026-01-30T10:00:00Z',
};
const read = (search: string) => readChoice(new URLSearchParams(search), known);

describe('filters of the address', () => {
  it('begin with the last 28 days of the data', () => {
    expect(read('')).toMatchObject({
      preset: '28d',
      from: '2026-01-03',
      to: '2026-01-30',
      platform: 'all',
    });
  });

  it('do not go before the first day', () => {
    expect(read('range=90d')).toMatchObject({ from: '2026-01-01', to: '2026-01-30' });
    expect(read('range=all')).toMatchObject({ from: '2026-01-01', to: '2026-01-30' });
  });

  it('take days one by one, in any order', () => {
    expect(read('from=2026-01-20&to=2026-01-10')).toMatchObject({
      preset: null,
      from: '2026-01-10',
      to: '2026-01-20',
    });
    expect(read('from=2026-01-20')).toMatchObject({ from: '2026-01-20', to: '2026-01-30' });
  });

  it('ignore what they cannot mean', () => {
    expect(read('from=yesterday&range=1y')).toMatchObject({ preset: '28d', from: '2026-01-03' });
  });

  it('go along to other pages, and nothing else does', () => {
    const search = new URLSearchParams('range=7d&platform=ios&sql=SELECT+1');
    expect(hrefOf('/economy', search)).toBe('/economy?range=7d&platform=ios');
  });
});

it('a day is over once events of a later one have come in', () => {
  expect(dayIsOver('2026-01-29', known)).toBe(true);
  expect(dayIsOver('2026-01-30', known)).toBe(false);
});

it('days are counted in UTC', () => {
  expect(addDays('2026-02-28', 1)).toBe('2026-03-01');
  expect(daysBetween('2025-12-31', '2026-01-02')).toEqual([
    '2025-12-31',
    '2026-01-01',
    '2026-01-02',
  ]);
  expect(weekOf('2026-01-30')).toBe('2026-01-26');
  expect(weekOf('2026-01-26')).toBe('2026-01-26');
  expect(isDay('2026-13-01')).toBe(false);
});
