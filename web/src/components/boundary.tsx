import { Component, type ReactNode } from 'react';
import { Icon } from './icons';

interface State {
  failed: string | null;
}

/** Keeps one page's mistake from taking the whole dashboard away. */
export class Boundary extends Component<{ children: ReactNode }, State> {
  override state: State = { failed: null };

  static getDerivedStateFromError(error: unknown): State {
    return { failed: error instanceof Error ? error.message : String(error) };
  }

  override render(): ReactNode {
    if (this.state.failed === null) return this.props.children;
    return (
      <div className="state failed" role="alert">
        <Icon name="warning" />
        <p>This page cannot be shown: {this.state.failed}</p>
        <button type="button" className="button" onClick={() => window.location.reload()}>
          Reload
        </button>
      </div>
    );
  }
}
