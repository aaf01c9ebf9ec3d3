//! Threads of their own for queries.
//!
//! Some operators work for seconds before they give way, a join without equality for one. On the
//! threads that also wait for signals and timers, two of them would keep an interrupt and a
//! time-out from being seen. A query that was left may go on so; whoever asks next does not wait
//! for it but gets new threads, and the old ones end when their operators give way.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

use super::error::QueryError;

/// How long threads may take to begin with nothing: they are held by a query that was left.
const PATIENCE: Duration = Duration::from_millis(100);

/// Gives queries their threads, which begin with the first one.
#[derive(Debug)]
pub(super) struct QueryExecutor {
    threads: usize,
    current: Mutex<Option<Arc<QueryThreads>>>,
    /// Whether a query was left before its end since the threads were last seen to be free.
    doubted: AtomicBool,
}

impl QueryExecutor {
    pub(super) fn new(threads: usize) -> Self {
        let threads = threads.max(1);
        Self { threads, current: Mutex::new(None), doubted: AtomicBool::new(false) }
    }

    /// The threads for a query. They last as long as somebody has them.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub(super) async fn threads(&self) -> Result<Arc<QueryThreads>, QueryError> {
        let current = self.current().clone();
        if let Some(threads) = current {
            let doubted = self.doubted.swap(false, Ordering::Relaxed);
            if !doubted || threads.answer().await {
                return Ok(threads);
            }
        }
        let threads = Arc::new(QueryThreads::start(self.threads)?);
        // Of two first queries at once, each has threads; later ones share those of one of them.
        *self.current() = Some(Arc::clone(&threads));
        Ok(threads)
    }

    /// Tells that a query was left, whose operators may hold their threads for a while.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<QueryThreads>>> {
        // Nothing panics while it holds the lock, and the value is whole at any instant.
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Threads that run queries.
#[derive(Debug)]
pub(super) struct QueryThreads {
    /// There until it is dropped.
    runtime: Option<Runtime>,
}

impl QueryThreads {
    fn start(threads: usize) -> Result<Self, QueryError> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("query")
            .enable_all()
            .build()
            .map_err(|error| QueryError::Aborted { reason: format!("no threads: {error}") })?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Runs a task on the threads.
    ///
    /// # Errors
    /// None but for a mistake of ours: the threads are there until they are dropped.
    pub(super) fn spawn(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> Result<JoinHandle<()>, QueryError> {
        match &self.runtime {
            Some(runtime) => Ok(runtime.spawn(task)),
            None => Err(QueryError::Aborted { reason: "no threads".to_owned() }),
        }
    }

    /// Whether one of them is free soon.
    async fn answer(&self) -> bool {
        let Ok(nothing) = self.spawn(async {}) else { return false };
        matches!(tokio::time::timeout(PATIENCE, nothing).await, Ok(Ok(())))
    }
}

impl Drop for QueryThreads {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            // Waiting is not allowed where asynchronous work is dropped.
            runtime.shutdown_background();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn threads_are_shared_until_a_query_that_was_left_holds_them() {
        let executor = QueryExecutor::new(1);
        let first = executor.threads().await.unwrap();
        executor.doubt();
        assert!(Arc::ptr_eq(&first, &executor.threads().await.unwrap()));

        // An operator that does not give way, on the only thread.
        let (let_go, held) = mpsc::channel::<()>();
        let (begun, has_begun) = mpsc::channel();
        let operator = async move {
            begun.send(()).unwrap();
            let _ = held.recv();
        };
        first.spawn(operator).unwrap();
        has_begun.recv().unwrap();
        assert!(Arc::ptr_eq(&first, &executor.threads().await.unwrap()), "nobody has left it");
        executor.doubt();
        let second = executor.threads().await.unwrap();
        assert!(!Arc::ptr_eq(&first, &second));
        second.spawn(async {}).unwrap().await.unwrap();
        assert!(Arc::ptr_eq(&second, &executor.threads().await.unwrap()));
        drop(let_go);
    }
}
