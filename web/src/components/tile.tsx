import { useId } from 'react';
import { Sparkline } from '../charts/sparkline';
import { percent, points as inPoints } from '../format/number';
import { Definition } from './definition';
import { Icon } from './icons';

export interface Comparison {
  /** Change as a share of what it was; `null` if there is nothing to compare with. */
  change: number | null;
  /** What it was, and when. */
  text: string;
  /** Whether more is worse, as with crashes. */
  inverse?: boolean;
  /** Whether the change is a difference of shares, in percentage points. */
  points?: boolean;
}

interface Props {
  label: string;
  value: string;
  definition?: string | null | undefined;
  comparison?: Comparison | undefined;
  trend?: (number | null)[];
  note?: string | undefined;
  loading?: boolean;
  id?: string;
}

function Change({ change, text, inverse, points }: Comparison): React.JSX.Element {
  if (change === null) return <span className="change">{text}</span>;
  const flat = Math.abs(change) < 0.0005;
  const good = inverse === true ? change < 0 : change > 0;
  return (
    <span className="change">
      <b className={flat ? undefined : good ? 'good' : 'bad'}>
        {!flat && <Icon name={change > 0 ? 'up' : 'down'} size={13} />}
        <span className="visually-hidden">{flat ? '' : change > 0 ? 'up ' : 'down '}</span>
        {points === true ? `${inPoints(Math.abs(change) * 100)} pts` : percent(Math.abs(change))}
      </b>{' '}
      {text}
    </span>
  );
}

/** One figure, beside what it was, with the shape of its way here. */
export function Tile(props: Props): React.JSX.Element {
  const heading = useId();
  return (
    <section className="tile" aria-labelledby={heading} data-figure={props.id}>
      <Definition text={props.definition ?? null}>
        {/* In the tab order only for its definition. */}
        <h2 id={heading} tabIndex={props.definition ? 0 : undefined}>
          {props.label}
        </h2>
      </Definition>
      {props.loading === true ? (
        <div className="tile-skeleton" role="status">
          <span className="visually-hidden">Loading…</span>
        </div>
      ) : (
        <>
          <p className="tile-value">
            {props.value}
            {props.note !== undefined && <span className="badge">{props.note}</span>}
          </p>
          <p className="tile-note">
            {props.comparison === undefined ? ' ' : <Change {...props.comparison} />}
          </p>
        </>
      )}
      {props.trend !== undefined && <Sparkline values={props.trend} />}
    </section>
  );
}
