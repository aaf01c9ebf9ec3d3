import { useState } from 'react';
import { send, base } from '../api/client';
import type { Mart } from '../api/types';
import { AutoChart } from '../charts/auto-chart';
import { specFor } from '../charts/spec';
import { Card } from '../components/card';
import { Link } from '../components/link';
import { Empty } from '../components/states';
import { labelOf } from '../format/column';
import { download } from '../format/csv';
import { hrefOf, useLocation } from '../state/location';
import { useMart } from '../state/marts';
import { titleOf } from './mart-title';

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
  const spec = specFor(mart.chart, mart.columns, mart.key);
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
      wide={wide}
    >
      {source.table !== undefined && (
        <AutoChart label={title} table={source.table} spec={spec} height={height} />
      )}
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
