// The project's marts, and their rows under the filters in force.

import { address, type Parameters } from '../api/client';
import { listOf, rowsOf } from '../api/rows';
import type { Column, Mart, Row, Table } from '../api/types';
import { useData, type Answer } from '../api/use-data';
import { martParameters, useFilters } from './filters';
import { useMemo } from 'react';

export function useMarts(): { marts: Mart[]; answer: Answer<unknown> } {
  const answer = useData<unknown>(address('/marts'));
  const marts = useMemo(() => listOf<Mart>(answer.data, 'marts'), [answer.data]);
  return { marts, answer };
}

export interface MartRows {
  rows: Row[];
  columns: Column[];
  table: Table | undefined;
  loading: boolean;
  error: Answer<Table>['error'];
  retry: () => void;
  /** Whether the project has no such mart, so that nothing was asked for. */
  absent: boolean;
  description: (column: string) => string | null | undefined;
}

const most = 50_000;

/**
 * A mart's rows under the shared filters. `extra` adds parameters or takes one away with `null`; `null` in its place
 * asks for nothing yet.
 */
export function useMart(name: string, extra: Parameters | null = {}): MartRows {
  const filters = useFilters();
  const { marts, answer: list } = useMarts();
  const mart = marts.find((each) => each.name === name);
  const absent = list.data !== undefined && mart === undefined;
  const columns = mart?.columns ?? [];
  const has = (column: string): boolean => columns.some((each) => each.name === column);
  // The API refuses what a mart cannot be asked.
  const isDated = columns.some(
    (each) =>
      each.type === 'date' && (each.name === mart?.partition || mart?.key.includes(each.name)),
  );
  const shared = Object.entries(martParameters(filters)).filter(([parameter]) =>
    parameter === 'from' || parameter === 'to' ? isDated : has(parameter),
  );
  if (filters.game !== null && has('game')) shared.push(['game', filters.game]);
  const url =
    extra === null || mart === undefined || !filters.ready
      ? null
      : address(`/marts/${encodeURIComponent(name)}`, {
          ...Object.fromEntries(shared),
          limit: most,
          ...extra,
        });
  const answer = useData<Table>(url);
  const rows = useMemo(() => rowsOf(answer.data), [answer.data]);
  return {
    rows,
    columns: answer.data?.columns ?? columns,
    table: answer.data,
    loading: !absent && answer.data === undefined && (answer.error ?? list.error) === undefined,
    error: answer.data === undefined ? (answer.error ?? list.error) : undefined,
    retry: answer.error === undefined ? list.retry : answer.retry,
    absent,
    description: (column) =>
      (answer.data?.columns ?? columns).find((each) => each.name === column)?.description,
  };
}
