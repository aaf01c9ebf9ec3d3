// The chart header of marts and saved queries, and what is drawn if there is none.
//
//   -- chart: line x=date y=dau,wau,mau
//   -- chart: heatmap x=day_n y=cohort_date value=retention

import { isNumeric, isTime } from '../api/rows';
import type { Column } from '../api/types';

export const chartKinds = [
  'line',
  'bar',
  'stacked',
  'area',
  'heatmap',
  'funnel',
  'scatter',
  'number',
  'table',
] as const;
export type ChartKind = (typeof chartKinds)[number];

export interface ChartSpec {
  kind: ChartKind;
  x: string | null;
  y: string[];
  /** Measure of a heatmap's cells. */
  value: string | null;
  /** Text column that makes one series per value. */
  series: string | null;
}

const isKind = (text: string): text is ChartKind =>
  (chartKinds as readonly string[]).includes(text);

const names = (value: unknown): string[] => {
  if (Array.isArray(value)) return value.map(String);
  return typeof value === 'string'
    ? value
        .split(',')
        .map((each) => each.trim())
        .filter(Boolean)
    : [];
};

/** Reads a header as text or as the parts that the server made of it; `null` if it is none. */
export function parseSpec(header: unknown): ChartSpec | null {
  if (typeof header === 'string') {
    const [kind = '', ...parts] = header.trim().split(/\s+/);
    if (!isKind(kind)) return null;
    const options = new Map(
      parts.map((part): [string, string] => {
        const at = part.indexOf('=');
        return at < 0 ? [part, ''] : [part.slice(0, at), part.slice(at + 1)];
      }),
    );
    return fromParts(kind, Object.fromEntries(options));
  }
  if (typeof header !== 'object' || header === null) return null;
  const parts = header as Record<string, unknown>;
  // Nobody has written it down, and here more is known of what can be drawn.
  if (parts.inferred === true) return null;
  return typeof parts.kind === 'string' && isKind(parts.kind) ? fromParts(parts.kind, parts) : null;
}

function fromParts(kind: ChartKind, parts: Record<string, unknown>): ChartSpec {
  const text = (name: string): string | null => names(parts[name])[0] ?? null;
  return {
    kind,
    x: text('x'),
    y: names(parts.y),
    value: text('value'),
    series: text('series') ?? text('color') ?? text('by'),
  };
}

const cuts = new Set(['platform', 'country', 'game']);

/** Measures that can share an axis with the first one: all of the same magnitude's kind. */
function comparable(measures: Column[]): string[] {
  const counts = measures.filter((column) => column.type === 'integer');
  const chosen = counts.length > 0 ? counts : measures.slice(0, 1);
  return chosen.slice(0, 4).map((column) => column.name);
}

/** A sensible chart for columns of which nothing more is known. */
export function inferSpec(columns: Column[], key: string[] = []): ChartSpec {
  const inKey = new Set(key);
  // `level` beside the key `level_id` says which one it is, and measures nothing.
  const names = (column: Column): boolean =>
    columns.some((other) => other.name === `${column.name}_id`);
  const measures = columns.filter(
    (column) =>
      isNumeric(column) && !inKey.has(column.name) && column.role !== 'key' && !names(column),
  );
  const none: ChartSpec = { kind: 'table', x: null, y: [], value: null, series: null };
  if (measures.length === 0) return none;
  const keys = columns.filter((column) => inKey.has(column.name) || column.role === 'key');
  const candidates = keys.length > 0 ? keys : columns.filter((column) => !isNumeric(column));
  const time = candidates.find(isTime) ?? columns.find(isTime);
  const texts = candidates.filter((column) => column.type === 'text' && !cuts.has(column.name));
  const order = keys.find((column) => isNumeric(column));
  const y = comparable(measures);
  if (time !== undefined && order !== undefined && texts.length === 0) {
    const value = measures.find((column) => column.type === 'double') ?? measures[0];
    return { ...none, kind: 'heatmap', x: order.name, y: [time.name], value: value?.name ?? null };
  }
  if (time !== undefined) {
    const by = texts[0]?.name ?? null;
    return { ...none, kind: 'line', x: time.name, y: by === null ? y : y.slice(0, 1), series: by };
  }
  if (order !== undefined)
    return { ...none, kind: 'line', x: order.name, y, series: texts[0]?.name ?? null };
  const text = texts[0] ?? candidates.find((column) => column.type === 'text');
  if (text !== undefined) return { ...none, kind: 'bar', x: text.name, y: y.slice(0, 1) };
  return columns.length === 1 ? { ...none, kind: 'number', y } : none;
}

/** The header's chart, made whole where it says less than is needed; a table if it names no column. */
export function specFor(header: unknown, columns: Column[], key: string[] = []): ChartSpec {
  const inferred = inferSpec(columns, key);
  const given = parseSpec(header);
  if (given === null) return inferred;
  const known = new Set(columns.map((column) => column.name));
  const y = given.y.filter((name) => known.has(name));
  const value = given.value !== null && known.has(given.value) ? given.value : null;
  const x = given.x !== null && known.has(given.x) ? given.x : inferred.x;
  const measures = columns.filter(
    (column) => isNumeric(column) && !key.includes(column.name) && column.name !== x,
  );
  const whole: ChartSpec = {
    kind: given.kind,
    x,
    y:
      y.length > 0
        ? y
        : inferred.y.length > 0
          ? inferred.y
          : measures.slice(0, 1).map((column) => column.name),
    value: value ?? inferred.value ?? measures[0]?.name ?? null,
    series: given.series !== null && known.has(given.series) ? given.series : null,
  };
  // Rows that differ in a text key would be drawn over each other.
  if (whole.series === null && inferred.x === whole.x && whole.kind !== 'heatmap')
    whole.series = inferred.series;
  return whole;
}

/**
 * Columns of the key that the chart leaves open: each row drawn must have one value of them. A funnel adds up its
 * cohorts, whose players are different ones, and its numbers say the order of the steps; a number is the latest one.
 */
export function openKeys(spec: ChartSpec, columns: Column[], key: string[]): string[] {
  if (spec.kind === 'table') return [];
  const used = new Set([spec.x, spec.series, ...(spec.kind === 'heatmap' ? spec.y : [])]);
  return key.filter((name) => {
    const column = columns.find((each) => each.name === name);
    if (column === undefined || used.has(name) || cuts.has(name)) return false;
    if (spec.kind === 'funnel') return column.type === 'text';
    return spec.kind !== 'number' || !isTime(column);
  });
}
