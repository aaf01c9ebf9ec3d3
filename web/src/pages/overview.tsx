import { useMemo } from 'react';
import { numberOf, ratio, sum, weightedMean, groupBy, textOf } from '../api/rows';
import type { Row } from '../api/types';
import { BarList } from '../charts/bar-list';
import { ChartCard } from '../charts/chart-card';
import { measures } from '../charts/data';
import { fillDays, lastDayOf } from '../charts/fill';
import { Card, definitionsOf } from '../components/card';
import { platformName } from '../components/filter-bar';
import { Tile } from '../components/tile';
import { formatShort, labelOf, unitOf } from '../format/column';
import { countryName } from '../format/country';
import { compactMoney, integer, percent } from '../format/number';
import { longDay, weekdayName } from '../format/time';
import { addDays } from '../state/days';
import { useFilters } from '../state/filters';
import { useMart, useMarts, type MartRows } from '../state/marts';
import { MartGrid } from './mart-grid';

interface Figure {
  column: string;
  inverse?: boolean;
}

const figures: Figure[] = [
  { column: 'dau' },
  { column: 'new_players' },
  { column: 'sessions' },
  { column: 'avg_session_seconds' },
  { column: 'total_revenue_usd' },
  { column: 'arpdau' },
  { column: 'conversion' },
  { column: 'stickiness' },
];

function Figures({ daily, before }: { daily: MartRows; before: MartRows }): React.JSX.Element {
  const filters = useFilters();
  const last = filters.to ?? lastDayOf(daily.rows);
  const on = (rows: Row[], date: string | null): Row | undefined =>
    rows.find((row) => row.date === date);
  // A few hours beside a whole day would only frighten: the day that is running has a line of its own.
  const running = last !== null && !filters.isOver(last) ? on(daily.rows, last) : undefined;
  const wholeDay = running === undefined || last === null ? last : addDays(last, -1);
  const day = on(daily.rows, wholeDay) === undefined ? last : wholeDay;
  const today = on(daily.rows, day);
  const weekAgo = day === null ? null : addDays(day, -7);
  const then = on(daily.rows, weekAgo) ?? on(before.rows, weekAgo);
  const over = day === null || filters.isOver(day);
  const whole = over ? daily.rows.filter((row) => filters.isOver(textOf(row.date))) : daily.rows;
  return (
    <section aria-label="The latest day beside the same weekday a week earlier">
      <p className="lead">
        {day === null ? '\u00a0' : longDay(day)}
        {!over && <span className="badge warn">not over yet</span>}
        {running !== undefined && over && (
          <small className="muted" data-running>
            Today so far: {integer(numberOf(running.dau) ?? 0)} players,{' '}
            {integer(numberOf(running.sessions) ?? 0)} sessions,{' '}
            {compactMoney(numberOf(running.total_revenue_usd) ?? 0)} revenue
          </small>
        )}
      </p>
      <div className="tiles">
        {figures.map(({ column, inverse }) => {
          const described = daily.columns.find((each) => each.name === column) ?? {
            name: column,
            type: 'double' as const,
          };
          const value = numberOf(today?.[column]);
          const past = numberOf(then?.[column]);
          const share = unitOf(described) === 'percent';
          const change =
            value === null || past === null || past === 0
              ? null
              : share
                ? value - past
                : value / past - 1;
          return (
            <Tile
              key={column}
              id={column}
              label={labelOf(column)}
              definition={daily.description(column)}
              value={formatShort(value, described)}
              loading={daily.loading}
              comparison={
                weekAgo === null || then === undefined
                  ? undefined
                  : {
                      change,
                      text: `vs ${formatShort(past, described)} last ${weekdayName(weekAgo)}`,
                      inverse: inverse ?? false,
                      points: share,
                    }
              }
              trend={whole.map((row) => numberOf(row[column]))}
            />
          );
        })}
      </div>
    </section>
  );
}

/** Revenue and daily players of each value of a cut, over the days chosen. */
function Cut({ by, title }: { by: 'platform' | 'country'; title: string }): React.JSX.Element {
  const source = useMart('mart_daily_kpi', { [by]: '*' });
  const groups = [
    ...groupBy(
      source.rows.filter((row) => row[by] !== 'all'),
      by,
    ),
  ]
    .map(([name, rows]) => ({
      name,
      revenue: sum(rows, 'total_revenue_usd'),
      players: ratio(sum(rows, 'dau'), new Set(source.rows.map((row) => textOf(row.date))).size),
    }))
    .sort((a, b) => (b.revenue ?? 0) - (a.revenue ?? 0));
  const name = by === 'platform' ? platformName : countryName;
  return (
    <Card
      title={title}
      subtitle="Total of the days chosen, and players on an average day"
      definitions={[
        ...definitionsOf(source.columns, ['total_revenue_usd']),
        ['Players a day', 'Mean of the days’ DAU; players of several days are not added up.'],
      ]}
      height={260}
      loading={source.loading}
      error={source.error}
      retry={source.retry}
      empty={groups.length === 0 ? 'Nothing in these days with these filters.' : undefined}
      table={{
        columns: [
          { name: by, type: 'text' },
          { name: 'total_revenue_usd', type: 'decimal' },
          { name: 'average_dau', type: 'double' },
        ],
        rows: groups.map((group) => [group.name, group.revenue, group.players]),
      }}
    >
      <BarList
        label={title}
        bars={groups.slice(0, 7).map((group) => ({
          id: group.name,
          label: name(group.name),
          value: group.revenue,
          text: compactMoney(group.revenue ?? 0),
          note: `${integer(group.players ?? 0)} players a day`,
        }))}
      />
    </Card>
  );
}

function Game(): React.JSX.Element {
  const filters = useFilters();
  const daily = useMart('mart_daily_kpi');
  // The week before the range, for the comparison of a range that is shorter.
  const before = useMart(
    'mart_daily_kpi',
    filters.to === null ? null : { from: addDays(filters.to, -7), to: addDays(filters.to, -7) },
  );
  const chart = (columns: string[]) =>
    fillDays(measures(daily.columns, daily.rows, 'date', columns));
  const stickiness = weightedMean(daily.rows, 'stickiness', 'mau');
  return (
    <>
      <Figures daily={daily} before={before} />
      <div className="cards">
        <ChartCard
          title="Active players"
          subtitle={
            stickiness === null
              ? 'By day, week and month'
              : `By day, week and month; ${percent(stickiness, 0)} of a month’s come on a day`
          }
          source={daily}
          data={chart(['dau', 'wau', 'mau'])}
          kind="line"
        />
        <ChartCard
          title="Revenue"
          subtitle="Purchases and advertisements"
          source={daily}
          data={chart(['iap_revenue_usd', 'ad_revenue_usd'])}
          kind="stacked"
        />
        <ChartCard
          title="Sessions"
          source={daily}
          data={chart(['sessions'])}
          kind="line"
          height={220}
        />
        <ChartCard
          title="New players"
          source={daily}
          data={chart(['new_players'])}
          kind="bar"
          height={220}
        />
        <Cut by="platform" title="Revenue by platform" />
        <Cut by="country" title="Revenue by country" />
      </div>
    </>
  );
}

/** The figures of the bundled game; for a project without them, all that it has. */
export default function Overview(): React.JSX.Element {
  const { marts, answer } = useMarts();
  const known = useMemo(() => marts.some((mart) => mart.name === 'mart_daily_kpi'), [marts]);
  if (answer.data !== undefined && !known) return <MartGrid marts={marts} />;
  return <Game />;
}
