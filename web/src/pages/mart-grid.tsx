import { useMemo, useState } from 'react';
import { send, base } from '../api/client';
import { textOf } from '../api/rows';
import type { Mart, Table } from '../api/types';
import { AutoChart } from '../charts/auto-chart';
import { openKeys, specFor } from '../charts/spec';
import { Card } from '../components/card';
import { Link } from '../components/link';
import { Empty } from '../components/states';
import { labelOf } from '../format/column';
import { download } from '../format/csv';
import { hrefOf, useLocation } from '../state/location';
import { useMart } from '../state/marts';
import { titleOf } from './mart-title';

/** Values of the columns that a chart leaves open, sorted as numbers if they are some. */
function choicesOf(table: Table | undefined, names: string[]): Map<string, string[]> {
  return new Map(
    names.map((name) => {
      const at = table?.columns.findIndex((column) => column.name === name) ?? -1;
      const values = [...new Set((table?.rows ?? []).map((row) => textOf(row[at])))];
      values.sort((a, b) => Number(a) - Number(b) || a.localeCompare(b));
      // The latest day is the one that is asked for most.
      return [name, table?.columns[at]?.type === 'date' ? values.reverse() : values];
    }),
  );
}

/** The rows that have these values. */
function only(table: Table, names: string[], values: string[]): Table {
  const places = names.map((name) => table.columns.findIndex((column) => column.name === name));
  return {
    ...table,
    rows: table.rows.filter((row) =>
      places.every((at, index) => textOf(row[at]) === values[index]),
    ),
  };
}

/** One mart as its header, or what is known of its columns, says. */
export function MartCard({
  mart,
  height = 280,
  wide,
}: {
  mart: Mart;
  height?: number;
  wide?: boolean;
}): React.JSX.Element {
  const { search } = useLocation();
  const source = useMart(mart.name);
  const { chart, columns, key } = mart;
  const spec = useMemo(() => specFor(chart, columns, key), [chart, columns, key]);
  const open = useMemo(() => openKeys(spec, columns, key), [spec, columns, key]);
  const [picked, setPicked] = useState<Record<string, string>>({});
  const choices = useMemo(() => choicesOf(source.table, open), [source.table, open]);
  const values = useMemo(
    () => open.map((name) => picked[name] ?? choices.get(name)?.at(0) ?? ''),
    [open, picked, choices],
  );
  const drawn = useMemo(
    () => (source.table === undefined ? undefined : only(source.table, open, values)),
    [source.table, open, values],
  );
  const shown = new Set([spec.x, spec.value, spec.series, ...spec.y]);
  const title = titleOf(mart);
  return (
    <Card
      title={title}
      subtitle={
        wide === true ? undefined : (
          <Link href={hrefOf(`/marts/${mart.name}`, search)}>{mart.name}</Link>
        )
      }
      definitions={mart.columns
        .filter((column) => shown.has(column.name))
        .map((column) => [labelOf(column.name), column.description])}
      height={height}
      loading={source.loading}
      error={source.error}
      retry={source.retry}
      empty={
        source.table?.rows.length === 0 ? 'Nothing in these days with these filters.' : undefined
      }
      table={
        source.table === undefined
          ? undefined
          : { columns: source.columns, rows: source.table.rows }
      }
      fileName={mart.name}
      wide={wide === true || spec.kind === 'heatmap' || spec.kind === 'table'}
      controls={open.map((name, index) => (
        <select
          key={name}
          aria-label={`${labelOf(name)} of ${title}`}
          value={values[index]}
          onChange={(event) => setPicked({ ...picked, [name]: event.target.value })}
        >
          {(choices.get(name) ?? []).map((value) => (
            <option key={value}>{value}</option>
          ))}
        </select>
      ))}
    >
      {drawn !== undefined && <AutoChart label={title} table={drawn} spec={spec} height={height} />}
    </Card>
  );
}

export function MartGrid({ marts }: { marts: Mart[] }): React.JSX.Element {
  if (marts.length === 0) {
    return (
      <Empty height={320}>
        This project has no marts yet. Each SELECT in <code>sql/marts/</code> becomes a chart here.
      </Empty>
    );
  }
  return (
    <div className="cards">
      {marts.map((mart) => (
        <MartCard key={mart.name} mart={mart} />
      ))}
    </div>
  );
}

/** Downloads a mart as the API gives it, every row of it. */
export function ExportMart({ mart }: { mart: Mart }): React.JSX.Element {
  const [state, setState] = useState<'idle' | 'busy' | 'failed'>('idle');
  const fetchAll = async (): Promise<void> => {
    setState('busy');
    try {
      const response = await send(`${base}/marts/${encodeURIComponent(mart.name)}?limit=50000`, {
        headers: { Accept: 'text/csv' },
      });
      download(`${mart.name}.csv`, await response.blob());
      setState('idle');
    } catch {
      setState('failed');
    }
  };
  return (
    <button
      type="button"
      className="button"
      disabled={state === 'busy'}
      onClick={() => void fetchAll()}
    >
      {state === 'busy'
        ? 'Exporting…'
        : state === 'failed'
          ? 'Export failed, try again'
          : 'Export the mart as CSV'}
    </button>
  );
}
