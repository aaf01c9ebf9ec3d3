import { cloneElement, useId, useState, type ReactElement } from 'react';

interface Props {
  text: string | null;
  children: ReactElement<{ 'aria-describedby'?: string }>;
}

/** Shows what something means while it is pointed at or has the focus; Escape closes it. */
export function Definition({ text, children }: Props): React.JSX.Element {
  const id = useId();
  const [open, setOpen] = useState(false);
  if (text === null || text === '') return children;
  return (
    <span
      className="definition"
      onMouseEnter={() => setOpen(true)}
      onMouseLeave={() => setOpen(false)}
      onFocus={() => setOpen(true)}
      onBlur={() => setOpen(false)}
      onKeyDown={(event) => {
        if (event.key === 'Escape') setOpen(false);
      }}
    >
      {cloneElement(children, { 'aria-describedby': id })}
      <span role="tooltip" id={id} className={open ? 'tip open' : 'tip'}>
        {text}
      </span>
    </span>
  );
}
