import { useMemo, useState } from 'react';
import { isTime, numberOf, textOf } from '../api/rows';
import type { Cell, Column } from '../api/types';
import { formatCell, labelOf, unitOf } from '../format/column';
import { integer } from '../format/number';
import { Definition } from './definition';

type Cells = (Cell | undefined)[];

interface Props {
  label: string;
  columns: Pick<Column, 'name' | 'type' | 'description'>[];
  rows: Cells[];
  /** Names and times as they are, as a reader of SQL results wants them. */
  rawNames?: boolean;
  pageSize?: number;
  /** Draws a cell in its own way; `undefined` leaves it to the table. */
  render?: (row: Cells, column: string, cell: Cell | undefined) => React.ReactNode;
}

/** Values in the direction asked for; missing ones are last in either. */
function compare(a: Cell | undefined, b: Cell | undefined, direction: 1 | -1): number {
  if (a === null || a === undefined) return b === null || b === undefined ? 0 : 1;
  if (b === null || b === undefined) return -1;
  const left = numberOf(a);
  const right = numberOf(b);
  if (left !== null && right !== null) return direction * (left - right);
  return direction * textOf(a).localeCompare(textOf(b));
}

/** Rows that can be sorted by any column, a page at a time. */
export function DataTable(props: Props): React.JSX.Element {
  const { columns, rows, pageSize = 50 } = props;
  const [order, setOrder] = useState<{ column: number; down: boolean } | null>(null);
  const [page, setPage] = useState(0);

  const sorted = useMemo(() => {
    if (order === null) return rows;
    const direction = order.down ? -1 : 1;
    return [...rows].sort((a, b) => compare(a[order.column], b[order.column], direction));
  }, [rows, order]);

  const pages = Math.max(1, Math.ceil(sorted.length / pageSize));
  const current = Math.min(page, pages - 1);
  const shown = sorted.slice(current * pageSize, (current + 1) * pageSize);
  const right = columns.map((column) => {
    const unit = unitOf(column);
    return unit !== 'text' && unit !== 'date' && unit !== 'timestamp';
  });

  const sort = (column: number): void => {
    setPage(0);
    if (order?.column !== column) setOrder({ column, down: right[column] ?? false });
    else setOrder({ column, down: !order.down });
  };

  return (
    <div className="table-block">
      <div className="table-scroll" role="region" aria-label={props.label} tabIndex={0}>
        <table>
          <caption className="visually-hidden">{props.label}</caption>
          <thead>
            <tr>
              {columns.map((column, index) => (
                <th
                  key={column.name}
                  scope="col"
                  className={right[index] ? 'right' : undefined}
                  aria-sort={
                    order?.column !== index ? 'none' : order.down ? 'descending' : 'ascending'
                  }
                >
                  <Definition text={column.description ?? null}>
                    <button type="button" onClick={() => sort(index)}>
                      {props.rawNames === true ? column.name : labelOf(column.name)}
                      <span aria-hidden="true">
                        {order?.column !== index ? '' : order.down ? ' ↓' : ' ↑'}
                      </span>
                    </button>
                  </Definition>
                </th>
              ))}
            </tr>
          </thead>
          <tbody>
            {shown.map((row, line) => (
              // Rows have no identity of their own, and the place is all that matters here.
              <tr key={current * pageSize + line}>
                {columns.map((column, index) => (
                  <td
                    key={column.name}
                    className={right[index] ? 'right' : isTime(column) ? 'time' : undefined}
                  >
                    {props.render?.(row, column.name, row[index]) ??
                      (props.rawNames === true && isTime(column)
                        ? textOf(row[index])
                        : formatCell(row[index], column))}
                  </td>
                ))}
              </tr>
            ))}
          </tbody>
        </table>
      </div>
      {pages > 1 && (
        <nav className="pages" aria-label={`Pages of ${props.label}`}>
          <button
            type="button"
            className="button"
            disabled={current === 0}
            onClick={() => setPage(current - 1)}
          >
            Back
          </button>
          <span>
            {integer(current * pageSize + 1)}–{integer(current * pageSize + shown.length)} of{' '}
            {integer(rows.length)}
          </span>
          <button
            type="button"
            className="button"
            disabled={current === pages - 1}
            onClick={() => setPage(current + 1)}
          >
            Next
          </button>
        </nav>
      )}
    </div>
  );
}
