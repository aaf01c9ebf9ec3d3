import { duration, integer, missing, percent } from '../format/number';

export interface Step {
  id: string;
  label: string;
  players: number;
  shareOfFirst: number | null;
  shareOfPrevious: number | null;
  medianSeconds: number | null;
}

/** The steps of a funnel from top to bottom, with what is lost between. */
export function Funnel({ label, steps }: { label: string; steps: Step[] }): React.JSX.Element {
  const most = Math.max(1, ...steps.map((step) => step.players));
  return (
    <ol className="funnel" aria-label={label}>
      {steps.map((step, index) => (
        <li key={step.id}>
          <div className="funnel-head">
            <span className="funnel-name">
              <b aria-hidden="true">{index + 1}</b> {step.label}
            </span>
            <span className="funnel-figures">
              <strong>{integer(step.players)}</strong>
              <span title="Share of the first step">
                {step.shareOfFirst === null ? missing : percent(step.shareOfFirst)}
              </span>
            </span>
          </div>
          <div className="funnel-track" aria-hidden="true">
            <span style={{ width: `${(step.players / most) * 100}%` }} />
          </div>
          {index > 0 && (
            <p className="funnel-note">
              {step.shareOfPrevious === null ? missing : percent(step.shareOfPrevious)} of the step
              before
              {step.medianSeconds !== null && `, typically after ${duration(step.medianSeconds)}`}
            </p>
          )}
        </li>
      ))}
    </ol>
  );
}
