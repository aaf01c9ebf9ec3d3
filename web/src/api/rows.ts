// From answers to rows and numbers.

import type { Cell, Column, Row, Table } from './types';

export function isTable(value: unknown): value is Table {
  return (
    typeof value === 'object' &&
    value !== null &&
    Array.isArray((value as Table).columns) &&
    Array.isArray((value as Table).rows)
  );
}

export function rowsOf(table: Table | undefined): Row[] {
  if (table === undefined) return [];
  const names = table.columns.map((column) => column.name);
  return table.rows.map((cells) => {
    const row: Row = {};
    names.forEach((name, index) => {
      row[name] = cells[index] ?? null;
    });
    return row;
  });
}

/** The objects of a list that comes bare, under a name, or as a table. */
export function listOf<T>(value: unknown, name: string): T[] {
  if (Array.isArray(value)) return value as T[];
  if (isTable(value)) return rowsOf(value) as T[];
  if (typeof value !== 'object' || value === null) return [];
  const inner = (value as Record<string, unknown>)[name];
  return Array.isArray(inner) || isTable(inner) ? listOf<T>(inner, name) : [];
}

/** A cell as a number. Decimals come as text, so that no digit is lost on the way. */
export function numberOf(cell: Cell | undefined): number | null {
  if (typeof cell === 'number') return Number.isFinite(cell) ? cell : null;
  if (typeof cell === 'string' && cell.trim() !== '') {
    const value = Number(cell);
    return Number.isFinite(value) ? value : null;
  }
  if (typeof cell === 'boolean') return cell ? 1 : 0;
  return null;
}

export function textOf(cell: Cell | undefined): string {
  if (cell === null || cell === undefined) return '';
  return typeof cell === 'object' ? JSON.stringify(cell) : String(cell);
}

export function sum(rows: Row[], column: string): number | null {
  let total: number | null = null;
  for (const row of rows) {
    const value = numberOf(row[column]);
    if (value !== null) total = (total ?? 0) + value;
  }
  return total;
}

/** A mean of days' figures in which each counts by its weight. */
export function weightedMean(rows: Row[], column: string, weight: string): number | null {
  let total = 0;
  let weights = 0;
  for (const row of rows) {
    const value = numberOf(row[column]);
    const by = numberOf(row[weight]);
    if (value === null || by === null) continue;
    total += value * by;
    weights += by;
  }
  return weights === 0 ? null : total / weights;
}

export function ratio(top: number | null, bottom: number | null): number | null {
  return top === null || bottom === null || bottom === 0 ? null : top / bottom;
}

export function groupBy(rows: Row[], column: string): Map<string, Row[]> {
  const groups = new Map<string, Row[]>();
  for (const row of rows) {
    const name = textOf(row[column]);
    const group = groups.get(name);
    if (group === undefined) groups.set(name, [row]);
    else group.push(row);
  }
  return groups;
}

export const isNumeric = (column: Column): boolean =>
  column.type === 'integer' || column.type === 'decimal' || column.type === 'double';

export const isTime = (column: Pick<Column, 'type'>): boolean =>
  column.type === 'date' || column.type === 'timestamp';
