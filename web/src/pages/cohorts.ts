// Cohorts put together: sums over players, never means of shares.

import { numberOf, textOf } from '../api/rows';
import type { Row } from '../api/types';
import type { HeatRow } from '../charts/heatmap';
import { integer } from '../format/number';
import { shortDay } from '../format/time';
import { weekOf } from '../state/days';

export interface Curve {
  /** By day n: the share over all cohorts for which the day is over. */
  values: (number | null)[];
  /** Players behind each. */
  players: number[];
}

const lastDay = 30;

/** `top` and `size` are summed over cohorts for each day n, then divided. */
export function curveOf(rows: Row[], top: string, size = 'cohort_size'): Curve {
  const tops = new Array<number>(lastDay + 1).fill(0);
  const sizes = new Array<number>(lastDay + 1).fill(0);
  for (const row of rows) {
    const day = numberOf(row.day_n);
    if (day === null || day < 0 || day > lastDay) continue;
    tops[day] = (tops[day] ?? 0) + (numberOf(row[top]) ?? 0);
    sizes[day] = (sizes[day] ?? 0) + (numberOf(row[size]) ?? 0);
  }
  return {
    values: sizes.map((all, day) => (all === 0 ? null : (tops[day] ?? 0) / all)),
    players: sizes,
  };
}

/** Rows of a cohort triangle, by day or by week; a week has a day n once all of its cohorts have. */
export function triangle(rows: Row[], top: string, byWeek: boolean): HeatRow[] {
  const groups = new Map<string, Map<string, Map<number, [number, number]>>>();
  for (const row of rows) {
    const cohort = textOf(row.cohort_date);
    const group = byWeek ? weekOf(cohort) : cohort;
    const cohorts = groups.get(group) ?? new Map<string, Map<number, [number, number]>>();
    groups.set(group, cohorts);
    const days = cohorts.get(cohort) ?? new Map<number, [number, number]>();
    cohorts.set(cohort, days);
    const day = numberOf(row.day_n);
    if (day !== null) days.set(day, [numberOf(row[top]) ?? 0, numberOf(row.cohort_size) ?? 0]);
  }
  return [...groups]
    .sort(([a], [b]) => a.localeCompare(b))
    .map(([group, cohorts]) => {
      const members = [...cohorts.values()];
      const size = members.reduce((sum, days) => sum + (days.get(0)?.[1] ?? 0), 0);
      const cells = Array.from({ length: lastDay + 1 }, (_, day) => {
        const there = members.map((days) => days.get(day));
        let tops = 0;
        let sizes = 0;
        for (const cell of there) {
          if (cell === undefined) return null;
          tops += cell[0];
          sizes += cell[1];
        }
        return sizes === 0 ? null : tops / sizes;
      });
      return { id: group, label: shortDay(group), side: integer(size), cells };
    });
}

export const dayNumbers = Array.from({ length: lastDay + 1 }, (_, day) => day);
