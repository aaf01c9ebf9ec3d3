//! Runs tests: each in a session of its own, over tables in memory.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::prelude::SessionConfig;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tokio::task::JoinSet;

use super::compare::compare;
use super::{ModelTest, Outcome, TestReport};
use crate::catalog::Namespace;
use crate::catalog::events::{ENVELOPE_TABLE, envelope_schema};
use crate::catalog::memory::panic_text;
use crate::catalog::runtime::set_sql_options;
use crate::models::CompiledProject;
use crate::models::errors::tidy;
use crate::pipeline::execute::model_rows;

/// Runs the tests, so many at the same time, and returns the reports in the order of the tests.
pub fn run<'a>(
    project: &'a Arc<CompiledProject>,
    tests: &'a [Arc<ModelTest>],
    at_once: usize,
) -> BoxFuture<'a, Vec<TestReport>> {
    Box::pin(async move {
        let mut reports = Vec::with_capacity(tests.len());
        let mut tasks = JoinSet::new();
        let mut waiting = tests.iter().enumerate();
        loop {
            while tasks.len() < at_once.max(1)
                && let Some((index, test)) = waiting.next()
            {
                let (project, test) = (Arc::clone(project), Arc::clone(test));
                tasks.spawn(async move { run_one(&project, &test, index).await });
            }
            match tasks.join_next().await {
                Some(Ok(report)) => reports.push(report),
                // Panics are caught within; nothing else ends a task.
                Some(Err(_)) => {}
                None => break,
            }
        }
        reports.sort_by_key(|report| report.index);
        reports
    })
}

async fn run_one(project: &CompiledProject, test: &ModelTest, index: usize) -> TestReport {
    let started = Instant::now();
    let result = AssertUnwindSafe(result_of(project, test)).catch_unwind().await;
    let outcome = match result {
        Ok(Ok(rows)) => {
            let differences = compare(test, &rows);
            if differences.is_empty() { Outcome::Passed } else { Outcome::Failed { differences } }
        }
        Ok(Err(error)) => Outcome::Broken { error: tidy(&error.find_root().to_string()) },
        Err(panic) => Outcome::Broken { error: panic_text(&*panic) },
    };
    TestReport { index, outcome, elapsed: started.elapsed() }
}

/// The rows that the model makes of what is given.
async fn result_of(
    project: &CompiledProject,
    test: &ModelTest,
) -> Result<RecordBatch, DataFusionError> {
    let mut namespace = Namespace::default();
    let table = |rows: Option<&RecordBatch>, schema| -> Result<Arc<dyn TableProvider>, _> {
        let partitions = vec![rows.into_iter().cloned().collect()];
        MemTable::try_new(schema, partitions).map(|table| Arc::new(table) as _)
    };
    for contract in &project.contracts {
        let rows = test.given.events.get(&contract.event_type);
        namespace.add_events(&contract.event_type, table(rows, Arc::clone(&contract.schema))?);
    }
    let rows = test.given.events.get(ENVELOPE_TABLE);
    namespace.add_events(ENVELOPE_TABLE, table(rows, envelope_schema())?);
    for read in &test.model.reads {
        let Some(upstream) = project.model(&read.model) else { continue };
        let rows = test.given.star.get(&read.model);
        namespace.add_star(&read.model, table(rows, upstream.table.schema())?);
    }
    namespace.add_changed_dates(test.given.changed_dates.clone())?;
    let mut config = SessionConfig::new().with_target_partitions(1);
    set_sql_options(&mut config);
    let session = namespace.into_session(config, Arc::new(RuntimeEnv::default()))?;
    let mut stream = model_rows(&session, &test.model).await?.execute_stream().await?;
    let schema = stream.schema();
    let mut batches = Vec::new();
    while let Some(batch) = stream.next().await {
        batches.push(batch?);
    }
    Ok(concat_batches(&schema, &batches)?)
}
