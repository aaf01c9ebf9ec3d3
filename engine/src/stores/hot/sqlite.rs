//! The embedded hot store: one SQLite table, appended to, with two narrow indexes.
//!
//! Documents are appended batch by batch, those of one player side by side, so that an insert
//! dirties few pages and a timeline is read in few runs. The unique index holds event identifiers
//! only; where a player's documents lie is kept per batch, not per document. Canonical UUIDs are
//! stored as 16 bytes, any other identifier as its text, and the two cannot collide because their
//! SQLite types differ.

mod event_id;
mod prune;
mod scan;

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{AsArray, StringArray};
use arrow::datatypes::TimestampMicrosecondType;
use async_trait::async_trait;
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior};

use event_id::{StoredId, format_event_id};

use super::{
    HotBatch, HotConflict, HotEvent, HotFilter, HotInserted, HotPage, HotRow, HotStore, Owner,
    PhysicalKey, TakeOver,
};
use crate::clock::now_millis;
use crate::failpoint;
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use crate::stores::sqlite::SqliteDatabase;

/// Version of the tables; a change of them raises it.
const VERSION: i32 = 1;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS topics (
    topic_id INTEGER PRIMARY KEY,
    topic    TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS event_types (
    event_type_id INTEGER PRIMARY KEY,
    event_type    TEXT NOT NULL UNIQUE
);
CREATE TABLE IF NOT EXISTS events (
    row_id        INTEGER PRIMARY KEY,
    event_id      NOT NULL,           -- 16 bytes if a canonical UUID, else text
    topic_id      INTEGER NOT NULL,
    partition     INTEGER NOT NULL,
    \"offset\"    INTEGER NOT NULL,
    epoch         INTEGER NOT NULL,   -- of the latest claim under which the record was read
    event_type_id INTEGER NOT NULL,
    event_time    INTEGER NOT NULL,   -- microseconds since 1970, UTC
    player_id     TEXT NOT NULL,
    document      TEXT NOT NULL       -- the raw JSON
);
CREATE UNIQUE INDEX IF NOT EXISTS events_by_id ON events (event_id);
-- Runs of rows of one player, written by one batch.
CREATE TABLE IF NOT EXISTS player_runs (
    player_id TEXT NOT NULL,
    first_row INTEGER NOT NULL,
    last_row  INTEGER NOT NULL,
    PRIMARY KEY (player_id, first_row)
) WITHOUT ROWID;
-- Runs of rows that one batch inserted.
CREATE TABLE IF NOT EXISTS batches (
    first_row   INTEGER PRIMARY KEY,
    last_row    INTEGER NOT NULL,
    inserted_at INTEGER NOT NULL      -- milliseconds since 1970
);
CREATE VIEW IF NOT EXISTS documents AS
    SELECT CASE typeof(event_id) WHEN 'blob' THEN lower(
               substr(hex(event_id), 1, 8) || '-' || substr(hex(event_id), 9, 4) || '-' ||
               substr(hex(event_id), 13, 4) || '-' || substr(hex(event_id), 17, 4) || '-' ||
               substr(hex(event_id), 21)) ELSE event_id END AS event_id,
           event_type, datetime(event_time / 1000000, 'unixepoch') AS event_time, player_id,
           topic, partition, \"offset\", document
    FROM events JOIN topics USING (topic_id) JOIN event_types USING (event_type_id);
";

/// The hot store on SQLite.
#[derive(Clone)]
pub struct SqliteHotStore {
    database: SqliteDatabase,
}

impl SqliteHotStore {
    /// Opens the store at `path` and creates its tables.
    pub fn open(path: &Path) -> StoreResult<Self> {
        let database = SqliteDatabase::open("hot store", path, VERSION)?;
        let connection = database.connect()?;
        connection
            .execute_batch(SCHEMA)
            .map_err(|error| database.error("create its tables", error))?;
        Ok(Self { database })
    }
}

#[async_trait]
impl HotStore for SqliteHotStore {
    async fn insert(&self, batch: Arc<HotBatch>) -> StoreResult<HotInserted> {
        let database = self.database.clone();
        let conflicts = self
            .database
            .with_writer("insert events", move |connection| {
                insert_batch(connection, &batch)
                    .map_err(|error| database.error("insert events", error))?
                    .map_err(|error| {
                        StoreError::new(
                            database.store(),
                            "insert events",
                            StoreErrorKind::Unavailable,
                            error,
                        )
                    })
            })
            .await?;
        // A table without constraints of its own takes every document.
        Ok(HotInserted { conflicts, refused: Vec::new() })
    }

    async fn take_over(&self, documents: Vec<TakeOver>) -> StoreResult<Vec<bool>> {
        let database = self.database.clone();
        self.database
            .with_writer("take events over", move |connection| {
                take_over(connection, &documents)
                    .map_err(|error| database.error("take events over", error))
            })
            .await
    }

    async fn prune(&self, before: i64) -> StoreResult<u64> {
        let mut removed = 0;
        loop {
            let database = self.database.clone();
            let some = self
                .database
                .with_writer("forget old events", move |connection| {
                    prune::prune_some(connection, before)
                        .map_err(|error| database.error("forget old events", error))
                })
                .await?;
            match some {
                Some(rows) => removed += rows,
                None => return Ok(removed),
            }
        }
    }

    async fn player_timeline(&self, player_id: &str, limit: usize) -> StoreResult<Vec<HotEvent>> {
        let player_id = player_id.to_owned();
        self.database
            .read("read a player's events", move |connection| {
                read_timeline(connection, &player_id, limit)
            })
            .await
    }

    async fn scan(&self, filter: &HotFilter, after: Option<String>) -> StoreResult<HotPage> {
        let filter = filter.clone();
        self.database
            .read("scan events", move |connection| {
                scan::read_page(connection, &filter, after.as_deref())
            })
            .await
    }

    async fn missing(&self, event_ids: Vec<String>) -> StoreResult<Vec<String>> {
        self.database
            .read("look events up", move |connection| {
                let mut known = connection.prepare("SELECT 1 FROM events WHERE event_id = ?1")?;
                let mut missing = Vec::new();
                for event_id in event_ids {
                    if !known.exists([StoredId::new(&event_id)])? {
                        missing.push(event_id);
                    }
                }
                Ok(missing)
            })
            .await
    }

    async fn count(&self) -> StoreResult<u64> {
        self.database
            .read("count events", |connection| {
                connection.query_row("SELECT count(*) FROM events", [], |row| row.get(0))
            })
            .await
    }

    async fn ask(&self) -> StoreResult<()> {
        // Of an event that nobody has sent.
        self.missing(vec![String::new()]).await.map(|_| ())
    }

    fn name(&self) -> String {
        self.database.store().to_owned()
    }
}

/// The envelope columns of one table that an insert needs.
struct EnvelopeColumns<'a> {
    event_id: &'a StringArray,
    event_time: &'a [i64],
    player_id: &'a StringArray,
    event_type_id: i64,
}

/// An SQLite error outside, an injected failure inside.
type InsertResult = rusqlite::Result<Result<Vec<HotConflict>, failpoint::InjectedFailure>>;

fn insert_batch(connection: &mut Connection, batch: &HotBatch) -> InsertResult {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let topic_id = intern(&transaction, "topics", "topic", &batch.topic)?;
    let mut tables = Vec::with_capacity(batch.tables.len());
    for table in &batch.tables {
        tables.push(EnvelopeColumns {
            event_id: table.rows.column(0).as_string::<i32>(),
            event_time: table.rows.column(1).as_primitive::<TimestampMicrosecondType>().values(),
            player_id: table.rows.column(2).as_string::<i32>(),
            event_type_id: intern(&transaction, "event_types", "event_type", &table.event_type)?,
        });
    }
    let conflicts = insert_rows(&transaction, batch, topic_id, &tables)?;
    if let Err(failure) = failpoint::pass("hot.in_insert") {
        return Ok(Err(failure));
    }
    transaction.commit()?;
    Ok(Ok(conflicts))
}

/// Inserts the rows player by player, and notes where each player's lie.
fn insert_rows(
    transaction: &Transaction<'_>,
    batch: &HotBatch,
    topic_id: i64,
    tables: &[EnvelopeColumns<'_>],
) -> rusqlite::Result<Vec<HotConflict>> {
    let player_of = |row: &HotRow| tables[row.table as usize].player_id.value(row.row as usize);
    let mut order: Vec<u32> = (0..batch.rows.len() as u32).collect();
    // Stable, so that a player's records stay in their order.
    order.sort_by(|left, right| {
        player_of(&batch.rows[*left as usize]).cmp(player_of(&batch.rows[*right as usize]))
    });
    let mut insert = transaction.prepare_cached(
        "INSERT INTO events (event_id, topic_id, partition, \"offset\", epoch, event_type_id, \
         event_time, player_id, document) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) \
         ON CONFLICT (event_id) DO NOTHING",
    )?;
    let mut insert_run = transaction.prepare_cached(
        "INSERT INTO player_runs (player_id, first_row, last_row) VALUES (?1, ?2, ?3)",
    )?;
    let mut conflicts = Vec::new();
    let mut run: Option<(&str, i64, i64)> = None;
    // One transaction numbers its rows without a gap.
    let mut inserted_rows: Option<(i64, i64)> = None;
    for index in order {
        let row = &batch.rows[index as usize];
        let columns = &tables[row.table as usize];
        let at = row.row as usize;
        let event_id = columns.event_id.value(at);
        let player_id = columns.player_id.value(at);
        let document = &batch.data[row.start as usize..row.start as usize + row.length as usize];
        let inserted = insert.execute((
            StoredId::new(event_id),
            topic_id,
            row.partition,
            row.offset,
            row.epoch,
            columns.event_type_id,
            columns.event_time[at],
            player_id,
            ToSqlOutput::Borrowed(ValueRef::Text(document)),
        ))?;
        if inserted == 1 {
            let row_id = transaction.last_insert_rowid();
            inserted_rows = Some((inserted_rows.map_or(row_id, |(first, _)| first), row_id));
            match &mut run {
                Some((player, _, last)) if *player == player_id && *last + 1 == row_id => {
                    *last = row_id;
                }
                _ => {
                    if let Some(ended) = run.replace((player_id, row_id, row_id)) {
                        insert_run.execute(ended)?;
                    }
                }
            }
        } else if let Some(stored) = stored_owner(transaction, event_id)? {
            let is_own = stored.key.offset == row.offset
                && stored.key.partition == row.partition
                && stored.key.topic == batch.topic;
            if !is_own {
                conflicts.push(HotConflict { row: index as usize, stored });
            } else if stored.epoch < row.epoch {
                raise_epoch(transaction, event_id, row.epoch)?;
            }
        }
    }
    if let Some(ended) = run {
        insert_run.execute(ended)?;
    }
    prune::note_batch(transaction, inserted_rows, now_millis())?;
    conflicts.sort_unstable_by_key(|conflict| conflict.row);
    Ok(conflicts)
}

fn stored_owner(connection: &Connection, event_id: &str) -> rusqlite::Result<Option<Owner>> {
    let mut query = connection.prepare_cached(
        "SELECT topic, partition, \"offset\", epoch FROM events JOIN topics USING (topic_id) \
         WHERE event_id = ?1",
    )?;
    query
        .query_row([StoredId::new(event_id)], |row| {
            let topic: String = row.get(0)?;
            let key =
                PhysicalKey { topic: topic.into(), partition: row.get(1)?, offset: row.get(2)? };
            Ok(Owner { key, epoch: row.get(3)? })
        })
        .optional()
}

fn raise_epoch(connection: &Connection, event_id: &str, epoch: i64) -> rusqlite::Result<()> {
    connection
        .prepare_cached("UPDATE events SET epoch = ?2 WHERE event_id = ?1")?
        .execute((StoredId::new(event_id), epoch))?;
    Ok(())
}

fn take_over(connection: &mut Connection, documents: &[TakeOver]) -> rusqlite::Result<Vec<bool>> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let mut changed = Vec::with_capacity(documents.len());
    {
        let mut topic_ids = HashMap::new();
        let mut topic_id = |topic: &Arc<str>| match topic_ids.get(topic) {
            Some(id) => Ok(*id),
            None => {
                let id = intern(&transaction, "topics", "topic", topic)?;
                topic_ids.insert(Arc::clone(topic), id);
                Ok::<i64, rusqlite::Error>(id)
            }
        };
        let mut update = transaction.prepare(
            "UPDATE events SET topic_id = ?2, partition = ?3, \"offset\" = ?4, epoch = ?5 \
             WHERE event_id = ?1 AND topic_id = ?6 AND partition = ?7 AND \"offset\" = ?8 \
             AND epoch = ?9",
        )?;
        for TakeOver { event_id, from, to } in documents {
            let updated = update.execute((
                StoredId::new(event_id),
                topic_id(&to.key.topic)?,
                to.key.partition,
                to.key.offset,
                to.epoch,
                topic_id(&from.key.topic)?,
                from.key.partition,
                from.key.offset,
                from.epoch,
            ))?;
            changed.push(updated == 1);
        }
    }
    transaction.commit()?;
    Ok(changed)
}

/// The small number that stands for `name` in a look-up table, made on first use.
fn intern(connection: &Connection, table: &str, column: &str, name: &str) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(&format!(
            "INSERT INTO {table} ({column}) VALUES (?1) ON CONFLICT DO NOTHING"
        ))?
        .execute([name])?;
    connection
        .prepare_cached(&format!("SELECT {column}_id FROM {table} WHERE {column} = ?1"))?
        .query_row([name], |row| row.get(0))
}

fn read_timeline(
    connection: &Connection,
    player_id: &str,
    limit: usize,
) -> rusqlite::Result<Vec<HotEvent>> {
    let mut query = connection.prepare(
        "SELECT event_id, event_type, event_time, topic, partition, \"offset\", document \
         FROM player_runs CROSS JOIN events ON row_id BETWEEN first_row AND last_row \
         JOIN topics USING (topic_id) JOIN event_types USING (event_type_id) \
         WHERE player_runs.player_id = ?1 ORDER BY event_time DESC, row_id DESC LIMIT ?2",
    )?;
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query.query_map((player_id, limit), |row| {
        let topic: String = row.get(3)?;
        Ok(HotEvent {
            event_id: format_event_id(row.get(0)?),
            event_type: row.get(1)?,
            event_time: row.get(2)?,
            player_id: player_id.to_owned(),
            key: PhysicalKey { topic: topic.into(), partition: row.get(4)?, offset: row.get(5)? },
            document: row.get(6)?,
        })
    })?;
    rows.collect()
}
