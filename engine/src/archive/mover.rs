//! Moves rows from landing to the archive.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::execution::memory_pool::FairSpillPool;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::logical_expr::SortExpr;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::prelude::{DataFrame, SessionContext, col};
use futures::{StreamExt, TryStreamExt};

use super::order::portions as portions_of;
use super::{ArchiveError, ArchiveReport, MovedTable, Observer, date_text};
use crate::catalog::events::{EventSlice, EventsTable};
use crate::catalog::runtime::{session_config, within_pool};
use crate::pipeline::Engine;
use crate::project::contract::{EventContract, envelope};
use crate::stores::archive::{DayDigests, digest_rows};
use crate::stores::ledger::SegmentEntry;
use crate::stores::ledger::archived::{ArchiveCommit, ArchiveState};

/// Portions of rows that could be in memory at once: sorting one takes two or three times its size,
/// and landing may be compressed.
const PORTIONS_IN_MEMORY: usize = 12;

/// Least memory of a thread that sorts.
const MEMORY_PER_PARTITION: usize = 64 << 20;

impl Engine {
    /// Moves what every model has read, as far as all days are earlier than `before`.
    pub(super) async fn move_events(
        &self,
        before: i32,
        report: &mut ArchiveReport,
        observer: Observer<'_>,
    ) -> Result<(), ArchiveError> {
        let ledger = &self.stores.ledger;
        let latest = ledger.latest_sequence().await?;
        let (readable, behind) = self.read_by_all(latest).await?;
        report.waiting = latest - readable;
        report.waiting_for = behind.filter(|_| report.waiting > 0);
        loop {
            let state = ledger.archive_state().await?;
            // Commits move in their order, so that one number says what is where.
            let segments = ledger.segments(state.through, readable).await?;
            let old = segments.iter().take_while(|entry| newest_day(entry) < Some(before)).last();
            let wanted = old.map_or(state.through, |entry| entry.sequence);
            let through = ledger.begin_archive(wanted).await?;
            if through > state.through {
                self.move_through(&state, through, report, observer).await?;
            }
            // A move that was cut off before ends where it was to end; what is old by now follows.
            if through >= wanted {
                report.through = through;
                let left = segments.iter().filter(|entry| entry.sequence > through).count();
                report.young = i64::try_from(left).unwrap_or(i64::MAX);
                return Ok(());
            }
        }
    }

    /// The latest commit that every model has read, and the model that is furthest behind. A model
    /// that was never loaded reads all history, wherever it lies; but while none was loaded, nothing
    /// moves.
    async fn read_by_all(&self, latest: i64) -> Result<(i64, Option<String>), ArchiveError> {
        let progress = self.stores.warehouse.progress().await?;
        let mut least: Option<(i64, String)> = None;
        let mut readers = 0;
        for model in self.project.models.iter().filter(|model| model.strategy.reads_events()) {
            readers += 1;
            let Some(known) = progress.iter().find(|known| known.model == model.name()) else {
                continue;
            };
            if least.as_ref().is_none_or(|(sequence, _)| known.ledger_sequence < *sequence) {
                least = Some((known.ledger_sequence, model.name().to_owned()));
            }
        }
        Ok(match least {
            Some((sequence, model)) => (sequence, Some(model)),
            None if readers == 0 => (latest, None),
            None => (0, self.project.models.first().map(|model| model.name().to_owned())),
        })
    }

    async fn move_through(
        &self,
        state: &ArchiveState,
        through: i64,
        report: &mut ArchiveReport,
        observer: Observer<'_>,
    ) -> Result<(), ArchiveError> {
        let segments: Arc<[SegmentEntry]> =
            self.stores.ledger.segments(state.through, through).await?.into();
        let mut commit =
            ArchiveCommit { after: state.through, through, ..ArchiveCommit::default() };
        for (event_type, expected) in landed_rows(&segments) {
            let contract = self
                .project
                .contracts
                .iter()
                .find(|contract| contract.event_type == event_type)
                .ok_or_else(|| ArchiveError::MissingContract { event_type: event_type.clone() })?;
            let table = self.move_table(contract, state, through, &segments, &expected).await?;
            let moved = MovedTable {
                event_type: event_type.clone(),
                rows: table.1.values().map(|day| day.rows).sum(),
                days: table.1.keys().copied().collect(),
            };
            observer(&moved);
            report.add(moved);
            commit.tables.insert(event_type, table);
        }
        Ok(self.stores.ledger.commit_archive(commit).await?)
    }

    /// Moves the rows of one event type; returns the version of its table, and what is new in it.
    async fn move_table(
        &self,
        contract: &EventContract,
        state: &ArchiveState,
        through: i64,
        segments: &Arc<[SegmentEntry]>,
        expected: &BTreeMap<i32, u64>,
    ) -> Result<(i64, DayDigests), ArchiveError> {
        let event_type = &contract.event_type;
        let failed = |source| ArchiveError::Query { event_type: event_type.clone(), source };
        let landed = self.digest_landing(contract, segments).await.map_err(failed)?;
        compare_rows(event_type, expected, &landed)?;
        let known = state.tables.get(event_type);
        let archive = &self.stores.archive;
        if known.is_some() {
            // Never begun anew: the folder may be one that is not mounted.
            let Some(table) = archive.existing_table(event_type, None).await? else {
                return Err(self.missing_table(event_type));
            };
            self.show_to_readers(&table, true).await?;
        }
        let mut table = archive.table(contract).await?;
        let archived = table.through().await?;
        if archived == through {
            // A move that was cut off after its Delta commit: the rows are there.
            let days = landed.keys().copied().collect();
            let mut whole = landed.clone();
            for (day, digest) in &mut whole {
                if let Some(before) = known.and_then(|known| known.days.get(day)) {
                    digest.merge(*before);
                }
            }
            compare_digests(event_type, &whole, &table.digest_days(&days).await?)?;
            return Ok((table.version(), landed));
        }
        let transaction = known.map_or(0, |known| known.transaction);
        if archived != transaction {
            return Err(ArchiveError::Ahead {
                event_type: event_type.clone(),
                archived,
                known: transaction,
            });
        }
        let rows = self.sorted_events(contract, segments).map_err(failed)?;
        let written = table.append(rows, through).await?;
        compare_digests(event_type, &landed, &written)?;
        Ok((table.version(), written))
    }

    /// The events of a type in these segments, in the archive's order.
    fn sorted_events(
        &self,
        contract: &EventContract,
        segments: &Arc<[SegmentEntry]>,
    ) -> Result<SendableRecordBatchStream, DataFusionError> {
        let order: Vec<SortExpr> =
            [envelope::EVENT_DATE, envelope::PLAYER_ID, envelope::EVENT_TIME, envelope::EVENT_ID]
                .into_iter()
                .map(|column| col(column).sort(true, false))
                .collect();
        let budget = (self.limits.memory / PORTIONS_IN_MEMORY) as u64;
        let mut portions = Vec::new();
        for days in portions_of(segments, &contract.event_type, budget) {
            let rows = self.landed_events(contract, segments, Some(Arc::new(days)))?;
            portions.push(rows.sort(order.clone())?);
        }
        let whole = self.landed_events(contract, segments, None)?;
        let schema = Arc::clone(whole.schema().inner());
        let rows = futures::stream::iter(portions).then(DataFrame::execute_stream).try_flatten();
        Ok(Box::pin(RecordBatchStreamAdapter::new(schema, rows)))
    }

    /// The events of a type in these segments, of all days or of some.
    fn landed_events(
        &self,
        contract: &EventContract,
        segments: &Arc<[SegmentEntry]>,
        days: Option<Arc<BTreeSet<i32>>>,
    ) -> Result<DataFrame, DataFusionError> {
        let slice = EventSlice {
            landing: Arc::clone(&self.stores.landing),
            segments: Arc::clone(segments),
            archive: None,
            days,
        };
        // Shared out evenly among the sorts, so that each can spill and merge what it has spilled.
        let memory = self.limits.memory;
        let runtime = RuntimeEnv {
            memory_pool: Arc::new(FairSpillPool::new(memory)),
            ..RuntimeEnv::clone(&self.runtime)
        };
        let partitions = (memory / MEMORY_PER_PARTITION).clamp(1, self.limits.threads.max(1));
        let config = within_pool(session_config(&self.limits), memory, partitions);
        let session = SessionContext::new_with_config_rt(config, Arc::new(runtime));
        session.read_table(Arc::new(EventsTable::of_type(contract, slice)))
    }

    async fn digest_landing(
        &self,
        contract: &EventContract,
        segments: &Arc<[SegmentEntry]>,
    ) -> Result<DayDigests, DataFusionError> {
        let keys = self
            .landed_events(contract, segments, None)?
            .select_columns(&[envelope::EVENT_ID, envelope::EVENT_DATE])?;
        let mut stream = keys.execute_stream().await?;
        let mut digests = DayDigests::new();
        while let Some(batch) = stream.next().await {
            digest_rows(&batch?, &mut digests)?;
        }
        Ok(digests)
    }
}

/// The latest day (days since 1970) of which a segment has rows.
fn newest_day(entry: &SegmentEntry) -> Option<i32> {
    let days = entry.segment.sections.iter().flat_map(|section| section.rows_by_date.keys());
    days.max().copied()
}

/// Rows by event type and day.
fn landed_rows(segments: &[SegmentEntry]) -> BTreeMap<String, BTreeMap<i32, u64>> {
    let mut types: BTreeMap<String, BTreeMap<i32, u64>> = BTreeMap::new();
    for section in segments.iter().flat_map(|entry| &entry.segment.sections) {
        let days = types.entry(section.event_type.clone()).or_default();
        for (day, rows) in &section.rows_by_date {
            *days.entry(*day).or_insert(0) += rows;
        }
    }
    types
}

/// Fails if landing does not hold as many rows as the ledger says.
fn compare_rows(
    event_type: &str,
    expected: &BTreeMap<i32, u64>,
    landed: &DayDigests,
) -> Result<(), ArchiveError> {
    for day in expected.keys().chain(landed.keys()) {
        let expected = expected.get(day).copied().unwrap_or(0);
        let found = landed.get(day).map_or(0, |digest| digest.rows);
        if expected != found {
            return Err(ArchiveError::Differs {
                place: "landing",
                event_type: event_type.to_owned(),
                day: date_text(*day),
                found,
                expected,
                keys: "",
                advice: "Restore landing and the warehouse from a backup of the same time.",
            });
        }
    }
    Ok(())
}

/// Fails if the archive does not hold the same rows.
pub(super) fn compare_digests(
    event_type: &str,
    expected: &DayDigests,
    archived: &DayDigests,
) -> Result<(), ArchiveError> {
    for day in expected.keys().chain(archived.keys()) {
        let wanted = expected.get(day).copied().unwrap_or_default();
        let found = archived.get(day).copied().unwrap_or_default();
        if wanted != found {
            return Err(ArchiveError::Differs {
                place: "the archive",
                event_type: event_type.to_owned(),
                day: date_text(*day),
                found: found.rows,
                expected: wanted.rows,
                keys: if wanted.rows == found.rows { " (as many, but not the same)" } else { "" },
                advice: "Restore the archive's files from a backup; landing still has what was not pruned.",
            });
        }
    }
    Ok(())
}
