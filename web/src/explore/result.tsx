import { useState } from 'react';
import { isNumeric } from '../api/rows';
import type { Table } from '../api/types';
import { AutoChart } from '../charts/auto-chart';
import { chartKinds, specFor, type ChartKind, type ChartSpec } from '../charts/spec';
import { DataTable } from '../components/data-table';
import { Link } from '../components/link';
import { Segments } from '../components/segments';
import { Empty } from '../components/states';
import { download } from '../format/csv';
import { duration, integer } from '../format/number';
import { hrefOf, useLocation } from '../state/location';
import { ask, type Question } from './question';

const exports = [
  ['csv', 'text/csv'],
  ['ndjson', 'application/x-ndjson'],
  ['arrow', 'application/vnd.apache.arrow.stream'],
] as const;

function Exports({ question, name }: { question: Question; name: string }): React.JSX.Element {
  const [state, setState] = useState<string | null>(null);
  const fetchAs = async (ending: string, type: string): Promise<void> => {
    setState(`Exporting ${ending}…`);
    try {
      const response = await ask(question, type);
      download(`${name}.${ending}`, await response.blob());
      setState(null);
    } catch (error) {
      setState(`The export failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  };
  return (
    <>
      <span role="status">{state}</span>
      {exports.map(([ending, type]) => (
        <button
          key={ending}
          type="button"
          className="button"
          onClick={() => void fetchAs(ending, type)}
        >
          {ending === 'csv' ? 'CSV' : ending === 'arrow' ? 'Arrow' : 'NDJSON'}
        </button>
      ))}
    </>
  );
}

interface ChartOptionsProps {
  table: Table;
  spec: ChartSpec;
  onChange: (spec: ChartSpec) => void;
}

function ChartOptions({ table, spec, onChange }: ChartOptionsProps): React.JSX.Element {
  const names = table.columns.map((column) => column.name);
  const measures = table.columns.filter(isNumeric).map((column) => column.name);
  const texts = table.columns
    .filter((column) => column.type === 'text')
    .map((column) => column.name);
  const choose = (
    label: string,
    value: string | null,
    options: string[],
    change: (value: string) => void,
    none = false,
  ) => (
    <label>
      {label}
      <select value={value ?? ''} onChange={(event) => change(event.target.value)}>
        {(none || value === null) && <option value="">none</option>}
        {options.map((option) => (
          <option key={option}>{option}</option>
        ))}
      </select>
    </label>
  );
  return (
    <div className="chart-options">
      {choose(
        'Chart',
        spec.kind,
        chartKinds.filter((kind) => kind !== 'table'),
        (kind) => onChange({ ...spec, kind: kind as ChartKind }),
      )}
      {spec.kind !== 'number' && choose('x', spec.x, names, (x) => onChange({ ...spec, x }))}
      {choose('y', spec.y[0] ?? null, spec.kind === 'heatmap' ? names : measures, (y) =>
        onChange({ ...spec, y: [y] }),
      )}
      {spec.kind === 'heatmap' &&
        choose('value', spec.value, measures, (value) => onChange({ ...spec, value }))}
      {spec.kind !== 'heatmap' &&
        spec.kind !== 'number' &&
        spec.kind !== 'funnel' &&
        choose(
          'one series per',
          spec.series,
          texts,
          (series) => onChange({ ...spec, series: series === '' ? null : series }),
          true,
        )}
    </div>
  );
}

interface Props {
  table: Table;
  question: Question;
  took: number | null;
  chart?: unknown;
}

/** The rows of an answer as a table or a chart, and ways to take them along. */
export function Result({ table, question, took, chart }: Props): React.JSX.Element {
  const [view, setView] = useState<'table' | 'chart'>('table');
  // A choice of columns lasts as long as the answers have them.
  const shape = table.columns.map((column) => column.name).join('\n');
  const [chosen, setChosen] = useState<{ shape: string; spec: ChartSpec } | null>(null);
  const spec = chosen?.shape === shape ? chosen.spec : specFor(chart, table.columns);
  const { search } = useLocation();
  const name = question.kind === 'saved' ? question.name : 'result';
  const drawable = table.columns.some(isNumeric) && table.rows.length > 0;
  const drawn: ChartSpec = spec.kind === 'table' ? { ...spec, kind: 'bar' } : spec;
  return (
    <section className="card" aria-label="Result" data-result>
      <header className="card-head">
        <div className="card-title">
          <h2>
            {integer(table.rows.length)} {table.rows.length === 1 ? 'row' : 'rows'}
            {table.meta?.truncated === true && (
              <span className="badge warn">cut off here; an export has all</span>
            )}
          </h2>
          <p>
            {took === null ? '' : `in ${duration(took / 1000)}`}
            {table.meta?.elapsed_ms === undefined
              ? ''
              : `, of which the server took ${duration(table.meta.elapsed_ms / 1000)}`}
            {table.meta?.cached === true ? ' (cached)' : ''}
          </p>
        </div>
        <div className="card-tools">
          {drawable && (
            <Segments
              label="Result as"
              value={view}
              onChange={setView}
              options={[
                ['table', 'Table'],
                ['chart', 'Chart'],
              ]}
            />
          )}
          <Exports question={question} name={name} />
        </div>
      </header>
      <div className="card-body">
        {(table.meta?.warnings ?? []).map((warning) => (
          <p key={warning} className="result-warning" role="status">
            <span className="badge warn">warning</span> {warning}
          </p>
        ))}
        {table.rows.length === 0 ? (
          <Empty height={120}>The query gives no rows.</Empty>
        ) : view === 'chart' && drawable ? (
          <>
            <ChartOptions
              table={table}
              spec={drawn}
              onChange={(next) => setChosen({ shape, spec: next })}
            />
            <AutoChart label="Result" table={table} spec={drawn} height={320} />
          </>
        ) : (
          <DataTable
            label="Result"
            columns={table.columns}
            rows={table.rows}
            rawNames
            render={(_, column, cell) =>
              column === 'player_id' && typeof cell === 'string' ? (
                <Link href={hrefOf('/players', search, { id: cell })}>{cell}</Link>
              ) : undefined
            }
          />
        )}
      </div>
    </section>
  );
}
