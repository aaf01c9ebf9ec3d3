import { describe, expect, it } from 'vitest';
import { takeEvents } from '../api/live';
import { getWhole } from '../api/whole';
import { listOf, numberOf, rowsOf, weightedMean } from '../api/rows';
import type { Column, Row } from '../api/types';
import { measures, split, tableOf } from '../charts/data';
import { fillDays } from '../charts/fill';
import { shadeOf } from '../charts/heatmap';
import { extent, stack } from '../charts/scales';
import { curveOf, triangle } from '../pages/cohorts';
import { groupLevels, stepsOf } from '../pages/progression';
import { layOut, ranks, related } from '../pipeline/layout';

const cohort = (date: string, day: number, size: number, active: number): Row => ({
  cohort_date: date,
  day_n: day,
  cohort_size: size,
  active_players: active,
});

describe('cohorts', () => {
  const rows = [
    cohort('2026-01-05', 0, 10, 10),
    cohort('2026-01-05', 1, 10, 5),
    cohort('2026-01-06', 0, 30, 30),
  ];

  it('are put together by players, over those for which the day is over', () => {
    const { values, players } = curveOf(rows, 'active_players');
    expect(values.slice(0, 3)).toEqual([1, 0.5, null]);
    expect(players.slice(0, 2)).toEqual([40, 10]);
  });

  it('make a triangle, in which a week waits for all of its days', () => {
    expect(triangle(rows, 'active_players', false).map((row) => row.cells[1])).toEqual([0.5, null]);
    const [week] = triangle(rows, 'active_players', true);
    expect(week?.side).toBe('40');
    expect(week?.cells.slice(0, 2)).toEqual([1, null]);
  });
});

it('funnel steps are sums of players, and shares of these', () => {
  const row = (date: string, step: number, players: number): Row => ({
    cohort_date: date,
    step,
    step_name: `step_${step}`,
    players,
    median_seconds: step === 1 ? null : 60,
  });
  const steps = stepsOf([row('a', 2, 5), row('a', 1, 10), row('b', 1, 30), row('b', 2, 15)]);
  expect(steps.map((step) => step.players)).toEqual([40, 20]);
  expect(steps[1]).toMatchObject({ shareOfFirst: 0.5, shareOfPrevious: 0.5, medianSeconds: 60 });
});

it('many levels are drawn in groups', () => {
  const rows = Array.from({ length: 100 }, (_, index): Row => ({
    level_id: `l${index + 1}`,
    level: index + 1,
    attempts: 2,
    wins: 1,
    quits: 0,
    unfinished: 0,
    first_wins: 1,
  }));
  const groups = groupLevels(rows);
  expect(groups).toHaveLength(50);
  expect(groups[0]).toEqual({ label: '1–2', attempts: 4, firstWins: 2, winRate: 0.5, quitRate: 0 });
});

const columns: Column[] = [
  { name: 'date', type: 'date' },
  { name: 'platform', type: 'text' },
  { name: 'dau', type: 'integer' },
];
const days: Row[] = [
  { date: '2026-01-03', platform: 'ios', dau: 3 },
  { date: '2026-01-01', platform: 'ios', dau: 1 },
  { date: '2026-01-01', platform: 'pc', dau: 9 },
];

describe('series', () => {
  it('stand in the order of days, with gaps where there is no row', () => {
    const data = fillDays(measures(columns, days.slice(0, 2), 'date', ['dau']));
    expect(data.x.values).toEqual(['2026-01-01', '2026-01-02', '2026-01-03']);
    expect(data.series[0]?.values).toEqual([1, null, 3]);
  });

  it('are one per value of a text, the largest first', () => {
    const data = split(columns, days, 'date', 'dau', 'platform');
    expect(data.series.map((series) => series.id)).toEqual(['pc', 'ios']);
    expect(tableOf(data)).toEqual({
      header: ['date', 'pc', 'ios'],
      rows: [
        ['2026-01-01', 9, 1],
        ['2026-01-03', null, 3],
      ],
    });
    expect(extent(data, true, true)).toEqual([0, 10]);
    expect(stack(data.series, 2)[1]).toEqual([
      [9, 10],
      [0, 3],
    ]);
  });
});

it('cells become numbers without a guess', () => {
  expect(numberOf('12.50')).toBe(12.5);
  expect(numberOf('')).toBeNull();
  expect(numberOf('twelve')).toBeNull();
  expect(numberOf(null)).toBeNull();
  expect(
    weightedMean(
      [
        { v: 1, w: 1 },
        { v: 4, w: 2 },
        { v: null, w: 9 },
      ],
      'v',
      'w',
    ),
  ).toBe(3);
  expect(rowsOf({ columns, rows: [['2026-01-01', 'ios', 1]] })[0]).toEqual({
    date: '2026-01-01',
    platform: 'ios',
    dau: 1,
  });
  expect(listOf({ runs: [{ model: 'a' }] }, 'runs')).toEqual([{ model: 'a' }]);
});

it('shades bring out small shares', () => {
  expect(shadeOf(0, 1)).toBe(0);
  expect(shadeOf(1, 1)).toBe(9);
  expect(shadeOf(0.25, 1)).toBe(5);
});

describe('events of a stream', () => {
  it('are taken whole, also when they come in parts', () => {
    const first = takeEvents(
      'event: counters\r\ndata: {"landed":1}\r\n\r\n: nothing\n\ndata: {"la',
    );
    expect(first.events).toEqual(['{"landed":1}']);
    expect(takeEvents(`${first.rest}nded":2}\n\n`).events).toEqual(['{"landed":2}']);
  });
});

describe('the model graph', () => {
  const nodes = ['events.a', 'star.fact', 'star.dim', 'star.mart'].map((id) => ({
    id,
    name: id,
    kind: id.startsWith('events') ? 'event' : 'model',
  }));
  const edges = [
    { from: 'events.a', to: 'star.fact' },
    { from: 'events.a', to: 'star.dim' },
    { from: 'star.fact', to: 'star.mart' },
  ];

  it('goes from events to marts', () => {
    expect(Object.fromEntries(ranks(nodes, edges))).toEqual({
      'events.a': 0,
      'star.fact': 1,
      'star.dim': 1,
      'star.mart': 2,
    });
    const layout = layOut(nodes, edges, 900);
    const places = new Set(layout.nodes.map((node) => `${node.x} ${node.y}`));
    expect(places.size).toBe(nodes.length);
    expect(Math.max(...layout.nodes.map((node) => node.y))).toBeLessThan(layout.height);
  });

  it('shows what a model is made of and what of it', () => {
    expect([...related('star.fact', edges)].sort()).toEqual(['events.a', 'star.fact', 'star.mart']);
  });
});

it('pages of a mart are put together', async () => {
  const pages: Record<string, unknown> = {
    '/api/v1/marts/m?limit=1': { columns, rows: [['2026-01-01', 'ios', 1]], next_cursor: 'a b' },
    '/api/v1/marts/m?limit=1&cursor=a%20b': {
      columns,
      rows: [['2026-01-02', 'ios', 2]],
      next_cursor: null,
    },
  };
  const whole = await getWhole('/api/v1/marts/m?limit=1', (url) => Promise.resolve(pages[url]));
  expect(whole).toMatchObject({
    rows: [
      ['2026-01-01', 'ios', 1],
      ['2026-01-02', 'ios', 2],
    ],
    next_cursor: null,
  });
});
