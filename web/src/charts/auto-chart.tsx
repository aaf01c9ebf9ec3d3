import { useMemo } from 'react';
import { isNumeric, numberOf, rowsOf, textOf } from '../api/rows';
import type { Column, Row, Table } from '../api/types';
import { DataTable } from '../components/data-table';
import { Empty } from '../components/states';
import { formatCell, formatShort, labelOf } from '../format/column';
import { shortDay } from '../format/time';
import { useFilters } from '../state/filters';
import { BarList } from './bar-list';
import { measures, split, type ChartData } from './data';
import { Funnel } from './funnel';
import { Heatmap } from './heatmap';
import type { ChartSpec } from './spec';
import { XYChart } from './xy-chart';

interface Props {
  label: string;
  table: Table;
  spec: ChartSpec;
  height?: number;
}

const columnOf = (columns: Column[], name: string | null): Column =>
  columns.find((column) => column.name === name) ?? { name: name ?? '', type: 'double' };

/** Points at the rows' own places: several may share one x. */
function points(columns: Column[], rows: Row[], x: string, y: string[]): ChartData {
  const column = columnOf(columns, x);
  const numeric = isNumeric(column);
  const there = rows.filter((row) => row[x] !== null);
  return {
    x: {
      kind: numeric ? 'number' : 'time',
      label: labelOf(x),
      column,
      values: there.map((row) => (numeric ? (numberOf(row[x]) ?? 0) : textOf(row[x]))),
    },
    series: y.map((name) => ({
      id: name,
      label: labelOf(name),
      column: columnOf(columns, name),
      definition: columnOf(columns, name).description ?? null,
      values: there.map((row) => numberOf(row[name])),
    })),
  };
}

function HeatmapOf({
  label,
  columns,
  rows,
  spec,
}: {
  label: string;
  columns: Column[];
  rows: Row[];
  spec: ChartSpec;
}): React.JSX.Element {
  const x = spec.x ?? '';
  const y = spec.y[0] ?? '';
  const measure = columnOf(columns, spec.value);
  const yColumn = columnOf(columns, y);
  const order = (a: string, b: string): number => Number(a) - Number(b) || a.localeCompare(b);
  const xs = [...new Set(rows.map((row) => textOf(row[x])))].sort(order);
  const ys = [...new Set(rows.map((row) => textOf(row[y])))].sort(order);
  const cells = new Map(
    rows.map((row) => [`${textOf(row[y])}\n${textOf(row[x])}`, numberOf(row[measure.name])]),
  );
  const xColumn = columnOf(columns, x);
  return (
    <Heatmap
      label={label}
      columnTitle={labelOf(x)}
      columns={xs.map((each) => (xColumn.type === 'date' ? shortDay(each) : each))}
      rows={ys.map((each) => ({
        id: each,
        label: yColumn.type === 'date' ? shortDay(each) : each,
        cells: xs.map((at) => cells.get(`${each}\n${at}`) ?? null),
      }))}
      format={(value) => formatCell(value, measure)}
      short={(value) => formatShort(value, measure)}
    />
  );
}

function FunnelOf({
  label,
  columns,
  rows,
  spec,
}: {
  label: string;
  columns: Column[];
  rows: Row[];
  spec: ChartSpec;
}): React.JSX.Element {
  const y = spec.y[0] ?? '';
  const name = spec.x ?? columns.find((column) => column.type === 'text')?.name ?? '';
  const totals = new Map<string, number>();
  for (const row of rows) {
    const step = textOf(row[name]);
    totals.set(step, (totals.get(step) ?? 0) + (numberOf(row[y]) ?? 0));
  }
  const steps = [...totals];
  const first = steps[0]?.[1] ?? 0;
  return (
    <Funnel
      label={label}
      steps={steps.map(([step, players], index) => {
        const previous = steps[index - 1]?.[1] ?? 0;
        return {
          id: step,
          label: labelOf(step),
          players,
          shareOfFirst: first === 0 ? null : players / first,
          shareOfPrevious: previous === 0 ? null : players / previous,
          medianSeconds: null,
        };
      })}
    />
  );
}

/** A table's rows drawn as its header says, or as seems best. */
export function AutoChart({ label, table, spec, height = 280 }: Props): React.JSX.Element {
  const { columns } = table;
  const rows = useMemo(() => rowsOf(table), [table]);
  const filters = useFilters();
  const { kind, x, y, series } = spec;
  if (rows.length === 0) return <Empty height={height}>There are no rows.</Empty>;
  const asTable = <DataTable label={label} columns={columns} rows={table.rows} />;
  if (kind === 'table') return asTable;
  if (kind === 'number') {
    return (
      <dl className="numbers">
        {(y.length > 0 ? y : columns.filter(isNumeric).map((column) => column.name)).map((name) => (
          <div key={name}>
            <dt>{labelOf(name)}</dt>
            <dd>{formatShort(numberOf(rows.at(-1)?.[name]), columnOf(columns, name))}</dd>
          </div>
        ))}
      </dl>
    );
  }
  if (kind === 'heatmap') {
    return x === null || y.length === 0 || spec.value === null ? (
      asTable
    ) : (
      <HeatmapOf {...{ label, columns, rows, spec }} />
    );
  }
  if (kind === 'funnel') return <FunnelOf {...{ label, columns, rows, spec }} />;
  const measure = y[0];
  if (x === null || measure === undefined) return asTable;
  const xColumn = columnOf(columns, x);
  if (kind === 'bar' && xColumn.type === 'text' && y.length === 1 && series === null) {
    const column = columnOf(columns, measure);
    return (
      <BarList
        label={label}
        bars={rows.slice(0, 20).map((row, index) => ({
          id: `${textOf(row[x])} ${index}`,
          label: textOf(row[x]),
          value: numberOf(row[measure]),
          text: formatCell(row[measure], column),
        }))}
      />
    );
  }
  const data =
    kind === 'scatter'
      ? points(columns, rows, x, y)
      : series === null
        ? measures(columns, rows, x, y)
        : split(columns, rows, x, measure, series);
  return (
    <XYChart
      label={label}
      data={data}
      kind={kind}
      height={height}
      isWhole={xColumn.type === 'date' ? (day) => filters.isOver(String(day)) : undefined}
    />
  );
}
