//! What a run does as it is asked to, though probably not as it is meant.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::BoxFuture;

use super::plan::{RunOptions, Situation};
use super::select::{ancestors, select_models};
use super::{Engine, PipelineError};
use crate::catalog::STAR;
use crate::query::PreparedStatement;
use crate::query::plan::schema_and_name;
use crate::stores::error::StoreResult;
use crate::stores::warehouse::{ModelProgress, RunRecord};

/// What the history of runs has for the mode of a model that was to be refreshed.
pub(super) const FULL_REFRESH: &str = "full refresh";

/// What it has where a model was built anew for another reason.
pub(super) const BUILD_ANEW: &str = "build anew";

/// Entries of the history that are looked through: all that are kept.
const HISTORY: usize = 1000;

impl Engine {
    /// What whoever asks for this run should know, in sentences.
    ///
    /// # Errors
    /// When a selected model is not known, or a store does not answer.
    pub fn warnings<'a>(
        &'a self,
        options: &'a RunOptions,
    ) -> BoxFuture<'a, Result<Vec<String>, PipelineError>> {
        Box::pin(async move {
            let selected = select_models(&self.project, &options.select)?;
            let situation = Situation::read(self, None).await?;
            let mut warnings = self.outdated_upstream(&selected, &situation);
            let mut pending = self.pending_refreshes().await?;
            pending.retain(|model| !(options.full_refresh && selected.contains(model)));
            warnings.extend(pending_text(&pending));
            Ok(warnings)
        })
    }

    /// Which of the tables that a query reads are not what their models' SQL says, in sentences.
    ///
    /// # Errors
    /// When the warehouse does not answer.
    pub fn outdated_tables<'a>(
        &'a self,
        statement: &'a PreparedStatement,
    ) -> BoxFuture<'a, StoreResult<Vec<String>>> {
        Box::pin(async move {
            let tables = statement.tables.iter().filter_map(|table| schema_and_name(&table.value));
            let models: BTreeSet<&str> =
                tables.filter(|(schema, _)| *schema == STAR).map(|(_, name)| name).collect();
            if models.is_empty() {
                return Ok(Vec::new());
            }
            let progress = self.stores.warehouse.progress().await?;
            let is_outdated = |known: &&ModelProgress| {
                let model = self.project.model(&known.model);
                models.contains(known.model.as_str())
                    && model.is_some_and(|model| model.definition_hash != known.definition_hash)
            };
            let outdated = progress.iter().filter(is_outdated);
            Ok(outdated
            .map(|known| {
                format!(
                    "star.{} was built by a former definition, and its rows are of that one: run \
                     `questlake etl run`",
                    known.model
                )
            })
            .collect())
        })
    }

    /// Models of this project whose latest full refresh was not done, in the order of a run. Their
    /// tables are whole: a load and its progress are one transaction.
    ///
    /// # Errors
    /// When the warehouse does not answer.
    pub fn pending_refreshes(&self) -> BoxFuture<'_, StoreResult<Vec<String>>> {
        Box::pin(async move {
            let history = self.stores.warehouse.runs(HISTORY).await?;
            let pending = not_refreshed(&history);
            let models = self.project.models.iter().map(|model| model.name());
            Ok(models.filter(|name| pending.contains(name)).map(str::to_owned).collect())
        })
    }

    /// Tables that selected models are made of, that are not selected themselves, and that are not
    /// what their own models' SQL says.
    fn outdated_upstream(&self, selected: &BTreeSet<String>, situation: &Situation) -> Vec<String> {
        let why = |model: &str| {
            let hash = self.project.model(model)?.definition_hash;
            match situation.progress.get(model) {
                None => Some("was never built"),
                Some(known) if known.definition_hash != hash => {
                    Some("was built by a former definition")
                }
                Some(_) => None,
            }
        };
        let mut readers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        for model in self.project.models.iter().filter(|model| selected.contains(model.name())) {
            for ancestor in ancestors(&self.project, model.name()) {
                if !selected.contains(&ancestor) && why(&ancestor).is_some() {
                    readers.entry(ancestor).or_default().push(model.name());
                }
            }
        }
        let order = self.project.models.iter().map(|model| model.name());
        order
            .filter_map(|name| {
                let readers = readers.get(name)?;
                Some(format!(
                    "{} {} made of {name}, which {} and is not selected; to build it first: \
                     --select {}",
                    readers.join(", "),
                    if readers.len() == 1 { "is" } else { "are" },
                    why(name)?,
                    readers.iter().map(|reader| format!("+{reader}")).collect::<Vec<_>>().join(" "),
                ))
            })
            .collect()
    }
}

/// How to go on where these models were not refreshed; `None` if there are none.
pub fn pending_text(models: &[String]) -> Option<String> {
    if models.is_empty() {
        return None;
    }
    Some(format!(
        "the full refresh of {} was not done: what is there is as it was before; to do it: {}",
        models.join(", "),
        refresh_command(models)
    ))
}

/// The command that refreshes these models.
pub fn refresh_command(models: &[String]) -> String {
    format!("questlake etl run --full-refresh --select {}", models.join(" "))
}

/// Models whose latest full refresh has failed, or was not begun, and that were not built anew since.
/// `history` has the newest entry first.
fn not_refreshed(history: &[RunRecord]) -> BTreeSet<&str> {
    let mut latest: BTreeMap<&str, bool> = BTreeMap::new();
    for run in history {
        let is_loaded = run.state == "loaded";
        if run.mode == FULL_REFRESH || (run.mode == BUILD_ANEW && is_loaded) {
            latest.entry(&run.model).or_insert(!is_loaded);
        }
    }
    latest.into_iter().filter(|(_, pending)| *pending).map(|(model, _)| model).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_is_pending_until_the_model_was_built_anew() {
        let run = |model: &str, mode: &str, state: &str| RunRecord {
            started_at: 0,
            finished_at: 0,
            model: model.to_owned(),
            state: state.to_owned(),
            mode: mode.to_owned(),
            rows: 0,
            error: None,
        };
        let newest_first = [
            run("a", "append new events", "loaded"),
            run("b", BUILD_ANEW, "loaded"),
            run("c", BUILD_ANEW, "failed"),
            run("a", FULL_REFRESH, "failed"),
            run("b", FULL_REFRESH, "failed"),
            run("c", FULL_REFRESH, "skipped"),
            run("d", FULL_REFRESH, "loaded"),
            run("d", FULL_REFRESH, "failed"),
            run("e", BUILD_ANEW, "failed"),
        ];
        assert_eq!(not_refreshed(&newest_first), ["a", "c"].into());
        let text = pending_text(&["a".to_owned(), "c".to_owned()]).unwrap();
        assert!(text.ends_with("questlake etl run --full-refresh --select a c"), "{text}");
        assert_eq!(pending_text(&[]), None);
    }
}
