import { describe, expect, it } from 'vitest';
import type { Column } from '../api/types';
import { inferSpec, openKeys, parseSpec, specFor } from '../charts/spec';

const daily: Column[] = [
  { name: 'date', type: 'date' },
  { name: 'platform', type: 'text' },
  { name: 'dau', type: 'integer' },
  { name: 'revenue_usd', type: 'decimal' },
];
const cohorts: Column[] = [
  { name: 'cohort_date', type: 'date' },
  { name: 'day_n', type: 'integer' },
  { name: 'players', type: 'integer' },
  { name: 'retention', type: 'double' },
];

describe('chart headers', () => {
  it('are read as text and as parts', () => {
    const expected = { kind: 'line', x: 'date', y: ['dau', 'wau'], value: null, series: null };
    expect(parseSpec('line x=date y=dau,wau')).toEqual(expected);
    expect(parseSpec({ kind: 'line', x: 'date', y: ['dau', 'wau'], value: null })).toEqual(
      expected,
    );
  });

  it('that name no known kind are none', () => {
    expect(parseSpec('pie x=date')).toBeNull();
    expect(parseSpec(null)).toBeNull();
    expect(parseSpec(3)).toBeNull();
  });

  it('that the server inferred give way to what is known here', () => {
    expect(parseSpec({ kind: 'line', x: 'date', y: [], inferred: true })).toBeNull();
  });

  it('are made whole, and columns that do not exist are left out', () => {
    const spec = specFor('bar x=nothing y=dau,nothing', daily, ['date', 'platform']);
    expect(spec).toMatchObject({ kind: 'bar', x: 'date', y: ['dau'] });
  });
});

describe('without a header', () => {
  it('a day makes lines of counts', () => {
    expect(inferSpec(daily, ['date', 'platform'])).toMatchObject({
      kind: 'line',
      x: 'date',
      y: ['dau'],
    });
  });

  it('a day and a number of the key make a heat map of the share', () => {
    expect(inferSpec(cohorts, ['cohort_date', 'day_n'])).toMatchObject({
      kind: 'heatmap',
      x: 'day_n',
      y: ['cohort_date'],
      value: 'retention',
    });
  });

  it('a text makes bars, and texts alone a table', () => {
    const fields: Column[] = [
      { name: 'field', type: 'text' },
      { name: 'tons', type: 'double' },
    ];
    expect(inferSpec(fields, ['field'])).toMatchObject({ kind: 'bar', x: 'field', y: ['tons'] });
    expect(inferSpec(fields.slice(0, 1), ['field']).kind).toBe('table');
  });

  it('the number of a key is no measure', () => {
    const levels: Column[] = [
      { name: 'level_id', type: 'text' },
      { name: 'level', type: 'integer' },
      { name: 'attempts', type: 'integer' },
    ];
    expect(inferSpec(levels, ['level_id']).y).toEqual(['attempts']);
  });
});

it('key columns that a chart does not show are left open, cuts and days are not', () => {
  const columns: Column[] = [
    ...daily,
    { name: 'currency', type: 'text' },
    { name: 'reason', type: 'text' },
  ];
  const key = ['date', 'platform', 'currency', 'reason'];
  expect(openKeys(inferSpec(columns, key), columns, key)).toEqual(['reason']);
});

it('a day that a chart does not show is left open, but not by a funnel', () => {
  const columns: Column[] = [
    { name: 'cohort_date', type: 'date' },
    { name: 'funnel', type: 'text' },
    { name: 'step', type: 'integer' },
    { name: 'step_name', type: 'text' },
    { name: 'players', type: 'integer' },
  ];
  const key = ['funnel', 'cohort_date', 'step'];
  const bars = specFor('bar x=funnel y=players', columns, key);
  expect(openKeys(bars, columns, key)).toEqual(['cohort_date', 'step']);
  const funnel = specFor('funnel x=step_name y=players', columns, key);
  expect(openKeys(funnel, columns, key)).toEqual(['funnel']);
});
