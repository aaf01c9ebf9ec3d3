//! A load: rows by COPY, published in one transaction.
//!
//! Rows that are merged or that replace others are **staged** in a temporary table, which ends with
//! its connection, and published by one statement. Rows that are only added go **straight** into the
//! table, in a transaction that is open from the first row to the publication: nobody sees them
//! before it, and a load that is dropped is undone. That is so for appends. Where a table is replaced
//! as a whole while it is empty, they go into a **new** one: see [`anew`].
//!
//! Publications of a model take turns by an advisory lock, which a transaction holds to its end. A
//! COMMIT whose answer is lost is looked up behind that lock, by the `commit_id` beside the progress.

mod anew;
mod merge;

use arrow::array::RecordBatch;
use async_trait::async_trait;
use uuid::Uuid;

use super::changes::{DaysSeen, latest_day, mark_added, mark_all};
use super::copy::CopyIn;
use super::lock_key;
use super::scan::send_copy;
use super::statements::{
    STAGE, create_stage, find_duplicate, preview_new, preview_staged, preview_written, star,
};
use super::tables::{existing_columns, has_same_columns};
use crate::failpoint;
use crate::stores::error::StoreResult;
use crate::stores::postgres::values::{Parameters, time};
use crate::stores::postgres::{Failure, LOCK_TIMEOUT, PostgresDatabase, Session};
use crate::stores::warehouse::key::{
    DUPLICATE_ADVICE, NULL_ADVICE, describe_key, duplicate_key, null_in_key, row_with_null_key,
};
use crate::stores::warehouse::{
    Load, LoadMode, LoadOutcome, ModelProgress, Preview, PreviewSender, Publication,
    TableDefinition,
};
use anew::NewTable;
use merge::merge;

/// A load into one table.
pub(super) struct PostgresLoad {
    database: PostgresDatabase,
    table: TableDefinition,
    /// Of the load alone: temporary tables and the open transaction are seen by it only.
    session: Session,
    way: Way,
    copy: Option<CopyIn>,
    rows_staged: u64,
    /// The model's publication that was the latest when this load began, before anything was read
    /// for it.
    begun_behind: Option<String>,
}

/// Where rows go before they are published.
enum Way {
    /// Into a temporary table.
    Staged,
    /// Into the table itself, or into a new one that takes its place, unseen.
    Straight { anew: Option<NewTable>, latest_before: Option<i32>, days: DaysSeen },
}

impl PostgresLoad {
    pub(super) async fn begin(
        database: &PostgresDatabase,
        table: &TableDefinition,
        mode: &LoadMode,
    ) -> StoreResult<Self> {
        let operation = format!("begin to load {}", table.name);
        let (session, begun_behind, way) = database
            .attempt(&operation, |session| async move {
                let latest = latest_publication(&session, &table.name).await?;
                let begun_behind = latest.map(|(_, commit_id)| commit_id);
                let way = prepare(&session, table, mode).await?;
                Ok((session, begun_behind, way))
            })
            .await?;
        Ok(Self {
            database: database.clone(),
            table: table.clone(),
            session,
            way,
            copy: None,
            rows_staged: 0,
            begun_behind,
        })
    }

    async fn copy_rows(&mut self, rows: &RecordBatch) -> Result<(), Failure> {
        if let Some(row) = row_with_null_key(&self.table, rows) {
            let what = null_in_key(&describe_key(&self.table, rows, row));
            return Err(Failure::Invalid { what, advice: NULL_ADVICE });
        }
        let (target, is_new) = match &mut self.way {
            Way::Staged => (STAGE.to_owned(), false),
            Way::Straight { anew, days, .. } => {
                days.add(rows);
                match anew {
                    Some(new) => (new.name(), true),
                    None => (star(&self.table.name), false),
                }
            }
        };
        let copy = match &mut self.copy {
            Some(copy) => copy,
            None => {
                let begun = CopyIn::begin(&self.session, &target, &self.table, is_new).await?;
                self.copy.insert(begun)
            }
        };
        copy.write(rows).await
    }

    /// Sends the rows of a preview. What nobody wants to see to its end breaks the load.
    async fn send_preview(
        &mut self,
        preview: &Preview,
        rows: &PreviewSender,
    ) -> Result<(), Failure> {
        if let Some(copy) = self.copy.take() {
            self.database.watch(copy.finish()).await?;
        }
        let sql = match &self.way {
            Way::Staged => {
                // So that the merge is planned for as many rows as there are.
                let analyze = format!("ANALYZE {STAGE}");
                self.database
                    .watch(async { Ok(self.session.batch_execute(&analyze).await?) })
                    .await?;
                preview_staged(&self.table, preview)
            }
            Way::Straight { anew: Some(new), .. } => preview_new(&new.name(), preview),
            Way::Straight { anew: None, days, .. } => {
                let partition = self.table.partition.as_deref();
                let written = partition.map(|partition| days.of(partition)).unwrap_or_default();
                preview_written(&self.table, preview, &written)
            }
        };
        let copy = format!("COPY ({sql}) TO STDOUT (FORMAT binary)");
        let begun = async { Ok(self.session.copy_out(copy.as_str()).await?) };
        let stream = self.database.watch(begun).await?;
        send_copy(&self.database, stream, &preview.schema(&self.table), rows).await?;
        Ok(())
    }

    /// Everything but the COMMIT.
    async fn write_publication(
        &mut self,
        publication: &Publication,
        commit_id: &str,
    ) -> Result<LoadOutcome, Failure> {
        if let Some(copy) = self.copy.take() {
            copy.finish().await?;
        }
        let (client, table) = (&self.session, &self.table);
        let watches = publication.watches.as_slice();
        let stale_marks = match &self.way {
            Way::Straight { anew, latest_before, days } => {
                self.check_fence(publication).await?;
                if let Some(new) = anew {
                    new.build_indexes(client).await?;
                }
                lock_stale_marks(client).await?;
                // Before a first load there is nothing to compare with: all that is downstream is stale.
                match publication.expected {
                    None => mark_all(client, table, watches).await?,
                    Some(_) => {
                        let rows = self.rows_staged;
                        mark_added(client, table, watches, days, rows, *latest_before).await?
                    }
                }
            }
            Way::Staged => {
                // So that the merge is planned for as many rows as there are.
                client.batch_execute(&format!("ANALYZE {STAGE}")).await?;
                client.batch_execute("BEGIN").await?;
                lock_model(client, &publication.progress.model).await?;
                self.check_fence(publication).await?;
                merge(client, table, publication).await?
            }
        };
        save_progress(client, publication, commit_id).await?;
        if let Way::Straight { anew: Some(new), .. } = &self.way {
            // The last step: from here on readers of the table wait for the COMMIT.
            new.take_place(client, table).await?;
        }
        Ok(LoadOutcome { rows_staged: self.rows_staged, stale_marks })
    }

    /// Nobody may have published the model since the load began: two rebuilds at the same progress
    /// differ in when they read.
    async fn check_fence(&self, publication: &Publication) -> Result<(), Failure> {
        let model = &publication.progress.model;
        let (current, commit_id) = match latest_publication(&self.session, model).await? {
            Some((sequence, commit_id)) => (Some(sequence), Some(commit_id)),
            None => (None, None),
        };
        let is_known = commit_id == self.begun_behind || *model != self.table.name;
        if current == publication.expected && is_known {
            return Ok(());
        }
        Err(Failure::Fenced {
            what: format!(
                "another run has loaded {model} since this one began (its progress is {current:?}, \
                 expected {:?})",
                publication.expected
            ),
            advice: "nothing was written; let one run end before the next begins",
        })
    }

    /// Says which row is there twice, if that is what the server has refused.
    async fn explain(&mut self, failure: Failure) -> Failure {
        let found = match failure.code() {
            // ON CONFLICT has met a row that it has just changed.
            "21000" => {
                let database = self.database.clone();
                database.watch(self.find_duplicate()).await.ok().flatten()
            }
            "23505" => failure.server_error().and_then(|error| error.detail()).map(key_in_words),
            _ => None,
        };
        match found {
            Some(key) => Failure::Invalid { what: duplicate_key(&key), advice: DUPLICATE_ADVICE },
            None => failure,
        }
    }

    async fn find_duplicate(&mut self) -> Result<Option<String>, Failure> {
        self.session.batch_execute("ROLLBACK").await?;
        match self.session.query_opt(&find_duplicate(&self.table), &[]).await? {
            Some(row) => Ok(Some(row.try_get(0)?)),
            None => Ok(None),
        }
    }
}

#[async_trait]
impl Load for PostgresLoad {
    async fn write(&mut self, rows: RecordBatch) -> StoreResult<()> {
        let database = self.database.clone();
        self.rows_staged += rows.num_rows() as u64;
        match database.watch(self.copy_rows(&rows)).await {
            Ok(()) => Ok(()),
            Err(failure) => {
                Err(database.error(&format!("stage rows of {}", self.table.name), failure))
            }
        }
    }

    async fn preview(&mut self, preview: &Preview, rows: PreviewSender) -> StoreResult<()> {
        match self.send_preview(preview, &rows).await {
            Ok(()) => Ok(()),
            Err(failure) => {
                let failure = self.explain(failure).await;
                let operation = format!("read the new rows of {}", self.table.name);
                Err(self.database.error(&operation, failure))
            }
        }
    }

    async fn publish(mut self: Box<Self>, publication: Publication) -> StoreResult<LoadOutcome> {
        let database = self.database.clone();
        let operation = format!("publish {}", self.table.name);
        let commit_id = Uuid::new_v4().to_string();
        let written = database.watch(self.write_publication(&publication, &commit_id)).await;
        let outcome = match written {
            Ok(outcome) => outcome,
            Err(failure) => {
                let failure = self.explain(failure).await;
                return Err(database.error(&operation, failure));
            }
        };
        failpoint::pass("etl.before_publish")
            .map_err(|failure| database.error(&operation, failure.into()))?;
        let committed = async { Ok(self.session.batch_execute("COMMIT").await?) };
        if let Err(failure) = database.watch(committed).await {
            let model = publication.progress.model.clone();
            // The connection must not be held: its transaction may still be under way.
            drop(self);
            let is_open = failure.leaves_commit_open();
            if !is_open || !was_published(&database, &operation, &model, &commit_id).await? {
                return Err(database.error(&operation, failure));
            }
        }
        failpoint::pass("etl.after_publish")
            .map_err(|failure| database.error(&operation, failure.into()))?;
        Ok(outcome)
    }
}

/// Decides where the rows go, and makes the place.
async fn prepare(
    client: &Session,
    table: &TableDefinition,
    mode: &LoadMode,
) -> Result<Way, Failure> {
    if *mode == LoadMode::Append || *mode == LoadMode::ReplaceAll {
        client.batch_execute("BEGIN").await?;
        lock_model(client, &table.name).await?;
        let anew = match mode {
            LoadMode::ReplaceAll if is_empty(client, table).await? => {
                Some(NewTable::create(client, table).await?)
            }
            _ => None,
        };
        if *mode == LoadMode::Append || anew.is_some() {
            // Rows may be long in coming.
            client.batch_execute("SET LOCAL idle_in_transaction_session_timeout TO 0").await?;
            let latest_before = latest_day(client, table).await?;
            return Ok(Way::Straight { anew, latest_before, days: DaysSeen::default() });
        }
        client.batch_execute("ROLLBACK").await?;
    }
    client.batch_execute("SET temp_buffers TO '64MB'").await?;
    client.batch_execute(&create_stage(table)).await?;
    Ok(Way::Staged)
}

/// Whether the table is as the model wants it, and without a row.
async fn is_empty(client: &Session, table: &TableDefinition) -> Result<bool, Failure> {
    let existing = existing_columns(client, &table.name).await?;
    if !has_same_columns(table, &existing) {
        return Ok(false);
    }
    let sql = format!("SELECT NOT EXISTS (SELECT FROM {})", star(&table.name));
    Ok(client.query_one(&sql, &[]).await?.try_get(0)?)
}

async fn lock_model(client: &Session, model: &str) -> Result<(), Failure> {
    let parameters: &Parameters<'_> = &[&lock_key("model", model)];
    client.execute("SELECT pg_advisory_xact_lock($1)", parameters).await?;
    Ok(())
}

/// Marks are numbered as they come, and a run that has mended some forgets all up to the last that
/// it knew. So whoever marks holds this lock to its end: none becomes visible behind a later one.
async fn lock_stale_marks(client: &Session) -> Result<(), Failure> {
    // Whoever holds it compares all rows of a load: that may take longer than a lock is waited for
    // otherwise. One that stands still is ended by the server, and a server that is gone is noticed.
    client.batch_execute("SET LOCAL lock_timeout TO 0").await?;
    let parameters: &Parameters<'_> = &[&lock_key("table", "stale")];
    client.execute("SELECT pg_advisory_xact_lock($1)", parameters).await?;
    client.batch_execute(&format!("SET LOCAL lock_timeout TO '{LOCK_TIMEOUT}'")).await?;
    Ok(())
}

/// How far the model was when it was published last, and by whom.
async fn latest_publication(
    client: &Session,
    model: &str,
) -> Result<Option<(i64, String)>, Failure> {
    let parameters: &Parameters<'_> = &[&model];
    let row = client
        .query_opt(
            "SELECT ledger_sequence, commit_id::text FROM questlake.models WHERE model = $1",
            parameters,
        )
        .await?;
    match row {
        Some(row) => Ok(Some((row.try_get(0)?, row.try_get(1)?))),
        None => Ok(None),
    }
}

async fn save_progress(
    client: &Session,
    publication: &Publication,
    commit_id: &str,
) -> Result<(), Failure> {
    let ModelProgress { model, ledger_sequence, definition_hash, updated_at } =
        &publication.progress;
    let parameters: &Parameters<'_> =
        &[model, ledger_sequence, &definition_hash.cast_signed(), &time(*updated_at), &commit_id];
    client
        .execute(
            "INSERT INTO questlake.models \
             (model, ledger_sequence, definition_hash, updated_at, commit_id) \
             VALUES ($1, $2, $3, $4, $5::text::uuid) ON CONFLICT (model) DO UPDATE SET \
             ledger_sequence = excluded.ledger_sequence, \
             definition_hash = excluded.definition_hash, \
             updated_at = excluded.updated_at, commit_id = excluded.commit_id",
            parameters,
        )
        .await?;
    let parameters: &Parameters<'_> = &[model, &publication.mended_through];
    client
        .execute("DELETE FROM questlake.stale WHERE consumer = $1 AND sequence <= $2", parameters)
        .await?;
    Ok(())
}

/// Whether a publication took place whose answer was lost.
async fn was_published(
    database: &PostgresDatabase,
    operation: &str,
    model: &str,
    commit_id: &str,
) -> StoreResult<bool> {
    database
        .attempt(operation, |session| async move {
            session.batch_execute("BEGIN").await?;
            // Until the transaction that we have lost sight of has ended.
            lock_model(&session, model).await?;
            let parameters: &Parameters<'_> = &[&model, &commit_id];
            let row = session
                .query_opt(
                    "SELECT FROM questlake.models \
                     WHERE model = $1 AND commit_id = $2::text::uuid",
                    parameters,
                )
                .await?;
            session.batch_execute("COMMIT").await?;
            session.end(row.is_some())
        })
        .await
}

/// The key in the server's words `Key (a, b)=(1, 2) already exists.` as `a = 1, b = 2`.
fn key_in_words(detail: &str) -> String {
    let whole = || detail.trim_end_matches('.').to_owned();
    let Some(rest) = detail.strip_prefix("Key (") else { return whole() };
    let Some((names, rest)) = rest.split_once(")=(") else { return whole() };
    let Some((values, _)) = rest.rsplit_once(')') else { return whole() };
    let names: Vec<&str> = names.split(", ").collect();
    let values: Vec<&str> = values.splitn(names.len(), ", ").collect();
    if names.len() != values.len() {
        return whole();
    }
    let parts: Vec<String> =
        names.iter().zip(&values).map(|(name, value)| format!("{name} = {value}")).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_told_as_everywhere() {
        assert_eq!(key_in_words("Key (player_id)=(q) already exists."), "player_id = q");
        assert_eq!(
            key_in_words("Key (day, name)=(2026-01-01, a, b) already exists."),
            "day = 2026-01-01, name = a, b"
        );
        assert_eq!(key_in_words("Something else."), "Something else");
    }
}
