import { useMemo, useState } from 'react';
import { groupBy } from '../api/rows';
import type { Row } from '../api/types';
import { ChartCard } from '../charts/chart-card';
import { measures, type ChartData, type Series } from '../charts/data';
import { fillDays } from '../charts/fill';
import { Heatmap } from '../charts/heatmap';
import { Card, definitionsOf } from '../components/card';
import { platformName } from '../components/filter-bar';
import { Segments } from '../components/segments';
import { Tile } from '../components/tile';
import { integer, missing, percent } from '../format/number';
import { useMart } from '../state/marts';
import { curveOf, dayNumbers, triangle, type Curve } from './cohorts';

const share = { name: 'retention', type: 'double' } as const;

function chartOf(
  series: [string, Curve, string | null | undefined][],
  dashed: string[] = [],
): ChartData {
  return {
    x: {
      kind: 'number',
      label: 'Day',
      column: { name: 'day_n', type: 'integer' },
      values: dayNumbers,
    },
    series: series.map(([label, curve, definition]): Series => ({
      id: label.toLowerCase(),
      label,
      column: share,
      definition: definition ?? null,
      // Day 0 is 100 % for everybody, and would make the rest flat.
      values: curve.values.map((value, day) => (day === 0 ? null : value)),
      dashed: dashed.includes(label),
    })),
  };
}

function Triangle({
  rows,
  source,
}: {
  rows: Row[];
  source: ReturnType<typeof useMart>;
}): React.JSX.Element {
  const [by, setBy] = useState<'day' | 'week'>('day');
  const [kind, setKind] = useState<'exact' | 'rolling'>('exact');
  const top = kind === 'exact' ? 'active_players' : 'rolling_active_players';
  const cohorts = useMemo(() => triangle(rows, top, by === 'week'), [rows, top, by]);
  return (
    <Card
      title="Cohorts"
      subtitle="Share of each cohort that came back n days after its first day"
      definitions={definitionsOf(source.columns, [
        'cohort_date',
        'day_n',
        'cohort_size',
        'retention',
        'rolling_retention',
      ])}
      height={Math.max(200, 28 + cohorts.length * 24)}
      loading={source.loading}
      error={source.error}
      retry={source.retry}
      empty={cohorts.length === 0 ? 'No cohort began in these days.' : undefined}
      table={{ columns: source.columns, rows: source.table?.rows ?? [] }}
      wide
      controls={
        <>
          <Segments
            label="Kind of retention"
            value={kind}
            onChange={setKind}
            options={[
              ['exact', 'On day n'],
              ['rolling', 'Day n or later'],
            ]}
          />
          <Segments
            label="Cohorts by"
            value={by}
            onChange={setBy}
            options={[
              ['day', 'Days'],
              ['week', 'Weeks'],
            ]}
          />
        </>
      }
    >
      <Heatmap
        label="Retention by cohort and day"
        columns={dayNumbers.map(String)}
        rows={cohorts}
        apart={0}
        columnTitle="Day"
        sideTitle="Players"
        format={(value) => percent(value)}
        short={(value) => String(Math.round(value * 100))}
      />
    </Card>
  );
}

export default function Retention(): React.JSX.Element {
  const source = useMart('mart_retention');
  const byPlatform = useMart('mart_retention', { platform: '*' });
  const state = useMart('mart_player_state');
  const exact = useMemo(() => curveOf(source.rows, 'active_players'), [source.rows]);
  const rolling = useMemo(() => curveOf(source.rows, 'rolling_active_players'), [source.rows]);
  const platforms = useMemo(
    () =>
      chartOf(
        [
          ...groupBy(
            byPlatform.rows.filter((row) => row.platform !== 'all' && row.platform !== 'unknown'),
            'platform',
          ),
        ].map(([name, rows]) => [
          platformName(name),
          curveOf(rows, 'active_players'),
          byPlatform.description('retention'),
        ]),
      ),
    [byPlatform],
  );
  const states = (columns: string[]) =>
    fillDays(measures(state.columns, state.rows, 'date', columns));
  return (
    <>
      <div className="tiles">
        {[1, 3, 7, 14, 30].map((day) => (
          <Tile
            key={day}
            id={`d${day}`}
            label={`Day ${day}`}
            definition={source.description('retention')}
            loading={source.loading}
            value={exact.values[day] == null ? missing : percent(exact.values[day])}
            comparison={{
              change: null,
              text:
                (exact.players[day] ?? 0) === 0
                  ? 'no cohort is that old yet'
                  : `of ${integer(exact.players[day] ?? 0)} players`,
            }}
          />
        ))}
      </div>
      <div className="cards">
        <ChartCard
          title="Retention curve"
          subtitle="All cohorts of the days chosen, by day since the first"
          source={source}
          data={chartOf(
            [
              ['On day n', exact, source.description('retention')],
              ['Day n or later', rolling, source.description('rolling_retention')],
            ],
            ['Day n or later'],
          )}
          kind="line"
        />
        <ChartCard
          title="Retention by platform"
          subtitle="Share active on exactly day n"
          source={byPlatform}
          data={platforms}
          kind="line"
        />
        <Triangle rows={source.rows} source={source} />
        <ChartCard
          title="Player states"
          subtitle="Everybody who ever played, by how long ago they last did"
          source={state}
          data={states(['current_players', 'at_risk_players', 'dormant_players'])}
          kind="area"
        />
        <ChartCard
          title="Moves between states"
          subtitle="Players who changed their state on the day"
          source={state}
          data={states(['became_at_risk', 'became_dormant', 'recovered', 'reactivated'])}
          kind="line"
        />
      </div>
    </>
  );
}
