import { useMemo, useState } from 'react';
import { groupBy, numberOf, ratio, sum, textOf, weightedMean } from '../api/rows';
import type { Row } from '../api/types';
import { ChartCard } from '../charts/chart-card';
import type { ChartData } from '../charts/data';
import { fillDays } from '../charts/fill';
import { Funnel, type Step } from '../charts/funnel';
import { Card, definitionsOf } from '../components/card';
import { DataTable } from '../components/data-table';
import { labelOf } from '../format/column';
import { useMart } from '../state/marts';

/** The steps over all cohorts; the typical time is the mean of the cohorts' medians, by players. */
export function stepsOf(rows: Row[]): Step[] {
  const steps = [...groupBy(rows, 'step')]
    .map(([step, each]) => ({
      step: Number(step),
      name: textOf(each[0]?.step_name),
      players: sum(each, 'players') ?? 0,
      medianSeconds: weightedMean(each, 'median_seconds', 'players'),
    }))
    .sort((a, b) => a.step - b.step);
  return steps.map((step, index) => ({
    id: String(step.step),
    label: labelOf(step.name),
    players: step.players,
    shareOfFirst: ratio(step.players, steps[0]?.players ?? null),
    shareOfPrevious: index === 0 ? 1 : ratio(step.players, steps[index - 1]?.players ?? null),
    medianSeconds: index === 0 ? null : step.medianSeconds,
  }));
}

/** By cohort, the share that reached the last step. */
function completion(rows: Row[]): ChartData {
  const last = Math.max(...rows.map((row) => numberOf(row.step) ?? 0));
  const there = rows
    .filter((row) => row.step === last)
    .sort((a, b) => textOf(a.cohort_date).localeCompare(textOf(b.cohort_date)));
  return fillDays({
    x: {
      kind: 'time',
      label: 'Cohort',
      column: { name: 'cohort_date', type: 'date' },
      values: there.map((row) => textOf(row.cohort_date)),
    },
    series: [
      {
        id: 'share_of_first',
        label: 'Reached the last step',
        column: { name: 'share_of_first', type: 'double' },
        values: there.map((row) => numberOf(row.share_of_first)),
      },
    ],
  });
}

function Funnels(): React.JSX.Element {
  const source = useMart('mart_funnel');
  const funnels = useMemo(() => groupBy(source.rows, 'funnel'), [source.rows]);
  const names = [...funnels.keys()];
  const [chosen, setChosen] = useState<string | null>(null);
  const name =
    chosen !== null && funnels.has(chosen)
      ? chosen
      : (names.find((each) => each === 'onboarding') ?? names[0] ?? '');
  const rows = source.rows.filter((row) => row.funnel === name);
  const steps = stepsOf(rows);
  const data = completion(rows);
  return (
    <>
      <Card
        title="Funnel"
        subtitle="Players who registered in the days chosen"
        definitions={definitionsOf(source.columns, [
          'funnel',
          'players',
          'share_of_first',
          'share_of_previous',
          'median_seconds',
        ])}
        height={330}
        loading={source.loading}
        error={source.error}
        retry={source.retry}
        empty={
          source.absent
            ? 'This project has no funnels.'
            : steps.length === 0
              ? 'Nobody entered a funnel in these days.'
              : undefined
        }
        fileName={`funnel-${name}`}
        table={{
          columns: [
            { name: 'step', type: 'integer' },
            { name: 'step_name', type: 'text' },
            { name: 'players', type: 'integer' },
            { name: 'share_of_first', type: 'double' },
            { name: 'share_of_previous', type: 'double' },
            { name: 'median_seconds', type: 'double' },
          ],
          rows: steps.map((step) => [
            Number(step.id),
            step.label,
            step.players,
            step.shareOfFirst,
            step.shareOfPrevious,
            step.medianSeconds,
          ]),
        }}
        controls={
          names.length > 0 && (
            <select
              aria-label="Funnel shown"
              value={name}
              onChange={(event) => setChosen(event.target.value)}
            >
              {names.map((each) => (
                <option key={each} value={each}>
                  {labelOf(each)}
                </option>
              ))}
            </select>
          )
        }
      >
        <Funnel label={labelOf(name)} steps={steps} />
      </Card>
      <ChartCard
        title="Funnel completion"
        subtitle={`${labelOf(name)}: share of each day’s new players who reached the last step`}
        source={source}
        data={data}
        definitions={definitionsOf(source.columns, ['share_of_first'])}
        kind="line"
        height={296}
      />
    </>
  );
}

interface Level {
  id: string;
  level: number;
  attempts: number;
  winRate: number | null;
  quitRate: number | null;
  duration: number | null;
  tries: number | null;
  firstWins: number;
}

export function levelsOf(rows: Row[]): Level[] {
  return [...groupBy(rows, 'level_id')]
    .map(([id, days]): Level => {
      const attempts = sum(days, 'attempts') ?? 0;
      return {
        id,
        level: numberOf(days[0]?.level) ?? 0,
        attempts,
        winRate: ratio(sum(days, 'wins'), attempts),
        quitRate: ratio((sum(days, 'quits') ?? 0) + (sum(days, 'unfinished') ?? 0), attempts),
        duration: weightedMean(days, 'median_duration_seconds', 'attempts'),
        tries: weightedMean(days, 'median_attempts_to_first_win', 'first_wins'),
        firstWins: sum(days, 'first_wins') ?? 0,
      };
    })
    .sort((a, b) => a.level - b.level);
}

/** Widths of groups of levels, of which the least is taken that keeps a chart readable. */
const widths = [1, 2, 5, 10, 20, 50, 100, 200, 500];
const mostPoints = 60;

export interface LevelGroup {
  label: string;
  attempts: number;
  firstWins: number;
  winRate: number | null;
  quitRate: number | null;
}

/** Levels, or ranges of them if there are too many to be told apart. */
export function groupLevels(rows: Row[]): LevelGroup[] {
  const numbers = rows.map((row) => numberOf(row.level) ?? 1);
  const last = numbers.reduce((most, level) => Math.max(most, level), 0);
  const width = widths.find((each) => last / each <= mostPoints) ?? Math.ceil(last / mostPoints);
  const groups = new Map<number, Row[]>();
  rows.forEach((row, index) => {
    const group = Math.floor(((numbers[index] ?? 1) - 1) / width);
    const members = groups.get(group);
    if (members === undefined) groups.set(group, [row]);
    else members.push(row);
  });
  return [...groups]
    .sort(([a], [b]) => a - b)
    .map(([group, each]) => {
      const first = group * width + 1;
      const attempts = sum(each, 'attempts') ?? 0;
      return {
        label: width === 1 ? String(first) : `${first}–${first + width - 1}`,
        attempts,
        firstWins: sum(each, 'first_wins') ?? 0,
        winRate: ratio(sum(each, 'wins'), attempts),
        quitRate: ratio((sum(each, 'quits') ?? 0) + (sum(each, 'unfinished') ?? 0), attempts),
      };
    });
}

function levelChart(groups: LevelGroup[], series: ChartData['series']): ChartData {
  return {
    x: {
      kind: 'category',
      label: 'Level',
      column: { name: 'level', type: 'text' },
      values: groups.map((group) => group.label),
    },
    series,
  };
}

function Levels(): React.JSX.Element {
  const source = useMart('mart_level');
  const levels = useMemo(() => levelsOf(source.rows), [source.rows]);
  const groups = useMemo(() => groupLevels(source.rows), [source.rows]);
  const rate = { name: 'win_rate', type: 'double' } as const;
  return (
    <>
      <ChartCard
        title="Level difficulty"
        subtitle="Share of attempts that were won, and given up or left open"
        source={source}
        definitions={definitionsOf(source.columns, ['win_rate', 'quits', 'unfinished'])}
        data={levelChart(groups, [
          {
            id: 'win_rate',
            label: 'Won',
            column: rate,
            values: groups.map((group) => group.winRate),
          },
          {
            id: 'quit_rate',
            label: 'Given up or left open',
            column: rate,
            color: 3,
            values: groups.map((group) => group.quitRate),
          },
        ])}
        kind="line"
      />
      <ChartCard
        title="How far players get"
        subtitle="Attempts, and players who won the level for the first time"
        source={source}
        definitions={definitionsOf(source.columns, ['attempts', 'first_wins'])}
        data={levelChart(groups, [
          {
            id: 'attempts',
            label: 'Attempts',
            column: { name: 'attempts', type: 'integer' },
            values: groups.map((group) => group.attempts),
          },
          {
            id: 'first_wins',
            label: 'First wins',
            column: { name: 'first_wins', type: 'integer' },
            values: groups.map((group) => group.firstWins),
          },
        ])}
        kind="line"
      />
      <Card
        title="Levels"
        subtitle="Medians are means of the days’ medians, weighted by attempts or first wins"
        definitions={definitionsOf(source.columns, [
          'win_rate',
          'median_duration_seconds',
          'median_attempts_to_first_win',
        ])}
        height={420}
        loading={source.loading}
        error={source.error}
        retry={source.retry}
        empty={levels.length === 0 ? 'No level was played in these days.' : undefined}
        wide
      >
        <DataTable
          label="Levels"
          pageSize={12}
          columns={[
            { name: 'level', type: 'integer' },
            { name: 'level_id', type: 'text' },
            { name: 'attempts', type: 'integer' },
            { name: 'win_rate', type: 'double' },
            { name: 'quit_rate', type: 'double' },
            { name: 'median_duration_seconds', type: 'double' },
            { name: 'median_attempts_to_first_win', type: 'double' },
            { name: 'first_wins', type: 'integer' },
          ].map((column) => ({
            ...column,
            type: column.type as 'integer',
            description: source.description(column.name) ?? null,
          }))}
          rows={levels.map((level) => [
            level.level,
            level.id,
            level.attempts,
            level.winRate,
            level.quitRate,
            level.duration,
            level.tries,
            level.firstWins,
          ])}
        />
      </Card>
    </>
  );
}

export default function Progression(): React.JSX.Element {
  return (
    <div className="cards">
      <Funnels />
      <Levels />
    </div>
  );
}
