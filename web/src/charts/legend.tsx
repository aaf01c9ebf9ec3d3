import { Definition } from '../components/definition';
import type { Series } from './data';

export const colorOf = (series: Series, index: number): string =>
  `var(--series-${((series.color ?? index) % 8) + 1})`;

interface Props {
  series: Series[];
  hidden: ReadonlySet<string>;
  onToggle: (id: string) => void;
}

/** Names the series; a click leaves one out or brings it back, hover and focus say what it means. */
export function Legend({ series, hidden, onToggle }: Props): React.JSX.Element | null {
  if (series.length < 2) return null;
  return (
    <ul className="legend">
      {series.map((each, index) => (
        <li key={each.id}>
          <Definition text={each.definition ?? null}>
            <button
              type="button"
              className="legend-entry"
              aria-pressed={!hidden.has(each.id)}
              onClick={() => onToggle(each.id)}
            >
              <svg width="14" height="10" aria-hidden="true">
                <line
                  x1="0"
                  x2="14"
                  y1="5"
                  y2="5"
                  stroke={colorOf(each, index)}
                  strokeWidth="3"
                  strokeDasharray={each.dashed === true ? '4 3' : undefined}
                />
              </svg>
              {each.label}
            </button>
          </Definition>
        </li>
      ))}
    </ul>
  );
}
