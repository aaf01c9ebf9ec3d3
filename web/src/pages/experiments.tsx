import { useMemo } from 'react';
import { groupBy, numberOf, textOf } from '../api/rows';
import type { Row } from '../api/types';
import { ChartCard } from '../charts/chart-card';
import { split, type ChartData } from '../charts/data';
import { fillDays } from '../charts/fill';
import { Card, definitionsOf } from '../components/card';
import { DataTable } from '../components/data-table';
import { Empty, Failure, Skeleton } from '../components/states';
import { labelOf } from '../format/column';
import { integer, pValue, percent } from '../format/number';
import { useMart, type MartRows } from '../state/marts';

/** Below this the split of the players is no accident, and the experiment's figures mean nothing. */
const brokenSplit = 0.001;
const significant = 0.05;

const order = (a: Row, b: Row): number =>
  Number(b.is_control === true) - Number(a.is_control === true) ||
  textOf(a.variant).localeCompare(textOf(b.variant));

const shown = [
  'variant',
  'exposed_players',
  'conversion',
  'conversion_p_value',
  'arpu',
  'd1_retention',
  'd7_retention',
];

/** Adds up a series over the days, so that an experiment's growth is seen. */
function cumulative(data: ChartData): ChartData {
  return {
    ...data,
    series: data.series.map((series) => {
      let total = 0;
      return { ...series, values: series.values.map((value) => (total += value ?? 0)) };
    }),
  };
}

function Verdict({ rows }: { rows: Row[] }): React.JSX.Element {
  const control = rows.find((row) => row.is_control === true);
  const split = numberOf(rows[0]?.srm_p_value);
  const base = numberOf(control?.conversion);
  const winners = rows.filter((row) => (numberOf(row.conversion_p_value) ?? 1) < significant);
  return (
    <p className="verdict">
      {split !== null && split < brokenSplit ? (
        <span className="badge bad">
          Players are not spread evenly (p {pValue(split)}): do not trust the figures
        </span>
      ) : (
        <span className="badge good">
          Even split{split === null ? '' : ` (p ${pValue(split)})`}
        </span>
      )}{' '}
      {winners.length === 0 ? (
        <span className="badge">No difference in conversion that is more than chance</span>
      ) : (
        winners.map((row) => {
          const conversion = numberOf(row.conversion);
          const change =
            conversion === null || base === null || base === 0 ? null : conversion / base - 1;
          return (
            <span
              key={textOf(row.variant)}
              className={`badge ${change !== null && change < 0 ? 'bad' : 'good'}`}
            >
              {labelOf(textOf(row.variant))} converts{' '}
              {change === null
                ? 'differently'
                : `${percent(Math.abs(change), 0)} ${change < 0 ? 'worse' : 'better'}`}
            </span>
          );
        })
      )}
    </p>
  );
}

function Experiment({
  id,
  rows,
  source,
  daily,
}: {
  id: string;
  rows: Row[];
  source: MartRows;
  daily: MartRows;
}): React.JSX.Element {
  const sorted = [...rows].sort(order);
  const columns = shown.map(
    (name) =>
      source.columns.find((column) => column.name === name) ?? { name, type: 'double' as const },
  );
  const days = useMemo(
    () =>
      cumulative(
        fillDays(
          split(
            daily.columns,
            daily.rows.filter((row) => row.experiment_id === id),
            'date',
            'exposed_players',
            'variant',
          ),
        ),
      ),
    [daily.columns, daily.rows, id],
  );
  const total = rows.reduce((sum, row) => sum + (numberOf(row.exposed_players) ?? 0), 0);
  return (
    <>
      <Card
        title={labelOf(id)}
        subtitle={`${integer(total)} players in ${rows.length} variants, since the experiment began`}
        definitions={definitionsOf(source.columns, [...shown.slice(1), 'srm_p_value'])}
        fileName={`experiment-${id}`}
        height={200}
      >
        <Verdict rows={sorted} />
        <DataTable
          label={`Variants of ${labelOf(id)}`}
          columns={columns}
          rows={sorted.map((row) => shown.map((name) => row[name]))}
          render={(_, column, cell) => {
            if (column === 'conversion_p_value') {
              const value = numberOf(cell);
              return value === null ? undefined : (
                <b className={value < significant ? 'good' : undefined}>{pValue(value)}</b>
              );
            }
            return column === 'variant' ? <b>{labelOf(textOf(cell))}</b> : undefined;
          }}
        />
      </Card>
      <ChartCard
        title={`${labelOf(id)}: players`}
        subtitle="Exposed players by variant, added up over the days chosen"
        source={daily}
        data={days}
        kind="line"
        height={190}
      />
    </>
  );
}

export default function Experiments(): React.JSX.Element {
  const source = useMart('mart_experiment', { from: null, to: null });
  const daily = useMart('mart_experiment_daily');
  const groups = useMemo(() => [...groupBy(source.rows, 'experiment_id')], [source.rows]);
  if (source.error !== undefined)
    return <Failure error={source.error} retry={source.retry} height={320} />;
  if (source.loading) return <Skeleton height={420} />;
  if (groups.length === 0)
    return <Empty height={320}>No player met an experiment with these filters.</Empty>;
  return (
    <>
      <p className="lead">
        Of twenty comparisons without a difference, one has a p-value below 0.05 by chance. Decide
        before the experiment what to compare.
      </p>
      <div className="cards uneven">
        {groups.map(([id, rows]) => (
          <Experiment key={id} id={id} rows={rows} source={source} daily={daily} />
        ))}
      </div>
    </>
  );
}
