import { address } from '../api/client';
import type { Model } from '../api/types';
import { useData } from '../api/use-data';
import { DataTable } from '../components/data-table';
import { Failure, Skeleton } from '../components/states';
import { integer } from '../format/number';
import { ago } from '../format/time';

/** What a model is: how it is loaded, its last run, its columns and its SQL. */
export function ModelDetail({ name }: { name: string }): React.JSX.Element {
  const answer = useData<Model>(address(`/models/${encodeURIComponent(name)}`));
  const model = answer.data;
  if (model === undefined) {
    return answer.error === undefined ? (
      <Skeleton height={260} />
    ) : (
      <Failure error={answer.error} retry={answer.retry} />
    );
  }
  const run = model.last_run;
  return (
    <div className="model-detail">
      <p>{model.description}</p>
      <p className="hint">
        {[
          `load: ${model.load ?? 'append'}`,
          model.key !== undefined && model.key.length > 0 ? `key: ${model.key.join(', ')}` : '',
          model.partition ? `partition: ${model.partition}` : '',
          run?.finished_at
            ? `last run: ${run.state ?? ''} ${ago(run.finished_at)}, ${integer(run.rows ?? 0)} rows`
            : 'never run',
        ]
          .filter(Boolean)
          .join(' · ')}
      </p>
      {run?.error && <p className="bad">{run.error}</p>}
      <DataTable
        label={`Columns of ${name}`}
        columns={[
          { name: 'column', type: 'text' },
          { name: 'type', type: 'text' },
          { name: 'description', type: 'text' },
        ]}
        rows={(model.columns ?? []).map((column) => [
          column.name,
          column.type,
          column.description ?? '',
        ])}
      />
      {model.sql && (
        <details>
          <summary>SQL</summary>
          {/* Long lines scroll, also by keyboard. */}
          <pre tabIndex={0}>{model.sql}</pre>
        </details>
      )}
    </div>
  );
}
