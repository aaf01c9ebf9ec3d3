interface Line {
  label: string;
  value: string;
  color: string | null;
}

interface Props {
  at: number;
  width: number;
  title: string;
  note?: string | null;
  lines: Line[];
  total?: string | null;
}

/** The values at one place of a chart. It is read out as it changes, for those who do not see it. */
export function Tooltip({ at, width, title, note, lines, total }: Props): React.JSX.Element {
  const left = at > width / 2;
  return (
    <div
      className="tooltip"
      style={left ? { right: width - at + 12 } : { left: at + 12 }}
      role="status"
    >
      <strong>{title}</strong>
      {note !== null && note !== undefined && <em>{note}</em>}
      <dl>
        {lines.map((line) => (
          <div key={line.label}>
            <dt>
              {line.color !== null && <i style={{ background: line.color }} />}
              {line.label}
            </dt>
            <dd>{line.value}</dd>
          </div>
        ))}
        {total !== null && total !== undefined && (
          <div className="total">
            <dt>Total</dt>
            <dd>{total}</dd>
          </div>
        )}
      </dl>
    </div>
  );
}
