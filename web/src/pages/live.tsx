import { useEffect, useState } from 'react';
import { watchCounters, type Counters } from '../api/live';
import { BarList } from '../charts/bar-list';
import type { ChartData } from '../charts/data';
import { XYChart } from '../charts/xy-chart';
import { Card } from '../components/card';
import { Tile } from '../components/tile';
import { labelOf } from '../format/column';
import { compact, decimal, missing } from '../format/number';

interface Moment {
  at: string;
  counters: Counters;
}

const kept = 120;

function byType(counters: Counters | undefined): [string, number][] {
  return Object.entries(counters?.by_type ?? {}).sort(([, a], [, b]) => b - a);
}

function chartOf(moments: Moment[]): ChartData {
  return {
    x: {
      kind: 'time',
      label: 'Time',
      column: { name: 'time', type: 'timestamp' },
      values: moments.map((moment) => moment.at),
    },
    series: [
      {
        id: 'events_per_second',
        label: 'Events per second',
        column: { name: 'events_per_second', type: 'integer' },
        values: moments.map((moment) => moment.counters.events_per_second ?? null),
      },
    ],
  };
}

export default function Live(): React.JSX.Element {
  const [moments, setMoments] = useState<Moment[]>([]);
  const [connected, setConnected] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  useEffect(() => {
    let stop = new AbortController();
    const start = (): void => {
      stop.abort();
      stop = new AbortController();
      // Nobody looks at a hidden tab; the server need not send to it.
      if (document.hidden) return;
      void watchCounters(
        stop.signal,
        (counters) =>
          setMoments((before) => [
            ...before.slice(1 - kept),
            { at: counters.at ?? new Date().toISOString(), counters },
          ]),
        (now, why) => {
          setConnected(now);
          setProblem(why);
        },
      );
    };
    start();
    document.addEventListener('visibilitychange', start);
    return () => {
      document.removeEventListener('visibilitychange', start);
      stop.abort();
    };
  }, []);

  const now = moments.at(-1)?.counters;
  const waiting = now === undefined;
  const tile = (id: keyof Counters, label: string, definition: string, short = false) => {
    const value = now?.[id];
    return (
      <Tile
        id={id}
        label={label}
        definition={definition}
        loading={waiting}
        value={typeof value === 'number' ? (short ? compact(value) : decimal(value)) : missing}
        trend={moments.map((moment) => {
          const then = moment.counters[id];
          return typeof then === 'number' ? then : null;
        })}
      />
    );
  };
  const types = byType(now);
  return (
    <>
      <p className="lead" role="status">
        <span className={connected ? 'lamp on' : 'lamp'} aria-hidden="true" />
        {connected
          ? 'Connected: a new figure every second'
          : problem === null
            ? 'Connecting…'
            : `Not connected: ${problem}. Trying again.`}
      </p>
      <div className="tiles">
        {tile('events_per_second', 'Events per second', 'Events that landed in the last second.')}
        {tile('landed', 'Landed', 'Events that were decoded and sealed.', true)}
        {tile(
          'lag_commits',
          'Lag',
          'Commits of events that a model of the star schema has not read yet.',
        )}
        {tile(
          'duplicates',
          'Duplicates',
          'Records dropped because their event had landed already.',
        )}
        {tile(
          'quarantined',
          'Quarantined',
          'Records kept aside because they do not fit their contract.',
        )}
        {typeof now?.active_players_5m === 'number' &&
          tile(
            'active_players_5m',
            'Active players',
            'Players with an event in the last five minutes.',
          )}
      </div>
      <div className="cards">
        <Card
          title="Events per second"
          subtitle="The last two minutes"
          height={260}
          loading={waiting}
          wide
        >
          <XYChart label="Events per second" data={chartOf(moments)} kind="line" height={260} />
        </Card>
        <Card
          title="By event type"
          subtitle="In the last second"
          height={260}
          loading={waiting}
          empty={types.length === 0 ? 'No events right now.' : undefined}
          wide
        >
          <BarList
            label="Events by type"
            bars={types.map(([type, events]) => ({
              id: type,
              label: labelOf(type),
              value: events,
              text: decimal(events),
            }))}
          />
        </Card>
      </div>
    </>
  );
}
