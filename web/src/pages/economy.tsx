import { useMemo, useState } from 'react';
import { groupBy, ratio, sum } from '../api/rows';
import type { Row } from '../api/types';
import { BarList } from '../charts/bar-list';
import { ChartCard } from '../charts/chart-card';
import { measures } from '../charts/data';
import { fillDays } from '../charts/fill';
import { Card, definitionsOf } from '../components/card';
import { Segments } from '../components/segments';
import { Tile } from '../components/tile';
import { labelOf } from '../format/column';
import { compact, integer, missing, percent } from '../format/number';
import { useMart, type MartRows } from '../state/marts';

interface ReasonsProps {
  title: string;
  rows: Row[];
  source: MartRows;
  color: string;
}

/** Sources or sinks over the days chosen, the largest first. */
function Reasons({ title, rows, source, color }: ReasonsProps): React.JSX.Element {
  const total = sum(rows, 'amount');
  const reasons = [...groupBy(rows, 'reason')]
    .map(([name, each]) => ({
      name,
      amount: sum(each, 'amount') ?? 0,
      flows: sum(each, 'flows') ?? 0,
    }))
    .sort((a, b) => b.amount - a.amount || a.name.localeCompare(b.name));
  return (
    <Card
      title={title}
      definitions={definitionsOf(source.columns, ['reason', 'amount', 'share'])}
      height={240}
      loading={source.loading}
      error={source.error}
      retry={source.retry}
      empty={reasons.length === 0 ? 'Nothing in these days with these filters.' : undefined}
      table={{
        columns: [
          { name: 'reason', type: 'text' },
          { name: 'amount', type: 'integer' },
          { name: 'share', type: 'double' },
          { name: 'flows', type: 'integer' },
        ],
        rows: reasons.map((each) => [
          each.name,
          each.amount,
          ratio(each.amount, total),
          each.flows,
        ]),
      }}
    >
      <BarList
        label={title}
        bars={reasons.slice(0, 8).map((each) => ({
          id: each.name,
          label: labelOf(each.name),
          value: each.amount,
          text: compact(each.amount),
          note: percent(ratio(each.amount, total) ?? 0),
          color,
        }))}
      />
    </Card>
  );
}

export default function Economy(): React.JSX.Element {
  const source = useMart('mart_economy');
  const reasons = useMart('mart_economy_reason');
  const currencies = useMemo(
    () => [...groupBy(source.rows, 'currency').keys()].sort(),
    [source.rows],
  );
  const [chosen, setChosen] = useState<string | null>(null);
  const currency = chosen !== null && currencies.includes(chosen) ? chosen : (currencies[0] ?? '');
  const rows = useMemo(
    () => source.rows.filter((row) => row.currency === currency),
    [source.rows, currency],
  );
  const flows = useMemo(
    () => reasons.rows.filter((row) => row.currency === currency),
    [reasons.rows, currency],
  );
  const chart = (columns: string[]) => fillDays(measures(source.columns, rows, 'date', columns));
  const earned = sum(rows, 'earned');
  const spent = sum(rows, 'spent');
  const tile = (id: string, label: string, value: number | null, text: string) => (
    <Tile
      id={id}
      label={label}
      definition={source.description(id)}
      loading={source.loading}
      value={value === null ? missing : compact(value)}
      comparison={{ change: null, text }}
      trend={rows.map((row) => (typeof row[id] === 'number' ? row[id] : Number(row[id])))}
    />
  );
  return (
    <>
      <div className="toolbar">
        <Segments
          label="Currency"
          value={currency}
          onChange={setChosen}
          options={currencies.map((each) => [each, labelOf(each)] as const)}
        />
      </div>
      <div className="tiles">
        {tile('earned', 'Earned', earned, 'by players, in these days')}
        {tile(
          'spent',
          'Spent',
          spent,
          `${spent === null || earned === null ? missing : percent(ratio(spent, earned) ?? 0)} of what was earned`,
        )}
        {tile('net', 'Net', sum(rows, 'net'), 'more in pockets than before')}
        {tile(
          'flows',
          'Movements',
          sum(rows, 'flows'),
          `${integer((sum(rows, 'flows') ?? 0) / Math.max(1, rows.length))} a day`,
        )}
      </div>
      <div className="cards">
        <ChartCard
          title="Earned and spent"
          subtitle={labelOf(currency)}
          source={source}
          data={chart(['earned', 'spent'])}
          kind="line"
        />
        <ChartCard
          title="Balances"
          subtitle="What the day’s players own after their last movement"
          source={source}
          data={chart(['balance_median', 'balance_p90', 'balance_p99'])}
          kind="line"
        />
        <Reasons
          title="Top sources"
          rows={flows.filter((row) => row.direction === 'earned')}
          source={reasons}
          color="var(--series-1)"
        />
        <Reasons
          title="Top sinks"
          rows={flows.filter((row) => row.direction === 'spent')}
          source={reasons}
          color="var(--series-2)"
        />
      </div>
    </>
  );
}
