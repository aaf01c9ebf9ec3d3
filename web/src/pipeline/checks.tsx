import { address } from '../api/client';
import { listOf, textOf } from '../api/rows';
import { useData } from '../api/use-data';
import { Card } from '../components/card';
import { DataTable } from '../components/data-table';
import { duration } from '../format/number';
import { ago, exactTime } from '../format/time';

interface Check {
  run: string;
  name: string;
  model: string | null;
  severity: 'error' | 'warn';
  status: string;
  /** How many rows are wrong. */
  rows: number;
  /** Some of them, in words. */
  sample: string | null;
  detail: string | null;
  description: string;
  seconds: number;
}

/** How grave the outcome is: errors first, then warnings, then what could not be told. */
function gravity(check: Check): number {
  if (check.status === 'passed') return 3;
  if (check.status !== 'failed') return 2;
  return check.severity === 'error' ? 0 : 1;
}

function Badge({ check }: { check: Check }): React.JSX.Element {
  const kind = ['bad', 'warn', 'warn', 'good'][gravity(check)] ?? '';
  const text =
    check.status === 'failed' ? (check.severity === 'warn' ? 'warning' : 'error') : check.status;
  return <span className={`badge ${kind}`}>{text}</span>;
}

/** What the checks of the latest run have found, the worst first. */
export function Checks(): React.JSX.Element {
  const answer = useData<unknown>(address('/checks', { limit: 500 }));
  const all = listOf<Check>(answer.data, 'checks');
  const run = all[0]?.run;
  const latest = all.filter((check) => check.run === run);
  latest.sort((a, b) => gravity(a) - gravity(b));
  const passed = latest.filter((check) => check.status === 'passed').length;
  const columns = [
    { name: 'outcome', type: 'text' },
    { name: 'check', type: 'text' },
    { name: 'about', type: 'text' },
    { name: 'finding', type: 'text' },
    { name: 'took', type: 'double' },
  ] as const;
  return (
    <Card
      title="Checks"
      subtitle={
        run === undefined
          ? 'Rules that the project’s tables must keep'
          : `${passed} of ${latest.length} rules were kept in the latest run, ${ago(run)}`
      }
      height={360}
      loading={answer.data === undefined && answer.error === undefined}
      error={answer.data === undefined ? answer.error : undefined}
      retry={answer.retry}
      empty={latest.length === 0 ? 'No check has run yet.' : undefined}
    >
      <DataTable
        label="Checks"
        pageSize={10}
        columns={[...columns]}
        rows={latest.map((check, index) => [
          index,
          check.name,
          check.model ?? 'the run',
          check.detail ?? check.sample ?? (check.rows > 0 ? `${check.rows} rows` : null),
          check.seconds,
        ])}
        render={(row, column, cell) => {
          const check = typeof row[0] === 'number' ? latest[row[0]] : undefined;
          if (check === undefined) return undefined;
          if (column === 'outcome') return <Badge check={check} />;
          if (column === 'check') {
            return (
              <span title={`${check.description} ${exactTime(check.run)}`}>{textOf(cell)}</span>
            );
          }
          if (column === 'finding') return cell === null ? '–' : textOf(cell);
          if (column === 'took') return duration(check.seconds);
          return undefined;
        }}
      />
    </Card>
  );
}
