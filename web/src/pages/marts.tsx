import { DataTable } from '../components/data-table';
import { Link } from '../components/link';
import { Empty, Failure, Skeleton } from '../components/states';
import { hrefOf, useLocation } from '../state/location';
import { useMarts } from '../state/marts';
import { ExportMart, MartCard, MartGrid } from './mart-grid';
import { titleOf } from './mart-title';

/** Every mart of the project; or one, if the address names it. */
export default function Marts(): React.JSX.Element {
  const { path, search } = useLocation();
  const { marts, answer } = useMarts();
  const name = decodeURIComponent(path.split('/')[2] ?? '');
  if (answer.data === undefined) {
    return answer.error === undefined ? (
      <Skeleton height={420} />
    ) : (
      <Failure error={answer.error} retry={answer.retry} height={420} />
    );
  }
  if (name === '') {
    return (
      <>
        <p className="lead">
          Every mart of this project, drawn as its <code>-- chart:</code> header says, or else as
          its columns suggest.
        </p>
        <MartGrid marts={marts} />
      </>
    );
  }
  const mart = marts.find((each) => each.name === name);
  if (mart === undefined) return <Empty height={320}>This project has no mart named {name}.</Empty>;
  return (
    <>
      <p className="lead">
        <Link href={hrefOf('/marts', search)}>All marts</Link> › {titleOf(mart)}{' '}
        <code>{mart.name}</code>
      </p>
      <div className="cards">
        <MartCard mart={mart} height={380} wide />
        <section className="card wide" aria-labelledby="mart-columns">
          <header className="card-head">
            <div className="card-title">
              <h2 id="mart-columns">Columns</h2>
              {mart.description !== null && mart.description !== undefined && (
                <p>{mart.description}</p>
              )}
            </div>
            <ExportMart mart={mart} />
          </header>
          <div className="card-body">
            <DataTable
              label={`Columns of ${mart.name}`}
              columns={[
                { name: 'column', type: 'text' },
                { name: 'type', type: 'text' },
                { name: 'key', type: 'text' },
                { name: 'description', type: 'text' },
              ]}
              rows={mart.columns.map((column) => [
                column.name,
                column.type,
                mart.key.includes(column.name) ? 'key' : '',
                column.description ?? '',
              ])}
            />
          </div>
        </section>
      </div>
    </>
  );
}
