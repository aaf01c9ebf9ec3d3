import { area, line } from 'd3-shape';
import { useWidth } from './size';

interface Props {
  values: (number | null)[];
  height?: number;
}

/** The shape of a figure's way in the smallest room. It says nothing that the tile does not. */
export function Sparkline({ values, height = 36 }: Props): React.JSX.Element {
  const [ref, width] = useWidth<HTMLDivElement>();
  const there = values.filter((value): value is number => value !== null);
  const low = Math.min(0, ...there);
  const high = Math.max(...there, low + 1e-9);
  const x = (index: number): number => 3 + (index / Math.max(1, values.length - 1)) * (width - 6);
  const y = (value: number): number => height - 3 - ((value - low) / (high - low)) * (height - 6);
  const stroke = line<number | null>()
    .defined((value) => value !== null)
    .x((_, index) => x(index))
    .y((value) => y(value ?? 0));
  const fill = area<number | null>()
    .defined((value) => value !== null)
    .x((_, index) => x(index))
    .y0(height)
    .y1((value) => y(value ?? 0));
  const last = values.at(-1);
  return (
    <div ref={ref} className="sparkline" style={{ height }} aria-hidden="true">
      {width > 0 && there.length > 1 && (
        <svg width={width} height={height}>
          <path d={fill(values) ?? ''} fill="var(--accent)" opacity="0.12" />
          <path d={stroke(values) ?? ''} fill="none" stroke="var(--accent)" strokeWidth="1.75" />
          {last !== null && last !== undefined && (
            <circle cx={x(values.length - 1)} cy={y(last)} r="2.75" fill="var(--accent)" />
          )}
        </svg>
      )}
    </div>
  );
}
