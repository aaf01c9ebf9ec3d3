import { useMemo } from 'react';
import { groupBy, numberOf, ratio, sum, textOf } from '../api/rows';
import { BarList } from '../charts/bar-list';
import { ChartCard } from '../charts/chart-card';
import { measures } from '../charts/data';
import { fillDays } from '../charts/fill';
import { Card, definitionsOf } from '../components/card';
import { platformName } from '../components/filter-bar';
import { Tile } from '../components/tile';
import { decimal, integer, missing, percent } from '../format/number';
import { exactTime } from '../format/time';
import { useMart } from '../state/marts';

const or = (value: number | null, write: (value: number) => string): string =>
  value === null ? missing : write(value);

export default function Stability(): React.JSX.Element {
  const source = useMart('mart_stability');
  const cut = useMart('mart_stability', { platform: '*' });
  const load = useMart('mart_concurrency');
  const { rows } = source;
  const chart = (columns: string[]) => fillDays(measures(source.columns, rows, 'date', columns));
  const busiest = useMemo(
    () =>
      load.rows.reduce<(typeof load.rows)[number] | undefined>(
        (most, row) =>
          (numberOf(row.peak_sessions) ?? 0) > (numberOf(most?.peak_sessions) ?? -1) ? row : most,
        undefined,
      ),
    [load],
  );
  const sessions = sum(rows, 'sessions');
  const crashed = sum(rows, 'crashed_sessions');
  const platforms = [
    ...groupBy(
      cut.rows.filter((row) => row.platform !== 'all'),
      'platform',
    ),
  ]
    .map(([name, each]) => ({
      name,
      crashed: ratio(sum(each, 'crashed_sessions'), sum(each, 'sessions')),
      fatal: sum(each, 'fatal_errors') ?? 0,
    }))
    .sort((a, b) => (b.crashed ?? 0) - (a.crashed ?? 0));
  return (
    <>
      <div className="tiles">
        <Tile
          id="crash_free_sessions"
          label="Crash-free sessions"
          definition={source.description('crash_free_sessions')}
          loading={source.loading}
          value={or(
            sessions === null || crashed === null ? null : ratio(sessions - crashed, sessions),
            (value) => percent(value, 2),
          )}
          comparison={{ change: null, text: `of ${or(sessions, integer)} sessions` }}
          trend={rows.map((row) => numberOf(row.crash_free_sessions))}
        />
        <Tile
          id="fatal_errors"
          label="Fatal errors"
          definition={source.description('fatal_errors')}
          loading={source.loading}
          value={or(sum(rows, 'fatal_errors'), integer)}
          comparison={{ change: null, text: `of ${or(sum(rows, 'errors'), integer)} errors` }}
          trend={rows.map((row) => numberOf(row.fatal_errors))}
        />
        <Tile
          id="peak_sessions"
          label="Peak sessions"
          definition={load.description('peak_sessions')}
          loading={load.loading}
          value={or(numberOf(busiest?.peak_sessions), integer)}
          comparison={{
            change: null,
            text: busiest === undefined ? '' : `${exactTime(textOf(busiest.peak_at))} UTC`,
          }}
          trend={load.rows.map((row) => numberOf(row.peak_sessions))}
        />
        <Tile
          id="avg_sessions"
          label="Average sessions open"
          definition={load.description('avg_sessions')}
          loading={load.loading}
          value={or(ratio(sum(load.rows, 'avg_sessions'), load.rows.length), decimal)}
          comparison={{ change: null, text: 'mean of the days' }}
          trend={load.rows.map((row) => numberOf(row.avg_sessions))}
        />
      </div>
      <div className="cards">
        <ChartCard
          title="Crash-free share"
          subtitle="Sessions and players without a fatal error"
          source={source}
          data={chart(['crash_free_sessions', 'crash_free_players'])}
          kind="line"
          free
        />
        <ChartCard
          title="Errors"
          subtitle="All, and those that ended the session"
          source={source}
          data={chart(['errors', 'fatal_errors'])}
          kind="line"
        />
        <Card
          title="Crashes by platform"
          subtitle="Share of sessions with a fatal error"
          definitions={definitionsOf(cut.columns, ['crashed_sessions', 'fatal_errors'])}
          height={240}
          loading={cut.loading}
          error={cut.error}
          retry={cut.retry}
          empty={platforms.length === 0 ? 'Nothing in these days with these filters.' : undefined}
          table={{
            columns: [
              { name: 'platform', type: 'text' },
              { name: 'crash_rate', type: 'double' },
              { name: 'fatal_errors', type: 'integer' },
            ],
            rows: platforms.map((each) => [each.name, each.crashed, each.fatal]),
          }}
        >
          <BarList
            label="Crashes by platform"
            bars={platforms.map((each) => ({
              id: each.name,
              label: platformName(each.name),
              value: each.crashed,
              text: or(each.crashed, (value) => percent(value, 2)),
              note: `${integer(each.fatal)} fatal errors`,
              color: 'var(--series-3)',
            }))}
          />
        </Card>
        <ChartCard
          title="Concurrency"
          subtitle="Sessions open at the same time: the busiest minute, and the average"
          source={load}
          data={fillDays(
            measures(load.columns, load.rows, 'date', ['peak_sessions', 'avg_sessions']),
          )}
          kind="line"
        />
      </div>
    </>
  );
}
