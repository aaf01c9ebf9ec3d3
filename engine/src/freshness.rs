//! How fresh the data is: a version of each table, and the time up to which its events are in it.
//!
//! Versions tell whether an answer that was computed before is still right. They are made of the
//! models' progress and the number of the latest commit, and are cheap to read: no row of data is
//! looked at. A version is read before the data that it stands for, so that an answer is never older
//! than its version says.

use std::collections::BTreeMap;

use futures::future::BoxFuture;
use xxhash_rust::xxh3::Xxh3;

use crate::catalog::{CATALOG, EVENTS, STAR};
use crate::models::Model;
use crate::pipeline::{Engine, PipelineError};
use crate::query::SavedQuery;
use crate::stores::warehouse::ModelProgress;

/// The state of all tables as of one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// Number of the latest commit with a segment, 0 if there is none.
    pub latest_sequence: i64,
    /// When that commit was made (milliseconds since 1970, UTC), as far as it is known.
    pub latest_at: Option<i64>,
    models: BTreeMap<String, ModelFreshness>,
}

/// The state of one model's table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ModelFreshness {
    /// Changes whenever the table may have changed.
    pub version: u64,
    /// All events that were committed until then (milliseconds since 1970, UTC) are in the table.
    pub data_through: Option<i64>,
    /// Whether the table was ever loaded.
    pub loaded: bool,
    /// Whether the table was built by another definition than the project's.
    pub definition_changed: bool,
    /// Whether all events that have landed are in the table.
    pub current: bool,
}

/// The state of what one answer is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AnswerFreshness {
    /// Changes whenever the answer may have changed.
    pub version: u64,
    /// All events that were committed until then (milliseconds since 1970, UTC) are in the answer.
    pub data_through: Option<i64>,
}

impl Freshness {
    /// The state of a model's table; one that was never loaded has none of its events.
    pub fn model(&self, name: &str) -> ModelFreshness {
        self.models.get(name).copied().unwrap_or_default()
    }

    /// The state of everything.
    pub fn all(&self) -> AnswerFreshness {
        let mut hasher = Xxh3::new();
        hasher.update(&self.latest_sequence.to_le_bytes());
        for (name, model) in &self.models {
            hasher.update(name.as_bytes());
            hasher.update(&model.version.to_le_bytes());
        }
        AnswerFreshness { version: hasher.digest(), data_through: self.oldest(self.models.keys()) }
    }

    /// The state of what a saved query reads.
    pub fn query(&self, query: &SavedQuery) -> AnswerFreshness {
        let mut hasher = Xxh3::new();
        hasher.update(query.statement.file.text().as_bytes());
        let mut data_through: Option<i64> = None;
        let mut first = true;
        for table in query.tables() {
            let written = table
                .strip_prefix(CATALOG)
                .and_then(|rest| rest.strip_prefix('.'))
                .unwrap_or(table);
            let through = match written.split_once('.') {
                Some((EVENTS, _)) => {
                    hasher.update(&self.latest_sequence.to_le_bytes());
                    self.latest_at
                }
                Some((schema, _)) if schema != STAR => continue,
                _ => {
                    let name = written.rsplit('.').next().unwrap_or(written);
                    let model = self.model(name);
                    hasher.update(name.as_bytes());
                    hasher.update(&model.version.to_le_bytes());
                    model.data_through
                }
            };
            data_through = if first { through } else { data_through.min(through) };
            first = false;
        }
        AnswerFreshness { version: hasher.digest(), data_through }
    }

    /// The time up to which the events are in all of these tables.
    fn oldest<'a>(&self, names: impl Iterator<Item = &'a String>) -> Option<i64> {
        names.map(|name| self.model(name).data_through).min().flatten()
    }
}

impl Engine {
    /// Reads how fresh the data is.
    ///
    /// # Errors
    /// When the ledger or the warehouse does not answer.
    pub fn freshness(&self) -> BoxFuture<'_, Result<Freshness, PipelineError>> {
        Box::pin(async move {
            let (ledger, warehouse) = (&self.stores.ledger, &self.stores.warehouse);
            let latest_sequence = ledger.latest_sequence().await?;
            let progress: BTreeMap<String, ModelProgress> = warehouse
                .progress()
                .await?
                .into_iter()
                .map(|progress| (progress.model.clone(), progress))
                .collect();
            let mut stale: Vec<String> =
                warehouse.stale_marks().await?.into_iter().map(|mark| mark.consumer).collect();
            stale.dedup();
            let mut through: BTreeMap<&str, i64> = BTreeMap::new();
            for model in &self.project.models {
                let is_stale = stale.iter().any(|name| name == model.name());
                let sequence = sequence_of(model, progress.get(model.name()), is_stale, &through);
                through.insert(model.name(), sequence);
            }
            let mut times: BTreeMap<i64, Option<i64>> = BTreeMap::new();
            for sequence in through.values().copied().chain([latest_sequence]) {
                if sequence > 0 && !times.contains_key(&sequence) {
                    times.insert(sequence, ledger.committed_at(sequence).await?);
                }
            }
            let time_of = |sequence: i64| times.get(&sequence).copied().flatten();
            let mut models = BTreeMap::new();
            for model in &self.project.models {
                let Some(progress) = progress.get(model.name()) else { continue };
                let sequence = through.get(model.name()).copied().unwrap_or(0);
                let state = ModelFreshness {
                    version: version(progress),
                    // A commit that is forgotten is older than the load that has read it.
                    data_through: time_of(sequence).or(Some(progress.updated_at)),
                    loaded: true,
                    definition_changed: progress.definition_hash != model.definition_hash,
                    current: sequence >= latest_sequence,
                };
                models.insert(model.name().to_owned(), state);
            }
            Ok(Freshness { latest_sequence, latest_at: time_of(latest_sequence), models })
        })
    }
}

/// The commit up to which all events are in the model's table. A model over other models has the
/// events that these have, unless it is to be built anew.
fn sequence_of(
    model: &Model,
    progress: Option<&ModelProgress>,
    is_stale: bool,
    through: &BTreeMap<&str, i64>,
) -> i64 {
    let Some(progress) = progress else { return 0 };
    let own = progress.ledger_sequence;
    let upstream = model.reads.iter().filter_map(|read| through.get(read.model.as_str())).copied();
    if model.strategy.reads_events() {
        return upstream.fold(own, i64::min);
    }
    match upstream.min() {
        Some(least) if !is_stale => least,
        Some(least) => least.min(own),
        None => own,
    }
}

fn version(progress: &ModelProgress) -> u64 {
    let mut hasher = Xxh3::new();
    hasher.update(&progress.ledger_sequence.to_le_bytes());
    hasher.update(&progress.definition_hash.to_le_bytes());
    hasher.update(&progress.updated_at.to_le_bytes());
    // 0 is the version of a table that was never loaded.
    hasher.digest().max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn freshness(sequence: i64, models: &[(&str, u64, i64)]) -> Freshness {
        let models = models.iter().map(|(name, version, through)| {
            let data_through = Some(*through);
            let state = ModelFreshness { version: *version, data_through, ..Default::default() };
            ((*name).to_owned(), state)
        });
        Freshness { latest_sequence: sequence, latest_at: Some(900), models: models.collect() }
    }

    fn query(sql: &str) -> SavedQuery {
        let file = crate::project::source::SourceFile::new("queries/q.sql", sql);
        let statement = crate::query::PreparedStatement::new(file).unwrap();
        SavedQuery { statement, columns: Vec::new(), reproducible: true }
    }

    #[test]
    fn a_query_is_as_fresh_as_what_it_reads() {
        let before = freshness(7, &[("a", 1, 500), ("b", 2, 400), ("c", 3, 100)]);
        let over_models = query("SELECT * FROM star.a JOIN b USING (id)");
        assert_eq!(before.query(&over_models).data_through, Some(400));
        let over_events = query("SELECT * FROM events.purchase");
        assert_eq!(before.query(&over_events).data_through, Some(900));

        let after = freshness(8, &[("a", 1, 500), ("b", 2, 400), ("c", 9, 100)]);
        assert_eq!(before.query(&over_models), after.query(&over_models), "c is not read");
        assert_ne!(before.query(&over_events).version, after.query(&over_events).version);
        let loaded = freshness(7, &[("a", 1, 500), ("b", 5, 450), ("c", 3, 100)]);
        assert_ne!(before.query(&over_models).version, loaded.query(&over_models).version);
        assert_eq!(loaded.query(&over_models).data_through, Some(450));
        assert_ne!(before.all().version, after.all().version);
        assert_eq!(before.all().data_through, Some(100));
        assert_eq!(before.model("d"), ModelFreshness::default());
    }
}
