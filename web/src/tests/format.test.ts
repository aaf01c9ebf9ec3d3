import { describe, expect, it } from 'vitest';
import { csv } from '../format/csv';
import { formatCell, formatShort, formatTick, labelOf, unitOf } from '../format/column';
import { countryName } from '../format/country';
import { compact, duration, pValue } from '../format/number';
import { longDay, minuteTime, shortDay } from '../format/time';

describe('columns', () => {
  it('have units by their names and types', () => {
    expect(unitOf({ name: 'total_revenue_usd', type: 'decimal' })).toBe('money');
    expect(unitOf({ name: 'arpdau', type: 'double' })).toBe('money');
    expect(unitOf({ name: 'crash_free_sessions', type: 'double' })).toBe('percent');
    expect(unitOf({ name: 'crash_free_sessions', type: 'integer' })).toBe('integer');
    expect(unitOf({ name: 'srm_p_value', type: 'double' })).toBe('p-value');
    expect(unitOf({ name: 'median_seconds', type: 'double' })).toBe('seconds');
    expect(unitOf({ name: 'attempts', type: 'integer' })).toBe('integer');
  });

  it('have labels', () => {
    expect(labelOf('ad_revenue_usd')).toBe('Ad revenue');
    expect(labelOf('dau')).toBe('DAU');
    expect(labelOf('usd')).toBe('USD');
  });

  it('are written in full, shortly, and beside axes', () => {
    const money = { name: 'revenue_usd', type: 'decimal' } as const;
    expect(formatCell('1234.50', money)).toBe('$1,234.50');
    expect(formatShort(1_234_567, money)).toBe('$1.2M');
    expect(formatTick(200, money)).toBe('$200');
    expect(formatCell(0.4166, { name: 'retention', type: 'double' })).toBe('41.7%');
    expect(formatCell(null, money)).toBe('–');
  });
});

it('numbers and times read well', () => {
  expect(compact(9_999)).toBe('9,999');
  expect(compact(12_345)).toBe('12.3K');
  expect(duration(45)).toBe('45 sec');
  expect(duration(1908)).toBe('31.8 min');
  expect(duration(0.25)).toBe('250 ms');
  expect(pValue(0.00001)).toBe('< 0.0001');
  expect(countryName('DE')).toBe('Germany');
  expect(countryName('all')).toBe('all');
});

it('days are days of UTC wherever the reader is', () => {
  expect(shortDay('2026-01-30')).toBe('Jan 30');
  expect(longDay('2026-01-30')).toBe('Fri, Jan 30, 2026');
  expect(minuteTime('2026-01-30T23:59:59Z')).toBe('Jan 30, 2026, 23:59 UTC');
});

it('CSV keeps NULL and an empty text apart, and quotes what needs it', () => {
  expect(
    csv(
      ['a', 'b'],
      [
        [null, ''],
        ['x,y', 'say "hi"'],
      ],
    ),
  ).toBe('a,b\r\n,""\r\n"x,y","say ""hi"""\r\n');
});
