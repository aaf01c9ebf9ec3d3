import { useMemo } from 'react';
import { groupBy, ratio, sum } from '../api/rows';
import { ChartCard } from '../charts/chart-card';
import { measures, split, type ChartData } from '../charts/data';
import { fillDays } from '../charts/fill';
import { platformName } from '../components/filter-bar';
import { Tile } from '../components/tile';
import { compactMoney, integer, missing, money, percent } from '../format/number';
import { useMart } from '../state/marts';
import { curveOf, dayNumbers } from './cohorts';

const or = (value: number | null, write: (value: number) => string): string =>
  value === null ? missing : write(value);

function ltvChart(
  groups: [string, ReturnType<typeof curveOf>][],
  definition: string | null | undefined,
): ChartData {
  return {
    x: {
      kind: 'number',
      label: 'Day',
      column: { name: 'day_n', type: 'integer' },
      values: dayNumbers,
    },
    series: groups.map(([label, curve]) => ({
      id: label.toLowerCase(),
      label,
      column: { name: 'ltv', type: 'double' },
      definition: definition ?? null,
      values: curve.values,
    })),
  };
}

export default function Monetization(): React.JSX.Element {
  const daily = useMart('mart_daily_kpi');
  const platforms = useMart('mart_daily_kpi', { platform: '*' });
  const ltv = useMart('mart_ltv');
  const ltvPlatforms = useMart('mart_ltv', { platform: '*' });
  const { rows } = daily;
  const revenue = sum(rows, 'total_revenue_usd');
  const iap = sum(rows, 'iap_revenue_usd');
  const chart = (columns: string[]) => fillDays(measures(daily.columns, rows, 'date', columns));
  const curve = useMemo(() => curveOf(ltv.rows, 'cumulative_revenue_usd'), [ltv.rows]);
  const byPlatform = useMemo(
    () =>
      [
        ...groupBy(
          ltvPlatforms.rows.filter((row) => row.platform !== 'all' && row.platform !== 'unknown'),
          'platform',
        ),
      ].map(([name, each]): [string, ReturnType<typeof curveOf>] => [
        platformName(name),
        curveOf(each, 'cumulative_revenue_usd'),
      ]),
    [ltvPlatforms.rows],
  );
  const revenueByPlatform = useMemo(() => {
    const cut = platforms.rows.filter((row) => row.platform !== 'all');
    const data = fillDays(split(platforms.columns, cut, 'date', 'total_revenue_usd', 'platform'));
    return {
      ...data,
      series: data.series.map((each) => ({ ...each, label: platformName(each.id) })),
    };
  }, [platforms.columns, platforms.rows]);
  const days = new Set(rows.map((row) => row.date)).size;
  return (
    <>
      <div className="tiles">
        <Tile
          id="revenue"
          label="Revenue"
          definition={daily.description('total_revenue_usd')}
          loading={daily.loading}
          value={or(revenue, compactMoney)}
          comparison={{ change: null, text: `${or(ratio(revenue, days), compactMoney)} a day` }}
        />
        <Tile
          id="iap"
          label="Purchases"
          definition={daily.description('iap_revenue_usd')}
          loading={daily.loading}
          value={or(iap, compactMoney)}
          comparison={{ change: null, text: `${or(ratio(iap, revenue), percent)} of revenue` }}
        />
        <Tile
          id="ads"
          label="Advertisements"
          definition={daily.description('ad_revenue_usd')}
          loading={daily.loading}
          value={or(sum(rows, 'ad_revenue_usd'), compactMoney)}
          comparison={{
            change: null,
            text: `${or(ratio(sum(rows, 'ad_revenue_usd'), revenue), percent)} of revenue`,
          }}
        />
        <Tile
          id="arpdau"
          label="ARPDAU"
          definition={daily.description('arpdau')}
          loading={daily.loading}
          value={or(ratio(revenue, sum(rows, 'dau')), money)}
          comparison={{ change: null, text: 'mean of all days, by DAU' }}
        />
        <Tile
          id="conversion"
          label="Conversion"
          definition={daily.description('conversion')}
          loading={daily.loading}
          value={or(ratio(sum(rows, 'payers'), sum(rows, 'dau')), percent)}
          comparison={{ change: null, text: 'of a day’s players pay' }}
        />
        <Tile
          id="first-time-payers"
          label="First-time payers"
          definition={daily.description('first_time_payers')}
          loading={daily.loading}
          value={or(sum(rows, 'first_time_payers'), integer)}
          comparison={{ change: null, text: 'in these days' }}
        />
      </div>
      <div className="cards">
        <ChartCard
          title="Revenue"
          subtitle="Purchases and advertisements"
          source={daily}
          data={chart(['iap_revenue_usd', 'ad_revenue_usd'])}
          kind="stacked"
        />
        <ChartCard
          title="Revenue by platform"
          source={platforms}
          data={revenueByPlatform}
          kind="stacked"
        />
        <ChartCard
          title="ARPDAU"
          subtitle="Revenue per daily player"
          source={daily}
          data={chart(['arpdau'])}
          kind="line"
          height={220}
        />
        <ChartCard
          title="ARPPU"
          subtitle="Purchases per payer of the day"
          source={daily}
          data={chart(['arppu'])}
          kind="bar"
          height={220}
        />
        <ChartCard
          title="Payers"
          source={daily}
          data={chart(['payers', 'first_time_payers'])}
          kind="line"
          height={220}
        />
        <ChartCard
          title="Conversion"
          subtitle="Payers among the day’s players"
          source={daily}
          data={chart(['conversion'])}
          kind="line"
          height={220}
        />
        <ChartCard
          title="Lifetime value"
          subtitle="Revenue per player through day n, over the cohorts that are old enough"
          source={ltv}
          data={ltvChart([['LTV', curve]], ltv.description('ltv'))}
          kind="line"
        />
        <ChartCard
          title="Lifetime value by platform"
          source={ltvPlatforms}
          data={ltvChart(byPlatform, ltv.description('ltv'))}
          kind="line"
        />
      </div>
    </>
  );
}
