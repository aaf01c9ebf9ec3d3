import { useMemo } from 'react';
import { Card } from '../components/card';
import type { MartRows } from '../state/marts';
import { useFilters } from '../state/filters';
import { tableOf, type ChartData } from './data';
import { XYChart, type XYKind } from './xy-chart';

interface Props {
  title: string;
  subtitle?: React.ReactNode;
  source: Pick<MartRows, 'loading' | 'error' | 'retry' | 'absent'> & { name?: string };
  data: ChartData;
  kind: XYKind;
  height?: number;
  wide?: boolean;
  free?: boolean;
  controls?: React.ReactNode;
  empty?: string;
  /** Definitions of figures that are worked out here rather than read from a column. */
  definitions?: [string, string | null | undefined][];
}

const chartRoom = 34;

/** A card with a chart over days or numbers, its definitions, and its numbers. */
export function ChartCard(props: Props): React.JSX.Element {
  const { data, source, height = 250 } = props;
  const filters = useFilters();
  const table = useMemo(() => {
    const { rows } = tableOf(data);
    const columns = [
      data.x.column,
      ...data.series.map((series) => ({
        name: series.id,
        type: series.column.type,
        description: series.definition ?? null,
      })),
    ];
    return { columns, rows };
  }, [data]);
  const nothing =
    data.x.values.length === 0 ||
    data.series.every((each) => each.values.every((value) => value === null));
  return (
    <Card
      title={props.title}
      subtitle={props.subtitle}
      definitions={
        props.definitions ?? data.series.map((series) => [series.label, series.definition])
      }
      height={height + (data.series.length > 1 ? chartRoom : 0)}
      loading={source.loading}
      error={source.error}
      retry={source.retry}
      empty={
        source.absent
          ? 'This project does not have these figures.'
          : nothing
            ? (props.empty ?? 'Nothing in these days with these filters.')
            : undefined
      }
      table={table}
      controls={props.controls}
      wide={props.wide}
    >
      <XYChart
        label={props.title}
        data={data}
        kind={props.kind}
        height={height}
        free={props.free}
        isWhole={data.x.column.type === 'date' ? (day) => filters.isOver(String(day)) : undefined}
      />
    </Card>
  );
}
