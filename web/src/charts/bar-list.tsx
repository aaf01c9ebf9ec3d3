import { Definition } from '../components/definition';

export interface Bar {
  id: string;
  label: string;
  value: number | null;
  text: string;
  note?: string;
  definition?: string | null;
  color?: string;
  href?: string;
}

/** Bars that lie, with a name each: for categories, whose names can be long. */
export function BarList({ label, bars }: { label: string; bars: Bar[] }): React.JSX.Element {
  const most = Math.max(1e-12, ...bars.map((bar) => Math.abs(bar.value ?? 0)));
  return (
    <ul className="bar-list" aria-label={label}>
      {bars.map((bar) => (
        <li key={bar.id}>
          <Definition text={bar.definition ?? null}>
            <span className="bar-label">{bar.label}</span>
          </Definition>
          <span className="bar-value">
            {bar.text}
            {bar.note !== undefined && <small> {bar.note}</small>}
          </span>
          <span className="bar-track" aria-hidden="true">
            <span
              style={{
                width: `${(Math.abs(bar.value ?? 0) / most) * 100}%`,
                background: bar.color ?? 'var(--accent)',
              }}
            />
          </span>
        </li>
      ))}
    </ul>
  );
}
