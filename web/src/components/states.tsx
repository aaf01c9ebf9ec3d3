// What stands in a chart's place while there is nothing to draw.

import type { ApiError } from '../api/client';
import { Icon } from './icons';

export function Skeleton({ height }: { height: number }): React.JSX.Element {
  return (
    <div className="skeleton" style={{ height }} role="status">
      <span className="visually-hidden">Loading…</span>
    </div>
  );
}

export function Empty({
  children,
  height,
}: {
  children: React.ReactNode;
  height?: number;
}): React.JSX.Element {
  return (
    <div className="state" style={{ minHeight: height }}>
      <p>{children}</p>
    </div>
  );
}

interface FailureProps {
  error: ApiError;
  retry?: () => void;
  height?: number;
}

export function Failure({ error, retry, height }: FailureProps): React.JSX.Element {
  return (
    <div className="state failed" style={{ minHeight: height }} role="alert">
      <Icon name="warning" />
      <p>{error.status === 401 ? 'An API key is needed to see this.' : error.message}</p>
      {error.lines.length > 0 && (
        <ul>
          {error.lines.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
      )}
      {error.retryAfter !== null && <p>Try again in {error.retryAfter} s.</p>}
      {retry !== undefined && (
        <button type="button" className="button" onClick={retry}>
          <Icon name="retry" size={15} /> Try again
        </button>
      )}
    </div>
  );
}
