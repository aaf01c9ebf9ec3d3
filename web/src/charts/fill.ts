import type { Row } from '../api/types';
import { daysBetween } from '../state/days';
import { textOf } from '../api/rows';
import type { ChartData } from './data';

/** Gives a chart over days every day of the range, so that a day without a row shows as a gap. */
export function fillDays(data: ChartData): ChartData {
  const { x } = data;
  const first = x.values[0];
  const last = x.values.at(-1);
  if (x.column.type !== 'date' || typeof first !== 'string' || typeof last !== 'string')
    return data;
  const days = daysBetween(first, last);
  if (days.length === x.values.length) return data;
  const place = new Map(x.values.map((value, index) => [String(value), index]));
  return {
    x: { ...x, values: days },
    series: data.series.map((series) => ({
      ...series,
      values: days.map((day) => {
        const index = place.get(day);
        return index === undefined ? null : (series.values[index] ?? null);
      }),
    })),
  };
}

export const lastDayOf = (rows: Row[], column = 'date'): string | null =>
  rows.reduce<string | null>((last, row) => {
    const day = textOf(row[column]);
    return last === null || day > last ? day : last;
  }, null);
