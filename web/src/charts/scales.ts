// From values to places on the screen. Pure, so that it can be tested without one.

import { scaleBand, scaleLinear, scaleUtc } from 'd3-scale';
import { month, shortDay, clockTime } from '../format/time';
import type { ChartData, Series, XAxis } from './data';

export interface Frame {
  width: number;
  height: number;
  left: number;
  right: number;
  top: number;
  bottom: number;
}

export interface Tick {
  at: number;
  label: string;
}

export interface XScale {
  /** Middle of the value's place. */
  at: (index: number) => number;
  /** Width of one value's place. */
  step: number;
  ticks: Tick[];
}

const toTime = (value: string | number): number =>
  Date.parse(
    typeof value === 'string' && value.length === 10 ? `${value}T00:00:00Z` : String(value),
  );

function everyNth(x: XAxis, room: number, at: (index: number) => number, width: number): Tick[] {
  const longest = Math.max(1, ...x.values.map((value) => String(value).length));
  const wanted = Math.max(1, Math.floor(width / Math.max(room, longest * 7 + 8)));
  const step = Math.max(1, Math.ceil(x.values.length / wanted));
  return x.values.flatMap((value, index) =>
    index % step === 0 ? [{ at: at(index), label: String(value) }] : [],
  );
}

/** Places for bars, each with some room of its own. */
function bandScale(x: XAxis, frame: Frame): XScale {
  const band = scaleBand<number>()
    .domain(x.values.map((_, index) => index))
    .range([frame.left, frame.width - frame.right])
    .paddingInner(0.25)
    .paddingOuter(0.1);
  const at = (index: number): number => (band(index) ?? 0) + band.bandwidth() / 2;
  const width = frame.width - frame.left - frame.right;
  const shown: XAxis =
    x.kind === 'time'
      ? { ...x, values: x.values.map((value) => timeLabel(toTime(value), dayLong(x))) }
      : x;
  return { at, step: band.step(), ticks: everyNth(shown, 56, at, width) };
}

const dayLong = (x: XAxis): boolean => x.values.every((value) => String(value).length === 10);

function timeLabel(time: number, days: boolean, span = 0): string {
  if (!days) return clockTime(time);
  return span > 200 ? month(time) : shortDay(time);
}

function timeScale(x: XAxis, frame: Frame): XScale {
  const times = x.values.map(toTime);
  const first = times[0] ?? 0;
  const last = times.at(-1) ?? 1;
  const days = dayLong(x);
  const half = first === last ? 43_200_000 : 0;
  const scale = scaleUtc()
    .domain([first - half, last + half])
    .range([frame.left, frame.width - frame.right]);
  const width = frame.width - frame.left - frame.right;
  const span = (last - first) / 86_400_000;
  const wanted = Math.max(2, Math.floor(width / 84));
  const ticks = scale
    .ticks(days ? Math.min(wanted, Math.max(1, span)) : wanted)
    .filter((time) => !days || time.getTime() % 86_400_000 === 0)
    .map((time) => ({ at: scale(time), label: timeLabel(time.getTime(), days, span) }))
    // Times closer than their labels tell would stand there twice.
    .filter((tick, index, all) => tick.label !== all[index - 1]?.label);
  return {
    at: (index) => scale(times[index] ?? first),
    step: times.length < 2 ? width : width / (times.length - 1),
    ticks,
  };
}

function numberScale(x: XAxis, frame: Frame): XScale {
  const numbers = x.values.map(Number);
  const first = Math.min(...numbers);
  const last = Math.max(...numbers);
  const scale = scaleLinear()
    .domain(first === last ? [first - 1, last + 1] : [first, last])
    .range([frame.left, frame.width - frame.right]);
  const width = frame.width - frame.left - frame.right;
  const whole = numbers.every(Number.isInteger);
  const ticks = scale
    .ticks(Math.max(2, Math.floor(width / 64)))
    .filter((value) => !whole || Number.isInteger(value))
    .map((value) => ({ at: scale(value), label: String(value) }));
  return {
    at: (index) => scale(numbers[index] ?? first),
    step: numbers.length < 2 ? width : width / (numbers.length - 1),
    ticks,
  };
}

export function xScale(x: XAxis, frame: Frame, bars: boolean): XScale {
  if (bars || x.kind === 'category') return bandScale(x, frame);
  return x.kind === 'time' ? timeScale(x, frame) : numberScale(x, frame);
}

export interface YScale {
  at: (value: number) => number;
  ticks: number[];
}

export function yScale(low: number, high: number, frame: Frame, most?: number): YScale {
  const scale = scaleLinear()
    .domain([low, low === high ? low + 1 : high])
    .range([frame.height - frame.bottom, frame.top]);
  const count = Math.max(2, Math.round((frame.height - frame.top - frame.bottom) / 48));
  scale.nice(count);
  const [bottom = 0, top = 1] = scale.domain();
  // A share's axis ends at 100 %.
  if (most !== undefined && top > most && high <= most) scale.domain([bottom, most]);
  return { at: (value) => scale(value), ticks: scale.ticks(count) };
}

/** Bottom and top of each value when series are put on top of each other. */
export function stack(series: Series[], count: number): [number, number][][] {
  const above = new Array<number>(count).fill(0);
  const below = new Array<number>(count).fill(0);
  return series.map((each) =>
    Array.from({ length: count }, (_, index): [number, number] => {
      const value = each.values[index] ?? 0;
      const pile = value < 0 ? below : above;
      const bottom = pile[index] ?? 0;
      pile[index] = bottom + value;
      return [bottom, bottom + value];
    }),
  );
}

/** Lowest and highest value drawn; bars and areas stand on zero, lines of counts and shares too. */
export function extent(data: ChartData, stacked: boolean, fromZero: boolean): [number, number] {
  let low = fromZero ? 0 : Infinity;
  let high = fromZero ? 0 : -Infinity;
  const take = (value: number): void => {
    low = Math.min(low, value);
    high = Math.max(high, value);
  };
  if (stacked)
    stack(data.series, data.x.values.length).forEach((each) => each.forEach(([, to]) => take(to)));
  else
    data.series.forEach((series) =>
      series.values.forEach((value) => {
        if (value !== null) take(value);
      }),
    );
  return low === Infinity ? [0, 1] : [low, high];
}
