//! Threads of their own for queries.
//!
//! Some operators work for seconds before they give way, a join without equality for one. On the
//! threads that also wait for signals and timers, two of them would keep an interrupt and a
//! time-out from being seen.

use std::future::Future;
use std::sync::OnceLock;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::error::QueryError;

/// The threads, which begin with the first query.
#[derive(Debug)]
pub(super) struct QueryExecutor {
    threads: usize,
    runtime: OnceLock<Runtime>,
}

impl QueryExecutor {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads: threads.max(1), runtime: OnceLock::new() }
    }

    /// Runs a task on the threads.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(super) fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<JoinHandle<()>, QueryError> {
        if let Some(runtime) = self.runtime.get() {
            return Ok(runtime.spawn(task));
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(self.threads)
            .thread_name("query")
            .enable_all()
            .build()
            .map_err(|error| QueryError::Aborted { reason: format!("no threads: {error}") })?;
        // Two first queries at once make two; the later one's has not been used.
        if let Err(unused) = self.runtime.set(runtime) {
            unused.shutdown_background();
        }
        match self.runtime.get() {
            Some(runtime) => Ok(runtime.spawn(task)),
            None => Err(QueryError::Aborted { reason: "no threads".to_owned() }),
        }
    }
}

impl Drop for QueryExecutor {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not allowed where asynchronous work is dropped.
            runtime.shutdown_background();
        }
    }
}
