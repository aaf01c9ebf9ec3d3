import { useId, useState, type ReactNode } from 'react';
import type { ApiError } from '../api/client';
import type { Cell, Column } from '../api/types';
import { downloadCsv } from '../format/csv';
import { labelOf } from '../format/column';
import { DataTable } from './data-table';
import { Definition } from './definition';
import { Icon } from './icons';
import { Empty, Failure, Skeleton } from './states';

export interface CardTable {
  columns: Pick<Column, 'name' | 'type' | 'description'>[];
  rows: (Cell | undefined)[][];
}

interface Props {
  title: string;
  subtitle?: ReactNode;
  /** What the card's figures mean: pairs of a name and its definition. */
  definitions?: [string, string | null | undefined][];
  /** Room kept for the content, so that nothing moves when it arrives. */
  height?: number;
  loading?: boolean;
  error?: ApiError | undefined;
  retry?: () => void;
  empty?: ReactNode;
  /** The numbers behind the content, for the table view and for CSV. */
  table?: CardTable;
  fileName?: string;
  controls?: ReactNode;
  wide?: boolean;
  className?: string;
  children?: ReactNode;
}

/** One figure or chart with its definition, its states, its numbers as a table, and CSV. */
export function Card(props: Props): React.JSX.Element {
  const { title, height = 240, table, error } = props;
  const heading = useId();
  const [asTable, setAsTable] = useState(false);
  const definitions = (props.definitions ?? []).filter((each): each is [string, string] =>
    Boolean(each[1]),
  );
  const hasRows = table !== undefined && table.rows.length > 0;
  const fileName = props.fileName ?? title.toLowerCase().replaceAll(/[^a-z0-9]+/g, '-');

  let content: ReactNode;
  if (error !== undefined) content = <Failure error={error} retry={props.retry} height={height} />;
  else if (props.loading === true) content = <Skeleton height={height} />;
  else if (props.empty !== undefined && props.empty !== false && props.empty !== null)
    content = <Empty height={height}>{props.empty}</Empty>;
  else if (asTable && table !== undefined)
    content = (
      <div className="card-table">
        <DataTable label={title} columns={table.columns} rows={table.rows} />
      </div>
    );
  else content = props.children;

  return (
    <section
      className={`card${props.wide === true ? ' wide' : ''} ${props.className ?? ''}`}
      aria-labelledby={heading}
      data-card={fileName}
    >
      <header className="card-head">
        <div className="card-title">
          <h2 id={heading}>{title}</h2>
          {props.subtitle !== undefined && <p>{props.subtitle}</p>}
        </div>
        <div className="card-tools">
          {props.controls}
          {definitions.length > 0 && (
            <Definition
              text={definitions.map(([name, text]) => (
                <span key={name} className="tip-line">
                  <b>{name}</b> {text}
                </span>
              ))}
            >
              <button type="button" className="icon-button" aria-label={`What ${title} means`}>
                <Icon name="info" />
              </button>
            </Definition>
          )}
          {hasRows && (
            <>
              <button
                type="button"
                className="icon-button"
                aria-pressed={asTable}
                aria-label={asTable ? `Show ${title} as a chart` : `Show ${title} as a table`}
                title={asTable ? 'Show as a chart' : 'Show as a table'}
                onClick={() => setAsTable(!asTable)}
              >
                <Icon name={asTable ? 'chart' : 'table'} />
              </button>
              <button
                type="button"
                className="icon-button"
                aria-label={`Download ${title} as CSV`}
                title="Download as CSV"
                onClick={() =>
                  downloadCsv(
                    fileName,
                    table.columns.map((column) => column.name),
                    table.rows,
                  )
                }
              >
                <Icon name="download" />
              </button>
            </>
          )}
        </div>
      </header>
      <div className="card-body" style={{ minHeight: height }}>
        {content}
      </div>
    </section>
  );
}

/** The definitions of some of an answer's columns, as a card shows them. */
export function definitionsOf(
  columns: Column[] | undefined,
  names: string[],
): [string, string | null | undefined][] {
  return names.flatMap((name): [string, string | null | undefined][] => {
    const column = columns?.find((each) => each.name === name);
    return column === undefined ? [] : [[labelOf(name), column.description]];
  });
}
