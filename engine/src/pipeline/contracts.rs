//! Whether what has landed and what is archived can be read by the contracts as they are now.

use std::collections::{BTreeMap, BTreeSet};

use arrow::datatypes::{Schema, SchemaRef};

use super::plan::{RunOptions, Situation};
use super::{Engine, PipelineError};
use crate::models::Model;
use crate::project::contract::EventContract;
use crate::project::diagnostic::{Diagnostic, Diagnostics};
use crate::project::evolution::{Misfit, misfit};
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use crate::stores::landing::segment::{Section, section_schema};
use crate::stores::ledger::SegmentEntry;
use crate::stores::warehouse::ModelProgress;

/// Landed events of one type that were taken in under one older contract.
struct Older<'a> {
    /// The smallest of their sections: all of them have the same columns.
    sample: (&'a str, &'a Section),
    portion: Portion,
}

/// How many events do not fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Portion {
    segments: u64,
    rows: u64,
    /// First and last commit.
    commits: (i64, i64),
}

impl Portion {
    fn add(&mut self, other: Self) {
        self.segments += other.segments;
        self.rows += other.rows;
        self.commits = (self.commits.0.min(other.commits.0), self.commits.1.max(other.commits.1));
    }

    fn text(&self) -> String {
        let segments = match self.segments {
            1 => "1 segment".to_owned(),
            segments => format!("{segments} segments"),
        };
        let commits = match self.commits {
            (first, last) if first == last => format!("commit {first}"),
            (first, last) => format!("commits {first} to {last}"),
        };
        format!("{segments} of landing ({commits}, {} events)", self.rows)
    }
}

impl Engine {
    /// Refuses contracts that the selected models read and that do not go on from those under which
    /// events have been taken in.
    ///
    /// # Errors
    /// Every column that is in the way, at its place in the contract.
    pub(super) async fn refuse_unreadable(
        &self,
        selected: &BTreeSet<String>,
        options: &RunOptions,
        situation: &Situation,
    ) -> Result<(), PipelineError> {
        let models = || self.project.models.iter().filter(|model| selected.contains(model.name()));
        let read_by = |contract: &EventContract, wanted: &dyn Fn(&Model) -> bool| {
            let event_type = &contract.event_type;
            let reads = |model: &Model| {
                model.source.reads_events.iter().any(|read| read.value == *event_type)
            };
            models().any(|model| reads(model) && wanted(model))
        };
        let (after, through) = (situation.archive.through, situation.through);
        let landed = self.stores.ledger.contract_versions(after, through).await?;
        let has_older = |contract: &EventContract| {
            let mut versions =
                landed.iter().filter(|(event_type, _)| *event_type == contract.event_type);
            versions.any(|(_, version)| *version != contract.version)
        };
        let contracts = || self.project.contracts.iter().filter(|it| read_by(it, &|_| true));
        // Hardly ever: a list of all that has landed may be long.
        let segments = match contracts().any(|contract| has_older(contract)) {
            true => self.stores.ledger.segments(after, through).await?,
            false => Vec::new(),
        };
        let mut mistakes = Diagnostics::new();
        for contract in contracts() {
            mistakes.extend(self.landed_misfits(contract, &segments).await?);
            // Opening a table takes a while: only for whom reads it.
            if read_by(contract, &|model| reads_history(model, options, situation)) {
                mistakes.extend(self.archived_misfits(contract, situation).await?);
            }
        }
        mistakes.into_result(()).map_err(PipelineError::Contracts)
    }

    async fn landed_misfits(
        &self,
        contract: &EventContract,
        segments: &[SegmentEntry],
    ) -> StoreResult<Vec<Diagnostic>> {
        let mut found: Vec<(usize, Misfit, Portion)> = Vec::new();
        for older in older_versions(contract, segments).into_values() {
            let stored = self.section_schema(older.sample).await?;
            for (place, misfit) in misfits(contract, &stored) {
                match found.iter_mut().find(|known| (known.0, &known.1) == (place, &misfit)) {
                    Some((_, _, portion)) => portion.add(older.portion),
                    None => found.push((place, misfit, older.portion)),
                }
            }
        }
        let mistakes = found.iter();
        Ok(mistakes
            .filter_map(|(place, misfit, portion)| {
                mistake(contract, *place, misfit, &portion.text())
            })
            .collect())
    }

    async fn section_schema(&self, (segment, section): (&str, &Section)) -> StoreResult<SchemaRef> {
        let range = section.offset..section.offset + section.length;
        let bytes = self.stores.landing.read(segment, range).await?;
        section_schema(&bytes, section).map_err(|error| {
            let operation = format!("read the columns of segment {segment}");
            let name = self.stores.landing.name();
            StoreError::new(name, operation, StoreErrorKind::Corrupt, error)
                .with_advice("the file was changed after it was sealed; restore it from a backup")
        })
    }

    async fn archived_misfits(
        &self,
        contract: &EventContract,
        situation: &Situation,
    ) -> StoreResult<Vec<Diagnostic>> {
        let event_type = &contract.event_type;
        let Some(known) = situation.archive.tables.get(event_type) else { return Ok(Vec::new()) };
        let archive = &self.stores.archive;
        let Some(table) = archive.existing_table(event_type, Some(known.version)).await? else {
            // Whoever reads it says so.
            return Ok(Vec::new());
        };
        let stored = table.schema()?;
        let rows: u64 = known.days.values().map(|day| day.rows).sum();
        let place_text = format!("the archive ({rows} events)");
        let mut found = misfits(contract, &stored);
        // A wider type could be read, but the table's cannot be changed: nothing more would be moved to it.
        for (place, column) in contract.columns.iter().enumerate() {
            let Ok(field) = stored.field_with_name(&column.name) else { continue };
            let wanted = column.column_type.arrow_type();
            if *field.data_type() != wanted && !found.iter().any(|(known, _)| *known == place) {
                let stored = field.data_type().clone();
                found.push((place, Misfit::Type { stored, wanted }));
            }
        }
        let mistakes = found.iter();
        Ok(mistakes
            .filter_map(|(place, misfit)| mistake(contract, *place, misfit, &place_text))
            .collect())
    }
}

/// Whether a run reads more than new events for this model.
fn reads_history(model: &Model, options: &RunOptions, situation: &Situation) -> bool {
    let is_known = |progress: &ModelProgress| progress.definition_hash == model.definition_hash;
    options.full_refresh
        || options.backfill.is_some()
        || !situation.progress.get(model.name()).is_some_and(is_known)
}

/// Landed events that were taken in under another contract than today's, by its version.
fn older_versions<'a>(
    contract: &EventContract,
    segments: &'a [SegmentEntry],
) -> BTreeMap<u64, Older<'a>> {
    let mut versions: BTreeMap<u64, Older<'a>> = BTreeMap::new();
    for entry in segments {
        for section in &entry.segment.sections {
            if section.event_type != contract.event_type
                || section.contract_version == contract.version
            {
                continue;
            }
            let sample = (entry.segment.name.as_str(), section);
            let commits = (entry.sequence, entry.sequence);
            let portion = Portion { segments: 1, rows: section.rows(), commits };
            match versions.get_mut(&section.contract_version) {
                None => {
                    versions.insert(section.contract_version, Older { sample, portion });
                }
                Some(older) => {
                    older.portion.add(portion);
                    if section.length < older.sample.1.length {
                        older.sample = sample;
                    }
                }
            }
        }
    }
    versions
}

/// The contract's columns, by place, that cannot be read from rows with these.
fn misfits(contract: &EventContract, stored: &Schema) -> Vec<(usize, Misfit)> {
    let columns = contract.columns.iter().enumerate();
    columns
        .filter_map(|(place, column)| {
            let wanted = contract.schema.field_with_name(&column.name).ok()?;
            let misfit = misfit(stored.field_with_name(&column.name).ok(), wanted)?;
            Some((place, misfit))
        })
        .collect()
}

fn mistake(
    contract: &EventContract,
    place: usize,
    misfit: &Misfit,
    where_they_are: &str,
) -> Option<Diagnostic> {
    let column = contract.columns.get(place)?;
    let name = &column.name;
    let message = format!("column `{name}` does not fit {where_they_are}: {misfit}");
    let mut diagnostic =
        Diagnostic::error(contract.file.as_str(), message).with_hint(misfit.way_out(name));
    (diagnostic.line, diagnostic.column) = (column.line, column.column);
    diagnostic.length = name.chars().count() as u64;
    Some(diagnostic)
}
