import type { AnchorHTMLAttributes } from 'react';
import { navigate } from '../state/location';

type Props = AnchorHTMLAttributes<HTMLAnchorElement> & { href: string };

/** A link within the dashboard; the browser's own ways to open one elsewhere go on working. */
export function Link({ href, children, onClick, ...rest }: Props): React.JSX.Element {
  return (
    <a
      {...rest}
      href={href}
      onClick={(event) => {
        onClick?.(event);
        const plain =
          event.button === 0 &&
          !event.metaKey &&
          !event.ctrlKey &&
          !event.shiftKey &&
          !event.altKey;
        if (!plain || event.defaultPrevented) return;
        event.preventDefault();
        navigate(href);
      }}
    >
      {children}
    </a>
  );
}
