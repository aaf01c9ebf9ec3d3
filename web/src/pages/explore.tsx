import { Suspense, lazy, useEffect, useRef, useState } from 'react';
import { address } from '../api/client';
import { listOf } from '../api/rows';
import type { Catalog, SavedQuery } from '../api/types';
import { useData } from '../api/use-data';
import { Icon } from '../components/icons';
import { Failure, Skeleton } from '../components/states';
import { CatalogTree } from '../explore/catalog-tree';
import { useQuestion, type Question } from '../explore/question';
import { Result } from '../explore/result';
import { SavedForm } from '../explore/saved-form';
import { duration } from '../format/number';
import { labelOf } from '../format/column';
import { setSearch, useLocation } from '../state/location';

const Editor = lazy(() => import('../explore/editor'));

const example = `SELECT date, platform, count(DISTINCT player_id) AS players
FROM star.fact_player_day
GROUP BY date, platform
ORDER BY date, platform`;

/** Longest text that is kept in the address. */
const longest = 4000;

/** Time that an answer takes so far, once it is worth telling. */
function Waiting({ since, onCancel }: { since: number; onCancel: () => void }): React.JSX.Element {
  const [now, setNow] = useState(since);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 200);
    return () => clearInterval(timer);
  }, []);
  return (
    <div className="card">
      <div className="state" style={{ minHeight: 160 }} role="status">
        <progress aria-label="The query runs" />
        <p>Running… {duration(Math.max(0, now - since) / 1000)}</p>
        <button type="button" className="button" onClick={onCancel}>
          <Icon name="stop" size={14} /> Cancel
        </button>
      </div>
    </div>
  );
}

export default function Explore(): React.JSX.Element {
  const { search } = useLocation();
  const catalog = useData<Catalog>(address('/catalog'));
  const saved = useData<unknown>(address('/queries'));
  const queries = listOf<SavedQuery>(saved.data, 'queries');
  const { table, question, error, since, took, run, cancel } = useQuestion();
  const chosen = search.get('query');
  const query = queries.find((each) => each.name === chosen);
  const [sql, setSql] = useState(search.get('sql') ?? example);
  const started = useRef(false);

  const ask = (next: Question): void => {
    run(next);
    if (next.kind === 'sql') {
      setSearch(
        { sql: next.sql.length <= longest ? next.sql : null, query: null },
        { replace: true },
      );
    }
  };
  const pickSql = (text: string): void => {
    setSql(text);
    setSearch({ query: null });
  };

  // A link to a query shows its answer.
  useEffect(() => {
    const linked = search.get('sql');
    if (started.current || linked === null || chosen !== null) return;
    started.current = true;
    run({ kind: 'sql', sql: linked });
  }, [search, chosen, run]);

  const ours =
    question !== null &&
    (query === undefined
      ? question.kind === 'sql'
      : question.kind === 'saved' && question.name === query.name);
  return (
    <div className="explore">
      <div>
        <section className="card" aria-labelledby="saved-queries">
          <header className="card-head">
            <h2 id="saved-queries">Saved queries</h2>
          </header>
          <div className="card-body">
            {saved.data === undefined ? (
              saved.error === undefined ? (
                <Skeleton height={200} />
              ) : (
                <Failure error={saved.error} retry={saved.retry} />
              )
            ) : (
              <div className="side-list">
                <button
                  type="button"
                  aria-pressed={query === undefined}
                  onClick={() => setSearch({ query: null })}
                >
                  SQL of your own
                </button>
                {queries.map((each) => (
                  <button
                    key={each.name}
                    type="button"
                    aria-pressed={each.name === chosen}
                    onClick={() => setSearch({ query: each.name })}
                  >
                    {each.title ?? labelOf(each.name)}
                  </button>
                ))}
              </div>
            )}
          </div>
        </section>
        <section className="card" aria-labelledby="tables">
          <header className="card-head">
            <h2 id="tables">Tables</h2>
          </header>
          <div className="card-body">
            {catalog.data === undefined ? (
              catalog.error === undefined ? (
                <Skeleton height={260} />
              ) : (
                <Failure error={catalog.error} retry={catalog.retry} />
              )
            ) : (
              <CatalogTree catalog={catalog.data} onPick={pickSql} />
            )}
          </div>
        </section>
      </div>
      <div>
        {query === undefined ? (
          <>
            <Suspense fallback={<div className="editor" />}>
              <Editor
                text={sql}
                catalog={catalog.data}
                onChange={setSql}
                onRun={() => ask({ kind: 'sql', sql })}
              />
            </Suspense>
            <div className="editor-bar">
              <button
                type="button"
                className="button primary"
                disabled={since !== null}
                onClick={() => ask({ kind: 'sql', sql })}
              >
                <Icon name="play" size={14} /> Run
              </button>
              <span className="hint">
                Ctrl+Enter runs, Ctrl+Space completes. Queries only read.
              </span>
            </div>
          </>
        ) : (
          <SavedForm
            key={query.name}
            query={query}
            given={Object.fromEntries(search)}
            busy={since !== null}
            onRun={(parameters) => ask({ kind: 'saved', name: query.name, parameters })}
            onEdit={pickSql}
          />
        )}
        {since !== null ? (
          <Waiting since={since} onCancel={cancel} />
        ) : error !== null ? (
          <section className="card" aria-label="Error">
            <Failure error={error} />
          </section>
        ) : table !== null && question !== null && ours ? (
          <Result
            table={table}
            question={question}
            took={took}
            chart={query?.chart ?? table.meta?.chart}
          />
        ) : null}
      </div>
    </div>
  );
}
