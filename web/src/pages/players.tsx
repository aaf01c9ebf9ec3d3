import { useEffect, useState } from 'react';
import { address, getJson, ApiError } from '../api/client';
import { textOf } from '../api/rows';
import type { Cell, Column, Row, Table } from '../api/types';
import { useData } from '../api/use-data';
import { Card } from '../components/card';
import { DataTable } from '../components/data-table';
import { Definition } from '../components/definition';
import { Icon } from '../components/icons';
import { Link } from '../components/link';
import { Empty, Failure, Skeleton } from '../components/states';
import { formatCell, labelOf } from '../format/column';
import { countryName } from '../format/country';
import { ago, clockTime, longDay } from '../format/time';
import { hrefOf, setSearch, useLocation } from '../state/location';

function useDebounced(value: string, wait: number): string {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), wait);
    return () => clearTimeout(timer);
  }, [value, wait]);
  return settled;
}

function Search(): React.JSX.Element {
  const { search } = useLocation();
  const [text, setText] = useState(search.get('search') ?? '');
  const settled = useDebounced(text.trim(), 200);
  const answer = useData<Table>(settled === '' ? null : address('/players', { search: settled }));
  useEffect(() => {
    if (settled !== (search.get('search') ?? '')) setSearch({ search: settled }, { replace: true });
  }, [settled, search]);
  return (
    <>
      <label className="search-field">
        <Icon name="search" />
        <span className="visually-hidden">Search players</span>
        <input
          type="search"
          value={text}
          autoComplete="off"
          spellCheck={false}
          placeholder="Beginning of a player’s name or identifier"
          onChange={(event) => setText(event.target.value)}
        />
      </label>
      {settled === '' ? (
        <Empty height={280}>Type the beginning of a player’s name or identifier.</Empty>
      ) : answer.error !== undefined ? (
        <Failure error={answer.error} retry={answer.retry} height={280} />
      ) : answer.data === undefined ? (
        <Skeleton height={280} />
      ) : answer.data.rows.length === 0 ? (
        <Empty height={280}>No player’s name or identifier begins with “{settled}”.</Empty>
      ) : (
        <section className="card" aria-label="Players found">
          <div className="card-body">
            <DataTable
              label="Players found"
              columns={answer.data.columns}
              rows={answer.data.rows}
              render={(row, column, cell) => {
                if (column !== 'player_id' && column !== 'display_name') return undefined;
                const at = answer.data?.columns.findIndex((each) => each.name === 'player_id') ?? 0;
                const id = textOf(row[at]);
                return cell === null ? undefined : (
                  <Link href={hrefOf('/players', search, { id })}>{textOf(cell)}</Link>
                );
              }}
            />
          </div>
        </section>
      )}
    </>
  );
}

/** A player's row of dim_player, which is missing while only the hot store knows them. */
interface Known {
  player_id: string;
  profile: Row | null;
  columns: Column[];
  first_event_at: string | null;
  last_event_at: string | null;
}

interface TimelinePage {
  events: Row[];
  next_cursor: string | null;
}

function Profile({ known, id }: { known: Known; id: string }): React.JSX.Element {
  const profile = known.profile ?? {
    first_event_at: known.first_event_at,
    last_event_at: known.last_event_at,
  };
  const facts = Object.entries(profile).filter(
    ([name, value]) => value !== null && name !== 'player_id' && name !== 'display_name',
  );
  const name = textOf(known.profile?.display_name);
  return (
    <section className="card" aria-labelledby="player-name">
      <header className="card-head">
        <div className="card-title">
          <h2 id="player-name" className="player-name">
            {name === '' ? id : name}
          </h2>
          <p className="mono">{id}</p>
        </div>
      </header>
      <div className="card-body">
        <dl className="facts">
          {facts.map(([column, value]) => (
            <div key={column}>
              <dt>
                <Definition
                  text={known.columns.find((each) => each.name === column)?.description ?? null}
                >
                  <span>{labelOf(column)}</span>
                </Definition>
              </dt>
              <dd>
                {column.endsWith('country')
                  ? countryName(textOf(value))
                  : formatCell(
                      value,
                      known.columns.find((each) => each.name === column) ?? {
                        name: column,
                        type: 'text',
                      },
                    )}
              </dd>
            </div>
          ))}
        </dl>
      </div>
    </section>
  );
}

const eventTone: Record<string, string> = {
  purchase: 'good',
  client_error: 'bad',
  session_start: 'session',
  session_end: 'session',
};

function Properties({ document }: { document: Cell | undefined }): React.JSX.Element | null {
  if (typeof document !== 'object' || document === null) return null;
  const properties = (document as { properties?: unknown }).properties;
  if (typeof properties !== 'object' || properties === null) return null;
  return (
    <span className="properties">
      {Object.entries(properties).map(([name, each]) => (
        <span key={name}>
          <i>{name}</i> {typeof each === 'object' ? JSON.stringify(each) : String(each)}
        </span>
      ))}
    </span>
  );
}

function Timeline({ id }: { id: string }): React.JSX.Element {
  const path = `/players/${encodeURIComponent(id)}/timeline`;
  const first = useData<TimelinePage>(address(path, { limit: 50 }));
  const [more, setMore] = useState<TimelinePage[]>([]);
  const [busy, setBusy] = useState(false);
  const [failed, setFailed] = useState<ApiError | null>(null);
  const pages = first.data === undefined ? [] : [first.data, ...more];
  const cursor = pages.at(-1)?.next_cursor ?? null;
  const events = pages.flatMap((page) => page.events);

  const loadMore = async (): Promise<void> => {
    setBusy(true);
    setFailed(null);
    try {
      const page = (await getJson(address(path, { limit: 50, cursor }))) as TimelinePage;
      setMore((before) => [...before, page]);
    } catch (error) {
      if (error instanceof ApiError) setFailed(error);
    }
    setBusy(false);
  };

  return (
    <Card
      title="Timeline"
      subtitle="Every event, the latest first"
      height={400}
      loading={first.loading && first.data === undefined}
      error={first.data === undefined ? first.error : undefined}
      retry={first.retry}
      empty={
        first.data !== undefined && events.length === 0
          ? 'There are no events of this player.'
          : undefined
      }
    >
      <ol className="timeline">
        {events.map((event, index) => {
          const time = textOf(event.event_time);
          const type = textOf(event.event_type);
          const day = time.slice(0, 10);
          const begins = textOf(events[index - 1]?.event_time).slice(0, 10) !== day;
          return (
            <li key={textOf(event.event_id) || index}>
              {begins && <h3>{longDay(day)}</h3>}
              <div className={`event ${eventTone[type] ?? ''}`}>
                <time dateTime={time}>{clockTime(time)}</time>
                <div>
                  <b>{labelOf(type)}</b> <Properties document={event.document} />
                </div>
              </div>
            </li>
          );
        })}
      </ol>
      {failed !== null && <Failure error={failed} />}
      {cursor !== null && (
        <button type="button" className="button" disabled={busy} onClick={() => void loadMore()}>
          {busy ? 'Loading…' : 'Earlier events'}
        </button>
      )}
    </Card>
  );
}

function Player({ id }: { id: string }): React.JSX.Element {
  const { search } = useLocation();
  const answer = useData<Known>(address(`/players/${encodeURIComponent(id)}`));
  const last = answer.data?.last_event_at ?? '';
  return (
    <>
      <p className="lead">
        <Link href={hrefOf('/players', search)}>Search</Link> ›{' '}
        {textOf(answer.data?.profile?.display_name) || id}
        {last !== '' && <span className="badge">last seen {ago(last)}</span>}
      </p>
      <div className="split">
        {answer.data === undefined ? (
          answer.error === undefined ? (
            <Skeleton height={400} />
          ) : (
            <Failure error={answer.error} retry={answer.retry} height={400} />
          )
        ) : (
          <Profile known={answer.data} id={id} />
        )}
        <Timeline key={id} id={id} />
      </div>
    </>
  );
}

export default function Players(): React.JSX.Element {
  // In the query, as an identifier may have any character, also those that paths have a meaning for.
  const id = useLocation().search.get('id') ?? '';
  return id === '' ? <Search /> : <Player id={id} />;
}
