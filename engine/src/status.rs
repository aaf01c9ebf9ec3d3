//! What an operator wants to know: the accounting, how far each model is, whether the stores answer.

mod held;
mod reach;

use futures::future::BoxFuture;
use serde::Serialize;

use self::held::Held;

use crate::checks::latest::FailingCheck;
use crate::checks::severity_name;
use crate::pipeline::{Engine, PipelineError};
use crate::project::diagnostic::Severity;
use crate::stores::ledger::archived::ArchiveState;
use crate::stores::ledger::gap::GapEntry;
use crate::stores::ledger::{
    Counts, LedgerSnapshot, PartitionStatus, QuarantineGroup, SegmentEntry,
};
use crate::stores::warehouse::ModelProgress;

/// Topic whose quarantined records are counted where they were quarantined first.
const REPLAY_TOPIC: &str = "replay";

/// The state of one installation.
#[derive(Debug, Clone, Serialize)]
pub struct Status {
    /// Whether every record is accounted for.
    pub accounting: Accounting,
    /// Each partition.
    pub partitions: Vec<Partition>,
    /// Each model of the project.
    pub models: Vec<ModelStatus>,
    /// Each check that has found something in its latest run, or could not be evaluated.
    pub checks: Vec<FailingCheck>,
    /// Records that a topic no longer has although they were never read.
    pub gaps: Vec<GapStatus>,
    /// Quarantined records by reason and event type.
    pub quarantine: Vec<QuarantineCount>,
    /// What has landed and is not in the archive.
    pub landing: LandingStatus,
    /// What is in the archive.
    pub archive: ArchiveStatus,
    /// What is in the hot store.
    pub hot: HotStatus,
    /// Each store.
    pub stores: Vec<StoreStatus>,
}

/// Totals over all partitions: consumed = landed + duplicates + quarantined.
#[derive(Debug, Clone, Serialize)]
pub struct Accounting {
    /// Records read.
    pub consumed: u64,
    /// Rows landed.
    pub landed: u64,
    /// True duplicates.
    pub duplicates: u64,
    /// Records quarantined.
    pub quarantined: u64,
    /// Whether it adds up, in each partition, and against the segments and the quarantine.
    pub adds_up: bool,
    /// What does not.
    pub mismatches: Vec<String>,
}

/// One partition.
#[derive(Debug, Clone, Serialize)]
pub struct Partition {
    /// Topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: i32,
    /// Epoch of the latest claim.
    pub epoch: i64,
    /// First offset that is not committed.
    pub next_offset: i64,
    /// Records read.
    pub consumed: u64,
    /// Rows landed.
    pub landed: u64,
    /// True duplicates.
    pub duplicates: u64,
    /// Records quarantined.
    pub quarantined: u64,
    /// Time of the latest commit (milliseconds since 1970, UTC).
    pub updated_at: i64,
}

/// How far one model is.
#[derive(Debug, Clone, Serialize)]
pub struct ModelStatus {
    /// The model.
    pub model: String,
    /// `dimension`, `fact` or `mart`.
    pub layer: &'static str,
    /// Commit up to which it has read, `null` if it was never loaded.
    pub ledger_sequence: Option<i64>,
    /// Commits that it has still to read; for a model over other models, those since its latest
    /// load.
    pub behind_commits: i64,
    /// Days that are stale, for a model over other models.
    pub stale_days: u64,
    /// Whether its SQL has changed since its table was built.
    pub definition_changed: bool,
    /// Time of its latest load (milliseconds since 1970, UTC).
    pub updated_at: Option<i64>,
}

/// A gap in a partition.
#[derive(Debug, Clone, Serialize)]
pub struct GapStatus {
    /// Topic.
    pub topic: String,
    /// Number of the partition.
    pub partition: i32,
    /// The position at which it was found.
    pub from_offset: i64,
    /// First record that is there.
    pub to_offset: i64,
    /// `truncated` or `recreated`.
    pub reason: &'static str,
    /// What was found.
    pub detail: String,
    /// When it was found (milliseconds since 1970, UTC).
    pub found_at: i64,
    /// When somebody decided to go on behind it.
    pub accepted_at: Option<i64>,
    /// Whether the partition stands before it still.
    pub open: bool,
}

/// Quarantined records of one reason and event type.
#[derive(Debug, Clone, Serialize)]
pub struct QuarantineCount {
    /// Reason code.
    pub reason: String,
    /// Event type, if it could be read.
    pub event_type: Option<String>,
    /// Records that wait.
    pub open: u64,
    /// Records that were replayed.
    pub replayed: u64,
}

/// What has landed.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LandingStatus {
    /// Committed segments.
    pub segments: u64,
    /// Rows in them.
    pub rows: u64,
    /// Bytes of their files.
    pub bytes: u64,
    /// Number of the latest commit.
    pub latest_sequence: i64,
}

/// What is in the archive.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ArchiveStatus {
    /// Commits up to this one are in it, 0 if none is.
    pub through: i64,
    /// Rows.
    pub rows: u64,
    /// Event types.
    pub tables: u64,
    /// First day with events, such as `2026-01-31`.
    pub first_day: Option<String>,
    /// Last day with events.
    pub last_day: Option<String>,
    /// A move to it was begun and has not ended: `questlake archive` goes on with it.
    pub under_way: bool,
}

/// What is in the hot store.
#[derive(Debug, Clone, Serialize)]
pub struct HotStatus {
    /// Documents, `null` if the store does not answer.
    pub events: Option<u64>,
}

impl Status {
    /// Whether all works that has to: without the cache, answers are slower and as right.
    pub fn is_healthy(&self) -> bool {
        let needed = |store: &&StoreStatus| store.store != "cache";
        self.accounting.adds_up
            && self.stores.iter().filter(needed).all(|store| store.healthy)
            && self.gaps.iter().all(|gap| !gap.open)
            && self.checks.iter().all(|check| check.severity != severity_name(Severity::Error))
    }
}

/// Whether a store answers.
#[derive(Debug, Clone, Serialize)]
pub struct StoreStatus {
    /// `hot`, `landing`, `archive`, `ledger`, `warehouse`, `cache` or `kafka`.
    pub store: &'static str,
    /// How messages name it.
    pub name: String,
    /// Whether it answers.
    pub healthy: bool,
    /// Why not.
    pub detail: Option<String>,
}

impl StoreStatus {
    /// The state of a store that answers, unless something is wrong with it.
    pub fn new(store: &'static str, name: String, fault: Option<String>) -> Self {
        Self { store, name, healthy: fault.is_none(), detail: fault }
    }
}

impl Engine {
    /// Reads the state of the installation. A hot store or landing that does not answer is part of
    /// the state; a ledger or warehouse that does not is an error.
    pub fn status(&self) -> BoxFuture<'_, Result<Status, PipelineError>> {
        Box::pin(async move {
            let stores = &self.stores;
            let LedgerSnapshot {
                latest_sequence,
                segments,
                archive,
                partitions,
                quarantine: groups,
            } = stores.ledger.snapshot().await?;
            let gaps = stores.ledger.gaps().await?;
            let landing = landing_status(&segments, latest_sequence);
            let held = Held::look(stores, &segments).await?;
            let archive_error = self.archive_fault(&archive).await;
            let hot_error = held.hot.as_ref().err().map(ToString::to_string);
            let landing_error = held.landing.map(|error| error.to_string());
            let store_states = vec![
                StoreStatus::new("hot", stores.hot.name(), hot_error),
                StoreStatus::new("landing", stores.landing.name(), landing_error),
                StoreStatus::new("archive", stores.archive.name().to_owned(), archive_error),
                StoreStatus::new("ledger", stores.ledger.name(), None),
                StoreStatus::new("warehouse", stores.warehouse.name(), None),
                StoreStatus::new("cache", stores.cache.name(), stores.cache.fault().await),
            ];
            let models = self.model_states(latest_sequence).await?;
            let mut accounting = account(&partitions, &groups, &landing, archive.rows());
            accounting.adds_up &= held.missing.is_empty();
            accounting.mismatches.extend(held.missing);
            Ok(Status {
                accounting,
                partitions: partitions.iter().map(partition_status).collect(),
                checks: self.failing_checks(&models).await?,
                models,
                gaps: gaps.into_iter().map(|gap| gap_status(gap, &partitions)).collect(),
                quarantine: groups
                    .into_iter()
                    .map(|group| QuarantineCount {
                        reason: group.reason,
                        event_type: group.event_type,
                        open: group.open,
                        replayed: group.replayed,
                    })
                    .collect(),
                landing,
                archive: archive_status(&archive),
                hot: HotStatus { events: held.hot.ok() },
                stores: store_states,
            })
        })
    }

    /// What is wrong with the archive, if anything shows without reading it.
    async fn archive_fault(&self, archive: &ArchiveState) -> Option<String> {
        if archive.tables.is_empty() {
            // That nothing is there yet says nothing about whether it could be.
            return self
                .stores
                .archive
                .has_table("none")
                .await
                .err()
                .map(|error| error.to_string());
        }
        for event_type in archive.tables.keys() {
            match self.stores.archive.has_table(event_type).await {
                Ok(true) => {}
                Ok(false) => return Some(format!("the table of {event_type} is missing")),
                Err(error) => return Some(error.to_string()),
            }
        }
        None
    }

    /// How far each model is.
    ///
    /// # Errors
    /// When the ledger or the warehouse does not answer.
    pub fn model_statuses(&self) -> BoxFuture<'_, Result<Vec<ModelStatus>, PipelineError>> {
        Box::pin(
            async move { self.model_states(self.stores.ledger.latest_sequence().await?).await },
        )
    }

    /// How far each model is; `latest` is the latest commit.
    pub fn model_states(
        &self,
        latest: i64,
    ) -> BoxFuture<'_, Result<Vec<ModelStatus>, PipelineError>> {
        Box::pin(async move {
            let progress = self.stores.warehouse.progress().await?;
            let marks = self.stores.warehouse.stale_marks().await?;
            let mut states = Vec::with_capacity(self.project.models.len());
            for model in &self.project.models {
                let known: Option<&ModelProgress> =
                    progress.iter().find(|progress| progress.model == model.name());
                let stale_days =
                    marks.iter().filter(|mark| mark.consumer == model.name()).count() as u64;
                states.push(ModelStatus {
                    model: model.name().to_owned(),
                    layer: model.source.layer.name(),
                    ledger_sequence: known.map(|known| known.ledger_sequence),
                    behind_commits: if model.strategy.reads_events() {
                        latest - known.map_or(0, |known| known.ledger_sequence)
                    } else {
                        0
                    },
                    stale_days,
                    definition_changed: known
                        .is_some_and(|known| known.definition_hash != model.definition_hash),
                    updated_at: known.map(|known| known.updated_at),
                });
            }
            Ok(states)
        })
    }
}

fn landing_status(segments: &[SegmentEntry], latest_sequence: i64) -> LandingStatus {
    let mut landing = LandingStatus { latest_sequence, ..LandingStatus::default() };
    for entry in segments {
        landing.segments += 1;
        landing.bytes += entry.segment.bytes;
        landing.rows += entry.segment.sections.iter().map(|section| section.rows()).sum::<u64>();
    }
    landing
}

fn archive_status(archive: &ArchiveState) -> ArchiveStatus {
    let days = || archive.tables.values().flat_map(|table| table.days.keys()).copied();
    let date = |day: i32| {
        arrow::temporal_conversions::date32_to_datetime(day).map(|time| time.date().to_string())
    };
    ArchiveStatus {
        through: archive.through,
        rows: archive.rows(),
        tables: archive.tables.len() as u64,
        first_day: days().min().and_then(date),
        last_day: days().max().and_then(date),
        under_way: archive.under_way.is_some(),
    }
}

fn account(
    partitions: &[PartitionStatus],
    groups: &[QuarantineGroup],
    landing: &LandingStatus,
    archived_rows: u64,
) -> Accounting {
    let mut totals = Counts::default();
    let mut refused_again = 0;
    let mut mismatches = Vec::new();
    for partition in partitions {
        let counts = &partition.counts;
        totals.add(counts);
        if &*partition.claim.topic == REPLAY_TOPIC {
            refused_again += counts.quarantined;
        }
        if !counts.adds_up() {
            mismatches.push(format!(
                "{}/{}: {} consumed, but {} landed + {} duplicates + {} quarantined",
                partition.claim.topic,
                partition.claim.partition,
                counts.consumed,
                counts.landed,
                counts.duplicates,
                counts.quarantined
            ));
        }
    }
    if landing.rows + archived_rows != totals.landed {
        mismatches.push(format!(
            "{} rows are counted as landed, but the segments hold {} and the archive {archived_rows}",
            totals.landed, landing.rows
        ));
    }
    let kept: u64 = groups.iter().map(|group| group.open + group.replayed).sum();
    if kept != totals.quarantined - refused_again {
        mismatches.push(format!(
            "{} records are counted as quarantined, but the quarantine holds {kept}",
            totals.quarantined - refused_again
        ));
    }
    Accounting {
        consumed: totals.consumed,
        landed: totals.landed,
        duplicates: totals.duplicates,
        quarantined: totals.quarantined,
        adds_up: mismatches.is_empty(),
        mismatches,
    }
}

fn gap_status(entry: GapEntry, partitions: &[PartitionStatus]) -> GapStatus {
    let gap = entry.gap;
    let stands_before = partitions.iter().any(|partition| {
        *partition.claim.topic == *gap.topic
            && partition.claim.partition == gap.partition
            && partition.claim.next_offset <= gap.from_offset
    });
    GapStatus {
        partition: gap.partition,
        from_offset: gap.from_offset,
        to_offset: gap.to_offset,
        reason: gap.reason.name(),
        found_at: entry.found_at,
        accepted_at: entry.accepted_at,
        open: entry.accepted_at.is_none() && stands_before,
        topic: gap.topic,
        detail: gap.detail,
    }
}

fn partition_status(partition: &PartitionStatus) -> Partition {
    Partition {
        topic: partition.claim.topic.to_string(),
        partition: partition.claim.partition,
        epoch: partition.claim.epoch,
        next_offset: partition.claim.next_offset,
        consumed: partition.counts.consumed,
        landed: partition.counts.landed,
        duplicates: partition.counts.duplicates,
        quarantined: partition.counts.quarantined,
        updated_at: partition.updated_at,
    }
}
