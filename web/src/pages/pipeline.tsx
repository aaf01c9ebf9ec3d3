import { useMemo, useState } from 'react';
import { address } from '../api/client';
import { listOf, textOf } from '../api/rows';
import type { Cell, Model, Run } from '../api/types';
import { useData } from '../api/use-data';
import { Card } from '../components/card';
import { DataTable } from '../components/data-table';
import { Icon } from '../components/icons';
import { bytes, duration, integer } from '../format/number';
import { ago, exactTime } from '../format/time';
import { Graph } from '../pipeline/graph';
import type { GraphEdge, GraphNode } from '../pipeline/layout';
import { ModelDetail } from '../pipeline/model-detail';
import { Quarantine } from '../pipeline/quarantine';

interface Status {
  accounting: {
    consumed: number;
    landed: number;
    duplicates: number;
    quarantined: number;
    adds_up: boolean;
    mismatches: unknown[];
  };
  partitions: Record<string, Cell>[];
  gaps?: unknown[];
  landing?: { segments: number; rows: number; bytes: number };
  archive?: { rows: number; tables: number; first_day: string | null; last_day: string | null };
  hot?: { events: number };
  stores?: { store: string; name: string; healthy: boolean; detail: string | null }[];
}

function Accounting({ status }: { status: Status }): React.JSX.Element {
  const { accounting } = status;
  const part = (name: string, value: number): React.JSX.Element => (
    <div>
      <b>{integer(value)}</b>
      <small>{name}</small>
    </div>
  );
  const problems = accounting.mismatches.length + (status.gaps?.length ?? 0);
  return (
    <>
      <div className="equation" data-accounting>
        {part('consumed', accounting.consumed)} = {part('landed', accounting.landed)} +{' '}
        {part('duplicates', accounting.duplicates)} + {part('quarantined', accounting.quarantined)}
      </div>
      <p>
        {accounting.adds_up && problems === 0 ? (
          <span className="badge good">Every record is accounted for</span>
        ) : (
          <span className="badge bad">
            The accounts do not add up: {problems} mismatches or gaps
          </span>
        )}
      </p>
      <dl className="facts stats">
        {status.landing !== undefined && (
          <div>
            <dt>Landing</dt>
            <dd>
              {integer(status.landing.rows)} rows in {integer(status.landing.segments)} segments,{' '}
              {bytes(status.landing.bytes)}
            </dd>
          </div>
        )}
        {status.archive !== undefined && (
          <div>
            <dt>Archive</dt>
            <dd>
              {integer(status.archive.rows)} rows in {integer(status.archive.tables)} tables
              {status.archive.first_day === null
                ? ''
                : `, ${status.archive.first_day} to ${status.archive.last_day ?? ''}`}
            </dd>
          </div>
        )}
        {status.hot !== undefined && (
          <div>
            <dt>Hot store</dt>
            <dd>{integer(status.hot.events)} events</dd>
          </div>
        )}
      </dl>
    </>
  );
}

function Stores({ status }: { status: Status }): React.JSX.Element {
  return (
    <ul className="stores">
      {(status.stores ?? []).map((store) => (
        <li key={store.store}>
          <span className={store.healthy ? 'good' : 'bad'}>
            <Icon name={store.healthy ? 'check' : 'warning'} />
          </span>
          <span>
            <b>{store.store}</b>{' '}
            <span className={store.healthy ? 'muted' : 'bad'}>
              {store.healthy ? 'healthy' : 'not healthy'}
            </span>
            <small>{store.detail ?? store.name}</small>
          </span>
        </li>
      ))}
    </ul>
  );
}

function Models(): React.JSX.Element {
  const lineage = useData<{ nodes: GraphNode[]; edges: GraphEdge[] }>(address('/lineage'));
  const answer = useData<unknown>(address('/models'));
  const models = useMemo(
    () => new Map(listOf<Model>(answer.data, 'models').map((model) => [model.name, model])),
    [answer.data],
  );
  const [chosen, setChosen] = useState<string | null>(null);
  const node = lineage.data?.nodes.find((each) => each.id === chosen);
  return (
    <>
      <Card
        title="Models"
        subtitle="From events on the left to marts on the right; choose one to see what it is made of"
        height={420}
        loading={lineage.data === undefined && lineage.error === undefined}
        error={lineage.data === undefined ? lineage.error : undefined}
        retry={lineage.retry}
        wide
      >
        {lineage.data !== undefined && (
          <>
            <p className="key">
              <span className="fresh">up to date</span>
              <span className="stale">behind or stale</span>
              <span className="failed">last run failed</span>
            </p>
            <Graph
              nodes={lineage.data.nodes}
              edges={lineage.data.edges}
              models={models}
              chosen={chosen}
              onChoose={setChosen}
            />
          </>
        )}
      </Card>
      {node !== undefined && node.kind !== 'event' && (
        <Card title={node.name} subtitle={node.kind} height={260} wide>
          <ModelDetail key={node.id} name={node.name} />
        </Card>
      )}
    </>
  );
}

function Runs(): React.JSX.Element {
  const answer = useData<unknown>(address('/runs', { limit: 200 }));
  const runs = listOf<Run>(answer.data, 'runs');
  const columns = [
    { name: 'model', type: 'text' },
    { name: 'state', type: 'text' },
    { name: 'mode', type: 'text' },
    { name: 'rows', type: 'integer' },
    { name: 'took', type: 'double' },
    { name: 'finished_at', type: 'timestamp' },
  ] as const;
  return (
    <Card
      title="Runs"
      subtitle="Latest first"
      height={360}
      loading={answer.data === undefined && answer.error === undefined}
      error={answer.data === undefined ? answer.error : undefined}
      retry={answer.retry}
      empty={runs.length === 0 ? 'No model has run yet.' : undefined}
    >
      <DataTable
        label="Runs"
        pageSize={10}
        columns={[...columns]}
        rows={runs.map((run) => [
          run.model,
          run.error ?? run.state,
          run.mode,
          run.rows,
          run.seconds,
          run.finished_at,
        ])}
        render={(_, column, cell) => {
          if (column === 'finished_at' && typeof cell === 'string') {
            return (
              <time dateTime={cell} title={exactTime(cell)}>
                {ago(cell)}
              </time>
            );
          }
          if (column === 'took') return typeof cell === 'number' ? duration(cell) : undefined;
          if (column !== 'state') return undefined;
          const text = textOf(cell);
          return text === 'loaded' ? (
            <span className="good">{text}</span>
          ) : text === 'failed' ? (
            <span className="bad">{text}</span>
          ) : undefined;
        }}
      />
    </Card>
  );
}

type Check = Record<string, Cell>;

function Checks(): React.JSX.Element {
  const answer = useData<unknown>(address('/checks', { limit: 200 }));
  const checks = listOf<Check>(answer.data, 'checks');
  const names = [...new Set(checks.flatMap((check) => Object.keys(check)))];
  return (
    <Card
      title="Checks"
      subtitle="Rules that the project’s tables must keep"
      height={360}
      loading={answer.data === undefined && answer.error === undefined}
      error={answer.data === undefined ? answer.error : undefined}
      retry={answer.retry}
      empty={checks.length === 0 ? 'No check has run yet.' : undefined}
    >
      <DataTable
        label="Checks"
        pageSize={10}
        columns={names.map((name) => ({
          name,
          type: name.endsWith('_at')
            ? 'timestamp'
            : checks.some((check) => typeof check[name] === 'number')
              ? 'integer'
              : 'text',
        }))}
        rows={checks.map((check) => names.map((name) => check[name]))}
        render={(_, column, cell) =>
          column !== 'state' && column !== 'status' && column !== 'outcome' ? undefined : (
            <span
              className={
                /pass|ok/i.test(textOf(cell))
                  ? 'good'
                  : /fail|error/i.test(textOf(cell))
                    ? 'bad'
                    : undefined
              }
            >
              {textOf(cell)}
            </span>
          )
        }
      />
    </Card>
  );
}

export default function Pipeline(): React.JSX.Element {
  const answer = useData<Status>(address('/status'));
  const state = {
    loading: answer.data === undefined && answer.error === undefined,
    error: answer.data === undefined ? answer.error : undefined,
    retry: answer.retry,
  };
  return (
    <div className="cards">
      <Card
        title="Accounting"
        subtitle="Nothing is lost, nothing is counted twice"
        height={200}
        {...state}
      >
        {answer.data !== undefined && <Accounting status={answer.data} />}
      </Card>
      <Card title="Stores" height={200} {...state}>
        {answer.data !== undefined && <Stores status={answer.data} />}
      </Card>
      <Models />
      <Runs />
      <Checks />
      <Quarantine />
    </div>
  );
}
