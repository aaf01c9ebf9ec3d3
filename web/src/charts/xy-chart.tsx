import { area, line } from 'd3-shape';
import { useId, useMemo, useState } from 'react';
import { formatCell, formatTick, unitOf } from '../format/column';
import { longDay } from '../format/time';
import type { ChartData } from './data';
import { Legend, colorOf } from './legend';
import { extent, stack, xScale, yScale, type Frame } from './scales';
import { useWidth } from './size';
import { Tooltip } from './tooltip';

/** `area` is areas and `stacked` bars on top of each other; `bar` is bars side by side. */
export type XYKind = 'line' | 'area' | 'stacked' | 'bar' | 'scatter';

interface Props {
  label: string;
  data: ChartData;
  kind: XYKind;
  height?: number;
  /** Whether an x's figures are whole; those that are not are marked. */
  isWhole?: (x: string | number) => boolean;
  /** Draws the y axis from the lowest value instead of from zero. */
  free?: boolean;
}

const textWidth = 6.6;
const noColumn = { name: 'value', type: 'double' } as const;

/** Lines, areas, bars and points over one x. Arrow keys move from one x to the next. */
export function XYChart({
  label,
  data,
  kind,
  height = 260,
  isWhole,
  free,
}: Props): React.JSX.Element {
  const [ref, width] = useWidth<HTMLDivElement>();
  const [active, setActive] = useState<number | null>(null);
  const [hidden, setHidden] = useState<ReadonlySet<string>>(new Set());
  const pattern = useId();

  const toggle = (id: string): void => {
    const next = new Set(hidden);
    if (!next.delete(id)) next.add(id);
    setHidden(next.size === data.series.length ? new Set() : next);
  };

  const shown = useMemo((): ChartData => {
    const colored = data.series.map((series, index) => ({
      ...series,
      color: series.color ?? index,
    }));
    return { x: data.x, series: colored.filter((series) => !hidden.has(series.id)) };
  }, [data, hidden]);

  const count = shown.x.values.length;
  const stacked = kind === 'stacked' || kind === 'area';
  const bars = kind === 'bar' || kind === 'stacked';
  const yColumn = shown.series[0]?.column ?? noColumn;
  const drawn = useMemo(() => {
    const [low, high] = extent(shown, stacked, free !== true);
    const most = unitOf(yColumn) === 'percent' ? 1 : undefined;
    const base: Frame = { width, height, left: 0, right: 12, top: 12, bottom: 26 };
    const labels = yScale(low, high, base, most).ticks.map((value) => formatTick(value, yColumn));
    const left = Math.max(28, Math.max(0, ...labels.map((text) => text.length)) * textWidth + 12);
    const frame = { ...base, left };
    return { frame, x: xScale(shown.x, frame, bars), y: yScale(low, high, frame, most) };
  }, [shown, stacked, bars, free, width, height, yColumn]);
  const { frame, x, y } = drawn;
  const zero = y.at(Math.max(0, y.ticks[0] ?? 0));
  const right = width - frame.right;
  const floor = height - frame.bottom;

  const move = (event: React.PointerEvent): void => {
    const at = event.clientX - event.currentTarget.getBoundingClientRect().left;
    let nearest = 0;
    for (let index = 1; index < count; index += 1) {
      if (Math.abs(x.at(index) - at) < Math.abs(x.at(nearest) - at)) nearest = index;
    }
    setActive(count === 0 ? null : nearest);
  };

  const steer = (event: React.KeyboardEvent): void => {
    const from = active ?? count - 1;
    const targets: Record<string, number> = {
      ArrowLeft: active === null ? from : from - 1,
      ArrowRight: from + 1,
      Home: 0,
      End: count - 1,
    };
    const target = targets[event.key];
    if (event.key === 'Escape') setActive(null);
    if (target === undefined || count === 0) return;
    event.preventDefault();
    setActive(Math.min(count - 1, Math.max(0, target)));
  };

  const xText = (index: number): string => {
    const value = shown.x.values[index] ?? '';
    const text =
      shown.x.column.type === 'date' ? longDay(value) : formatCell(value, shown.x.column);
    return shown.x.kind === 'time' ? text : `${shown.x.label} ${text}`;
  };
  const piles = stacked ? stack(shown.series, count) : [];
  const unfinished = shown.x.values.flatMap((value, index) =>
    isWhole !== undefined && !isWhole(value) ? [index] : [],
  );
  const half = Math.min(x.step, right - frame.left) / 2;

  return (
    <div className="chart">
      <div
        ref={ref}
        className="plot"
        style={{ height }}
        role="application"
        aria-roledescription="chart"
        aria-label={`${label}. Left and right arrow keys read the values.`}
        tabIndex={0}
        onPointerMove={move}
        onPointerDown={move}
        onPointerLeave={() => setActive(null)}
        onBlur={() => setActive(null)}
        onKeyDown={steer}
      >
        {width > 0 && (
          <svg width={width} height={height} aria-hidden="true">
            <defs>
              <pattern
                id={pattern}
                width="6"
                height="6"
                patternUnits="userSpaceOnUse"
                patternTransform="rotate(45)"
              >
                <rect width="2" height="6" className="hatch" />
              </pattern>
            </defs>
            {y.ticks.map((value) => (
              <g key={value} className={value === 0 ? 'grid zero' : 'grid'}>
                <line x1={frame.left} x2={right} y1={y.at(value)} y2={y.at(value)} />
                <text x={frame.left - 8} y={y.at(value)} dy="0.32em" textAnchor="end">
                  {formatTick(value, yColumn)}
                </text>
              </g>
            ))}
            {x.ticks.map((tick) => (
              <text
                key={tick.at}
                className="tick"
                x={Math.min(Math.max(tick.at, frame.left), right - tick.label.length * 2)}
                y={height - 7}
                textAnchor="middle"
              >
                {tick.label}
              </text>
            ))}
            {unfinished.map((index) => (
              <rect
                key={index}
                x={Math.max(frame.left, x.at(index) - half)}
                width={Math.max(
                  6,
                  Math.min(right, x.at(index) + half) - Math.max(frame.left, x.at(index) - half),
                )}
                y={frame.top}
                height={floor - frame.top}
                fill={`url(#${pattern})`}
              />
            ))}
            {active !== null && (
              <line
                className="crosshair"
                x1={x.at(active)}
                x2={x.at(active)}
                y1={frame.top}
                y2={floor}
              />
            )}
            {shown.series.map((series, order) => {
              const color = colorOf(series, order);
              const points = series.values.map((value, index) => ({ value, index }));
              const pile = piles[order];
              if (bars) {
                const wide = Math.max(1, (x.step * 0.75) / (stacked ? 1 : shown.series.length));
                return points.map(({ value, index }) => {
                  if (value === null) return null;
                  const [from, to] = pile?.[index] ?? [0, value];
                  const shift = stacked ? 0 : (order - (shown.series.length - 1) / 2) * wide;
                  return (
                    <rect
                      key={`${series.id} ${index}`}
                      x={x.at(index) + shift - wide / 2}
                      width={Math.max(1, wide - (stacked ? 0 : 1))}
                      y={Math.min(y.at(from), y.at(to))}
                      height={Math.abs(y.at(from) - y.at(to))}
                      rx={Math.min(2, wide / 4)}
                      fill={color}
                      opacity={active === null || active === index ? 1 : 0.55}
                    />
                  );
                });
              }
              if (pile !== undefined) {
                const shape = area()
                  .x((_, index) => x.at(index))
                  .y0(([from]) => y.at(from))
                  .y1(([, to]) => y.at(to));
                return <path key={series.id} d={shape(pile) ?? ''} fill={color} className="pile" />;
              }
              const there = points.filter(
                (point): point is { value: number; index: number } => point.value !== null,
              );
              if (kind === 'scatter') {
                return there.map(({ value, index }) => (
                  <circle
                    key={`${series.id} ${index}`}
                    cx={x.at(index)}
                    cy={y.at(value)}
                    r="4"
                    fill={color}
                    opacity="0.75"
                  />
                ));
              }
              const stroke = line<{ value: number | null; index: number }>()
                .defined(({ value }) => value !== null)
                .x(({ index }) => x.at(index))
                .y(({ value }) => y.at(value ?? 0));
              const fill = area<{ value: number | null; index: number }>()
                .defined(({ value }) => value !== null)
                .x(({ index }) => x.at(index))
                .y0(zero)
                .y1(({ value }) => y.at(value ?? 0));
              return (
                <g key={series.id}>
                  {shown.series.length === 1 && (
                    <path d={fill(points) ?? ''} fill={color} opacity="0.12" />
                  )}
                  <path
                    d={stroke(points) ?? ''}
                    fill="none"
                    stroke={color}
                    strokeWidth="2"
                    strokeLinejoin="round"
                    strokeDasharray={series.dashed === true ? '5 4' : undefined}
                  />
                  {there.length === 1 &&
                    there.map(({ value, index }) => (
                      <circle key={index} cx={x.at(index)} cy={y.at(value)} r="3.5" fill={color} />
                    ))}
                </g>
              );
            })}
            {active !== null &&
              !bars &&
              shown.series.map((series, order) => {
                const value = stacked ? piles[order]?.[active]?.[1] : series.values[active];
                return value === null || value === undefined ? null : (
                  <circle
                    key={series.id}
                    className="marker"
                    cx={x.at(active)}
                    cy={y.at(value)}
                    r="4"
                    fill={colorOf(series, order)}
                  />
                );
              })}
          </svg>
        )}
        {active !== null && (
          <Tooltip
            at={x.at(active)}
            width={width}
            title={xText(active)}
            note={unfinished.includes(active) ? 'not over yet' : null}
            lines={shown.series.map((series, order) => ({
              label: series.label,
              value: formatCell(series.values[active], series.column),
              color: colorOf(series, order),
            }))}
            total={
              stacked && shown.series.length > 1
                ? formatCell(
                    shown.series.reduce((sum, series) => sum + (series.values[active] ?? 0), 0),
                    yColumn,
                  )
                : null
            }
          />
        )}
      </div>
      <Legend series={data.series} hidden={hidden} onToggle={toggle} />
    </div>
  );
}
