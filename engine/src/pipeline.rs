//! The pipeline: brings the star schema up to date with what has landed.
//!
//! Delivery semantics: each model moves by itself. Its rows, its progress in the ledger and the
//! stale marks that it makes and mends are published in one transaction, so that a crash between
//! models leaves each at its own place and the next run continues every one. All models of a run
//! read the ledger up to the same commit.

mod contracts;
pub mod execute;
pub mod outlook;
pub mod plan;
mod record;
mod report;
pub mod run;
pub mod select;
pub mod warnings;

use std::sync::Arc;
use std::time::Duration;

use datafusion::common::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use tokio::sync::RwLock;

use crate::catalog::runtime::{EngineLimits, build_runtime};
use crate::catalog::spill::SpillFolder;
use crate::models::CompiledProject;
use crate::project::diagnostic::Diagnostics;
use crate::query::limits::QueryLimits;
use crate::settings::Settings;
use crate::stores::Stores;
use crate::stores::error::{StoreError, StoreErrorKind};

/// A pipeline operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum PipelineError {
    /// A store did.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The SQL of a model did, while it ran.
    #[error("model {model}: {}", describe(.source))]
    Query {
        /// The model.
        model: String,
        /// The cause.
        source: DataFusionError,
    },
    /// The memory pool or spill space could not be set up.
    #[error("could not set the engine up: {0}")]
    Setup(DataFusionError),
    /// Contracts do not go on from those under which events have been taken in.
    #[error("{0}")]
    Contracts(Diagnostics),
    /// A name that was selected is not a model.
    #[error("there is no model `{name}`{}", hint(.nearest))]
    UnknownModel {
        /// The name.
        name: String,
        /// A model with a similar name.
        nearest: Option<String>,
    },
    /// The run took longer than `engine.timeout`.
    #[error("model {model} took longer than engine.timeout ({}s); raise it or narrow the run", .limit.as_secs())]
    TimedOut {
        /// The model.
        model: String,
        /// The limit.
        limit: Duration,
    },
    /// A model that this one reads has failed.
    #[error("model {model} was not run because {upstream} failed")]
    UpstreamFailed {
        /// The model.
        model: String,
        /// The model that failed.
        upstream: String,
    },
    /// Another model has waited in vain for what this one needs, too.
    #[error("model {model} was not run because {store} does not answer")]
    StoreAway {
        /// The model.
        model: String,
        /// The store, such as `landing (hdfs://…)`.
        store: String,
    },
    /// Checks keep a model's new rows from being published.
    #[error("the new rows of {model} were not published: {failed} did not pass")]
    ChecksFailed {
        /// The model.
        model: String,
        /// The checks, in words.
        failed: String,
    },
    /// A model cannot be backfilled.
    #[error(
        "model {model} has no `partition:` column, so single days of it cannot be rebuilt; use --full-refresh --select {model}"
    )]
    NoPartition {
        /// The model.
        model: String,
    },
    /// A task ended abnormally.
    #[error("model {model} ended abnormally: {reason}")]
    Aborted {
        /// The model.
        model: String,
        /// What happened.
        reason: String,
    },
}

impl PipelineError {
    /// The store that did not answer, if that is the cause.
    pub(crate) fn store_away(&self) -> Option<&str> {
        // Transparent: it is not among its own causes.
        let mut cause: Option<&(dyn std::error::Error + 'static)> = match self {
            Self::Store(error) => Some(error),
            other => Some(other),
        };
        while let Some(error) = cause {
            if let Some(error) = error.downcast_ref::<StoreError>() {
                return (error.kind == StoreErrorKind::Unavailable).then_some(&error.store);
            }
            cause = error.source();
        }
        None
    }
}

fn hint(nearest: &Option<String>) -> String {
    nearest.as_ref().map(|name| format!("; did you mean `{name}`?")).unwrap_or_default()
}

/// A message that names the setting where a limit was reached.
pub(crate) fn describe(error: &DataFusionError) -> String {
    match error.find_root() {
        DataFusionError::ResourcesExhausted(message) => {
            let operator = refused_operator(message).unwrap_or("an operator");
            format!("{operator} needs more memory than is left of engine.memory_limit; raise it")
        }
        DataFusionError::External(error) => error.to_string(),
        error => error.to_string(),
    }
}

/// The operator that was refused memory, in a message such as `Additional allocation failed for
/// ExternalSorter[1] with …`.
fn refused_operator(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once("allocation failed for ")?;
    rest.split(|letter: char| !letter.is_alphanumeric()).next().filter(|name| !name.is_empty())
}

/// Part of `query.memory_limit` for what the footers of the archive's files say.
const FOOTERS_OF_QUERY_MEMORY: usize = 16;

/// All that a run needs.
#[derive(Clone)]
pub struct Engine {
    /// The stores.
    pub stores: Stores,
    /// The project.
    pub project: Arc<CompiledProject>,
    /// Memory, threads, spill space.
    pub limits: EngineLimits,
    /// The shared memory pool and spill space.
    pub runtime: Arc<RuntimeEnv>,
    /// Removed with the last clone.
    pub spill: Arc<SpillFolder>,
    /// Models hold it together; one that needs all memory holds it alone.
    pub memory_turn: Arc<RwLock<()>>,
    /// Models that run at the same time.
    pub model_parallelism: usize,
    /// Longest time for one model.
    pub timeout: Option<Duration>,
    /// What ad-hoc queries may take.
    pub queries: QueryLimits,
    /// How long the outcomes of checks are kept.
    pub keep_checks: Duration,
}

impl Engine {
    /// An engine for `project` with the limits that the settings give.
    pub fn new(
        settings: &Settings,
        stores: Stores,
        project: Arc<CompiledProject>,
    ) -> Result<Self, PipelineError> {
        let engine = &settings.engine;
        let spill = SpillFolder::create(&engine.spill_dir).map_err(|error| {
            let name = format!("spill folder ({})", engine.spill_dir.display());
            StoreError::io(&name, "create it", error)
                .with_advice("check engine.spill_dir and its permissions")
        })?;
        let limits = EngineLimits {
            memory: engine.memory_limit.as_usize(),
            threads: engine.threads,
            spill_folder: spill.path().to_path_buf(),
            footers: settings.query.memory_limit.as_usize() / FOOTERS_OF_QUERY_MEMORY,
        };
        let runtime = build_runtime(&limits).map_err(PipelineError::Setup)?;
        stores.archive.register(&runtime);
        let model_parallelism =
            engine.model_parallelism.map_or_else(|| engine.threads.clamp(1, 4), Into::into);
        let (timeout, queries) =
            (engine.timeout, QueryLimits::new(&settings.query, engine.threads));
        Ok(Self {
            stores,
            project,
            limits,
            runtime,
            spill: Arc::new(spill),
            memory_turn: Arc::default(),
            model_parallelism,
            timeout,
            queries,
            keep_checks: settings.checks.keep,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_store_that_does_not_answer_is_told_from_other_causes() {
        let failed = |kind| {
            let cause = StoreError::new("landing (hdfs://a)", "read a segment", kind, "no answer");
            let source = DataFusionError::External(Box::new(cause)).context("beside");
            PipelineError::Query { model: "fact_purchase".to_owned(), source }
        };
        let away = failed(StoreErrorKind::Unavailable);
        assert_eq!(away.store_away(), Some("landing (hdfs://a)"));
        let unread = StoreError::new("ledger (a)", "read", StoreErrorKind::Unavailable, "gone");
        assert_eq!(PipelineError::from(unread).store_away(), Some("ledger (a)"));
        assert_eq!(failed(StoreErrorKind::Corrupt).store_away(), None);
    }

    #[test]
    fn the_operator_that_was_refused_memory_is_named() {
        let refused = |message: &str| {
            describe(&DataFusionError::ResourcesExhausted(message.to_owned()).context("beside"))
        };
        let known = refused("Additional allocation failed for ExternalSorter[1] with top 2 …");
        assert!(known.starts_with("ExternalSorter needs more memory"), "{known}");
        assert!(known.contains("engine.memory_limit"), "{known}");
        for strange in ["", "no more spill files", "Additional allocation failed for ", "[1]"] {
            assert!(refused(strange).starts_with("an operator needs more memory"), "{strange}");
        }
    }
}
