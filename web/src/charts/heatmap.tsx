import { useState } from 'react';
import { useWidth } from './size';
import { Tooltip } from './tooltip';

export interface HeatRow {
  id: string;
  label: string;
  /** A figure beside the label, such as the cohort's size. */
  side?: string;
  cells: (number | null)[];
}

interface Props {
  label: string;
  columns: string[];
  rows: HeatRow[];
  format: (value: number) => string;
  short?: (value: number) => string;
  /** Column whose values say nothing about the others, such as day 0 at 100 %. */
  apart?: number;
  columnTitle?: string;
  sideTitle?: string;
}

const labelWidth = 74;
const sideWidth = 48;
const rowHeight = 24;

/** Shade of a cell, 0 to 9; the square root brings out differences among small shares. */
export function shadeOf(value: number, most: number): number {
  if (most <= 0 || value <= 0) return 0;
  return Math.min(9, Math.max(0, Math.round(Math.sqrt(value / most) * 9)));
}

/** Cells by row and column, darker for more. Arrow keys move from cell to cell. */
export function Heatmap(props: Props): React.JSX.Element {
  const { label, columns, rows, format, apart } = props;
  const short = props.short ?? format;
  const [ref, width] = useWidth<HTMLDivElement>();
  const [active, setActive] = useState<[number, number] | null>(null);
  const side = rows.some((row) => row.side !== undefined) ? sideWidth : 0;
  const left = labelWidth + side;
  const cellWidth = Math.max(26, (width - left - 4) / Math.max(1, columns.length));
  const inner = Math.max(width, left + cellWidth * columns.length + 4);
  const values = rows.flatMap((row) =>
    row.cells.filter((value, index): value is number => value !== null && index !== apart),
  );
  const most = Math.max(0, ...values);
  const height = 24 + rows.length * rowHeight + 4;
  const widest = Math.max(0, ...values.map((value) => short(value).length));
  const labelled = cellWidth >= widest * 6.4 + 4;
  const columnStep = Math.max(1, Math.ceil(24 / cellWidth));

  const steer = (event: React.KeyboardEvent): void => {
    const [row, column] = active ?? [0, 0];
    const moves: Record<string, [number, number]> = {
      ArrowUp: [row - 1, column],
      ArrowDown: [row + 1, column],
      ArrowLeft: [row, column - 1],
      ArrowRight: [row, column + 1],
    };
    if (event.key === 'Escape') setActive(null);
    const move = moves[event.key];
    if (move === undefined) return;
    event.preventDefault();
    const clamp = (value: number, count: number): number => Math.min(count - 1, Math.max(0, value));
    setActive(
      active === null ? [0, 0] : [clamp(move[0], rows.length), clamp(move[1], columns.length)],
    );
  };

  const point = (event: React.PointerEvent): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const column = Math.floor((event.clientX - box.left - left) / cellWidth);
    const row = Math.floor((event.clientY - box.top - 24) / rowHeight);
    const inside = row >= 0 && row < rows.length && column >= 0 && column < columns.length;
    setActive(inside && rows[row]?.cells[column] != null ? [row, column] : null);
  };

  const [activeRow, activeColumn] = active ?? [-1, -1];
  const activeValue = rows[activeRow]?.cells[activeColumn] ?? null;
  return (
    <div
      ref={ref}
      className="plot heatmap"
      role="application"
      aria-roledescription="heat map"
      aria-label={`${label}. Arrow keys read the cells.`}
      tabIndex={0}
      onKeyDown={steer}
      onBlur={() => setActive(null)}
    >
      <div className="heatmap-inner" style={{ width: inner, height }}>
        {width > 0 && (
          <svg
            width={inner}
            height={height}
            aria-hidden="true"
            onPointerMove={point}
            onPointerLeave={() => setActive(null)}
          >
            {side > 0 && (
              <text className="tick" x={left - 8} y={14} textAnchor="end">
                {props.sideTitle}
              </text>
            )}
            {columns.map((column, index) =>
              index % columnStep === 0 ? (
                <text
                  key={column}
                  className="tick"
                  x={left + (index + 0.5) * cellWidth}
                  y={14}
                  textAnchor="middle"
                >
                  {column}
                </text>
              ) : null,
            )}
            {rows.map((row, order) => (
              <g key={row.id} transform={`translate(0 ${24 + order * rowHeight})`}>
                <text className="tick" x={0} y={rowHeight / 2} dy="0.32em">
                  {row.label}
                </text>
                {row.side !== undefined && (
                  <text
                    className="tick strong"
                    x={left - 8}
                    y={rowHeight / 2}
                    dy="0.32em"
                    textAnchor="end"
                  >
                    {row.side}
                  </text>
                )}
                {row.cells.map((value, index) => {
                  if (value === null) return null;
                  const shade = index === apart ? -1 : shadeOf(value, most);
                  return (
                    <g key={columns[index]} className={`heat shade-${shade < 0 ? 'apart' : shade}`}>
                      <rect
                        x={left + index * cellWidth + 0.75}
                        y={0.75}
                        width={cellWidth - 1.5}
                        height={rowHeight - 1.5}
                        rx="3"
                        className={
                          activeRow === order && activeColumn === index ? 'active' : undefined
                        }
                      />
                      {labelled && (
                        <text
                          x={left + (index + 0.5) * cellWidth}
                          y={rowHeight / 2}
                          dy="0.34em"
                          textAnchor="middle"
                        >
                          {short(value)}
                        </text>
                      )}
                    </g>
                  );
                })}
              </g>
            ))}
          </svg>
        )}
        {active !== null && (
          <div className="heatmap-tip" style={{ top: 24 + (activeRow + 1) * rowHeight }}>
            <Tooltip
              at={left + (activeColumn + 0.5) * cellWidth}
              width={inner}
              title={rows[activeRow]?.label ?? ''}
              lines={[
                {
                  label: `${props.columnTitle ?? ''} ${columns[activeColumn] ?? ''}`.trim(),
                  value: activeValue === null ? 'none' : format(activeValue),
                  color: null,
                },
              ]}
            />
          </div>
        )}
      </div>
    </div>
  );
}
