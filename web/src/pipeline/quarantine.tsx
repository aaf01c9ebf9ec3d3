import { useState } from 'react';
import { address, ApiError, postJson } from '../api/client';
import { textOf } from '../api/rows';
import type { Cell } from '../api/types';
import { invalidate, useData } from '../api/use-data';
import { Card } from '../components/card';
import { DataTable } from '../components/data-table';
import { Failure } from '../components/states';
import { labelOf } from '../format/column';
import { integer } from '../format/number';

interface Group {
  reason: string;
  event_type: string | null;
  open: number;
  replayed: number;
}

interface QuarantineList {
  records: Record<string, Cell>[];
  groups: Group[];
}

interface Report {
  replayed: number;
  landed: number;
  duplicates: number;
  refused: unknown[];
}

const columns = [
  { name: 'id', type: 'integer' },
  { name: 'reason', type: 'text' },
  { name: 'event_type', type: 'text' },
  { name: 'detail', type: 'text' },
  { name: 'attempts', type: 'integer' },
  { name: 'quarantined_at', type: 'timestamp' },
] as const;

function byReason(
  groups: Group[],
): { reason: string; open: number; replayed: number; types: string[] }[] {
  const reasons = new Map<
    string,
    { reason: string; open: number; replayed: number; types: string[] }
  >();
  for (const group of groups) {
    const found = reasons.get(group.reason) ?? {
      reason: group.reason,
      open: 0,
      replayed: 0,
      types: [],
    };
    found.open += group.open;
    found.replayed += group.replayed;
    if (group.event_type !== null) found.types.push(group.event_type);
    reasons.set(group.reason, found);
  }
  return [...reasons.values()].sort((a, b) => b.open - a.open || a.reason.localeCompare(b.reason));
}

/** Records that did not fit their contract, by reason; each reason's can be taken in again. */
export function Quarantine(): React.JSX.Element {
  const [reason, setReason] = useState<string | null>(null);
  const all = useData<QuarantineList>(address('/quarantine', { limit: 1 }));
  const records = useData<QuarantineList>(address('/quarantine', { limit: 200, reason }));
  const session = useData<{ scopes: string[] }>(address('/session'));
  const [busy, setBusy] = useState<string | null>(null);
  const [told, setTold] = useState<string | null>(null);
  const [failed, setFailed] = useState<ApiError | null>(null);
  // An older server does not say who may; it will refuse then.
  const mayReplay = session.data?.scopes.includes('admin') ?? session.error !== undefined;
  const reasons = byReason(all.data?.groups ?? []);

  const replay = async (which: string): Promise<void> => {
    setBusy(which);
    setTold(null);
    setFailed(null);
    try {
      const response = await postJson('/quarantine/replay', { reason: which });
      const report = (await response.json()) as Report;
      setTold(
        `${labelOf(which)}: ${integer(report.replayed)} taken in again, of which ${integer(report.landed)} landed, ` +
          `${integer(report.duplicates)} were duplicates and ${integer(report.replayed - report.landed - report.duplicates)} were refused again.`,
      );
      invalidate(address('/quarantine'));
      invalidate(address('/status'));
    } catch (error) {
      if (error instanceof ApiError) setFailed(error);
    }
    setBusy(null);
  };

  return (
    <Card
      title="Quarantine"
      subtitle="Records that do not fit their contract are kept, and can be taken in again after the contract was mended"
      height={240}
      loading={all.data === undefined && all.error === undefined}
      error={all.data === undefined ? all.error : undefined}
      retry={all.retry}
      empty={reasons.length === 0 ? 'Nothing is in quarantine.' : undefined}
      wide
    >
      <DataTable
        label="Reasons"
        columns={[
          { name: 'reason', type: 'text' },
          { name: 'event_types', type: 'text' },
          { name: 'open', type: 'integer' },
          { name: 'replayed', type: 'integer' },
          { name: 'actions', type: 'text' },
        ]}
        rows={reasons.map((each) => [
          each.reason,
          each.types.join(', '),
          each.open,
          each.replayed,
          null,
        ])}
        render={(row, column) => {
          const name = textOf(row[0]);
          if (column === 'reason') return <b>{labelOf(name)}</b>;
          if (column !== 'actions') return undefined;
          return (
            <span className="row-actions">
              <button
                type="button"
                className="button"
                aria-pressed={reason === name}
                onClick={() => setReason(reason === name ? null : name)}
              >
                {reason === name ? 'Show all' : 'Show'}
              </button>
              {mayReplay && (
                <button
                  type="button"
                  className="button"
                  disabled={busy !== null || row[2] === 0}
                  onClick={() => void replay(name)}
                >
                  {busy === name ? 'Replaying…' : 'Replay'}
                </button>
              )}
            </span>
          );
        }}
      />
      <p className="result-note" role="status">
        {told}
      </p>
      {failed !== null && <Failure error={failed} />}
      <h3>{reason === null ? 'Records' : `Records: ${labelOf(reason)}`}</h3>
      <DataTable
        label="Quarantined records"
        pageSize={10}
        columns={[...columns]}
        rows={(records.data?.records ?? []).map((record) =>
          columns.map((column) => record[column.name]),
        )}
      />
    </Card>
  );
}
