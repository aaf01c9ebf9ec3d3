import {
  cloneElement,
  useEffect,
  useId,
  useLayoutEffect,
  useRef,
  useState,
  type ReactElement,
  type ReactNode,
} from 'react';

interface Props {
  /** What is shown; nothing leaves the child as it is. */
  text: ReactNode;
  children: ReactElement<{ 'aria-describedby'?: string }>;
}

const margin = 12;

/** Puts the tip below what it is about, or above where there is no room, and within the window. */
function place(anchor: HTMLElement, tip: HTMLElement): void {
  const box = anchor.getBoundingClientRect();
  const { clientWidth: width, clientHeight: height } = document.documentElement;
  tip.style.maxWidth = `${Math.min(340, width - 2 * margin)}px`;
  const left = Math.max(margin, Math.min(box.left, width - tip.offsetWidth - margin));
  const below = box.bottom + 6;
  const fits = below + tip.offsetHeight <= height - margin;
  const above = Math.max(margin, box.top - 6 - tip.offsetHeight);
  tip.style.left = `${left}px`;
  tip.style.top = `${fits ? below : above}px`;
}

/** Shows what something means while it is pointed at or has the focus; Escape closes it. */
export function Definition({ text, children }: Props): React.JSX.Element {
  const id = useId();
  const [open, setOpen] = useState(false);
  const anchor = useRef<HTMLSpanElement>(null);
  const tip = useRef<HTMLSpanElement>(null);

  useLayoutEffect(() => {
    if (open && anchor.current !== null && tip.current !== null) place(anchor.current, tip.current);
  }, [open]);

  useEffect(() => {
    if (!open) return;
    // It would stay where it is while its anchor moves away.
    const close = (): void => setOpen(false);
    window.addEventListener('scroll', close, { capture: true, passive: true });
    return () => window.removeEventListener('scroll', close, { capture: true });
  }, [open]);

  if (text === null || text === undefined || text === '') return children;
  return (
    <span
      ref={anchor}
      className="definition"
      role="presentation"
      onMouseEnter={() => setOpen(true)}
      onMouseLeave={() => setOpen(false)}
      onFocus={() => setOpen(true)}
      onBlur={() => setOpen(false)}
      onKeyDown={(event) => {
        if (event.key === 'Escape') setOpen(false);
      }}
    >
      {cloneElement(children, { 'aria-describedby': id })}
      <span ref={tip} role="tooltip" id={id} className={open ? 'tip open' : 'tip'}>
        {text}
      </span>
    </span>
  );
}
