// What charts draw: series over a common x, made of an answer's rows.

import { isTime, numberOf, textOf } from '../api/rows';
import type { Column, Row } from '../api/types';
import { labelOf } from '../format/column';

export type XKind = 'time' | 'number' | 'category';

export interface XAxis {
  kind: XKind;
  label: string;
  column: Pick<Column, 'name' | 'type'>;
  /** Days or times as text, numbers, or categories, in the order of the axis. */
  values: (string | number)[];
}

export interface Series {
  id: string;
  label: string;
  /** Says how the values are written. */
  column: Pick<Column, 'name' | 'type'>;
  /** One per x; `null` where there is none. */
  values: (number | null)[];
  definition?: string | null;
  /** Colour by place in the palette, if it is not the series' own place. */
  color?: number;
  dashed?: boolean;
}

export interface ChartData {
  x: XAxis;
  series: Series[];
}

function xKindOf(column: Column): XKind {
  if (isTime(column)) return 'time';
  return column.type === 'text' || column.type === 'boolean' || column.type === 'json'
    ? 'category'
    : 'number';
}

function xValuesOf(rows: Row[], column: Column): (string | number)[] {
  const kind = xKindOf(column);
  const values = new Set<string | number>();
  for (const row of rows) {
    const value = kind === 'number' ? numberOf(row[column.name]) : textOf(row[column.name]);
    if (value !== null && value !== '') values.add(value);
  }
  const list = [...values];
  if (kind === 'number') list.sort((a, b) => Number(a) - Number(b));
  if (kind === 'time') list.sort();
  return list;
}

const find = (columns: Column[], name: string): Column =>
  columns.find((column) => column.name === name) ?? { name, type: 'double' };

function axis(rows: Row[], column: Column): XAxis {
  return {
    kind: xKindOf(column),
    label: labelOf(column.name),
    column,
    values: xValuesOf(rows, column),
  };
}

const keyOf = (row: Row, x: XAxis): string => textOf(row[x.column.name]);

/** One series per measure. */
export function measures(columns: Column[], rows: Row[], x: string, y: string[]): ChartData {
  const xAxis = axis(rows, find(columns, x));
  const byX = new Map(rows.map((row) => [keyOf(row, xAxis), row]));
  const series = y.map((name): Series => {
    const column = find(columns, name);
    return {
      id: name,
      label: labelOf(name),
      column,
      definition: column.description,
      values: xAxis.values.map((value) => numberOf(byX.get(String(value))?.[name])),
    };
  });
  return { x: xAxis, series };
}

/** Most series that one chart can show and be read. */
export const mostSeries = 8;

/** One measure, with one series per value of a text column: the largest ones. */
export function split(
  columns: Column[],
  rows: Row[],
  x: string,
  y: string,
  by: string,
  most = mostSeries,
): ChartData {
  const xAxis = axis(rows, find(columns, x));
  const column = find(columns, y);
  const groups = new Map<string, { total: number; values: Map<string, number | null> }>();
  for (const row of rows) {
    const name = textOf(row[by]);
    const group = groups.get(name) ?? { total: 0, values: new Map<string, number | null>() };
    groups.set(name, group);
    const value = numberOf(row[y]);
    group.values.set(keyOf(row, xAxis), value);
    group.total += Math.abs(value ?? 0);
  }
  const series = [...groups]
    .sort(([, a], [, b]) => b.total - a.total)
    .slice(0, most)
    .map(([name, group]): Series => ({
      id: name,
      label: name === '' ? 'none' : name,
      column,
      definition: column.description,
      values: xAxis.values.map((value) => group.values.get(String(value)) ?? null),
    }));
  return { x: xAxis, series };
}

/** The chart's numbers as a table: for the table view and for CSV. */
export function tableOf(data: ChartData): { header: string[]; rows: (string | number | null)[][] } {
  return {
    header: [data.x.column.name, ...data.series.map((series) => series.id)],
    rows: data.x.values.map((x, index) => [
      x,
      ...data.series.map((series) => series.values[index] ?? null),
    ]),
  };
}
