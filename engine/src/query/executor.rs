//! Threads of their own for queries.
//!
//! Some operators work for seconds before they give way, a join without equality for one. On the
//! threads that also wait for signals and timers, two of them would keep an interrupt and a
//! time-out from being seen. A query that was left may go on so; whoever asks next does not wait
//! for it but gets new threads, and the old ones end when their operators give way. Of these there are
//! only so many: then whoever asks next is told to come again.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::Mutex;
use tokio::task::JoinHandle;

use super::error::QueryError;

/// How long threads may take to begin with nothing: they are held by a query that was left.
const PATIENCE: Duration = Duration::from_millis(100);

/// Most sets of threads that may still be held by queries that were left, beside those that are given
/// to new ones.
const MOST_RETIRED: usize = 3;

/// How long a new query waits where all of them are held.
const BUSY_PATIENCE: Duration = Duration::from_secs(1);

/// Gives queries their threads, which begin with the first one.
#[derive(Debug)]
pub(super) struct QueryExecutor {
    threads: usize,
    generations: Mutex<Generations>,
    /// Whether a query was left before its end since the threads were last seen to be free.
    doubted: AtomicBool,
}

#[derive(Debug, Default)]
struct Generations {
    current: Option<Arc<QueryThreads>>,
    /// How many threads each set still has that is not given to new queries any more.
    retired: Vec<Arc<AtomicUsize>>,
}

impl QueryExecutor {
    pub(super) fn new(threads: usize) -> Self {
        Self {
            threads: threads.max(1),
            generations: Mutex::default(),
            doubted: AtomicBool::new(false),
        }
    }

    /// As many threads that nobody of these holds.
    pub(super) fn another(&self) -> Self {
        Self::new(self.threads)
    }

    /// The threads for a query. They last as long as somebody has them.
    ///
    /// # Errors
    /// [`QueryError::Busy`] while queries that were left hold as many threads as they may. Also when the
    /// system gives no threads.
    pub(super) async fn threads(&self) -> Result<Arc<QueryThreads>, QueryError> {
        let waiting = Instant::now();
        loop {
            // Whoever comes while another looks does not get threads that are held.
            let mut generations = self.generations.lock().await;
            let Some(current) = generations.current.clone() else {
                return generations.begin(self.threads);
            };
            let doubted = self.doubted.swap(false, Ordering::Relaxed);
            if !doubted || current.answer().await {
                return Ok(current);
            }
            generations.retired.retain(|alive| alive.load(Ordering::Relaxed) > 0);
            if generations.retired.len() < MOST_RETIRED {
                generations.retired.push(Arc::clone(&current.alive));
                return generations.begin(self.threads);
            }
            self.doubted.store(true, Ordering::Relaxed);
            if waiting.elapsed() >= BUSY_PATIENCE {
                return Err(QueryError::Busy);
            }
        }
    }

    /// Tells that a query was left, whose operators may hold their threads for a while.
    pub(super) fn doubt(&self) {
        self.doubted.store(true, Ordering::Relaxed);
    }
}

impl Generations {
    fn begin(&mut self, threads: usize) -> Result<Arc<QueryThreads>, QueryError> {
        let threads = Arc::new(QueryThreads::start(threads)?);
        self.current = Some(Arc::clone(&threads));
        Ok(threads)
    }
}

/// Threads that run queries.
#[derive(Debug)]
pub(super) struct QueryThreads {
    /// There until it is dropped.
    runtime: Option<Runtime>,
    /// How many have begun and not ended. What was dropped may still have some.
    alive: Arc<AtomicUsize>,
}

impl QueryThreads {
    fn start(threads: usize) -> Result<Self, QueryError> {
        let alive = Arc::new(AtomicUsize::new(0));
        let (begun, ended) = (Arc::clone(&alive), Arc::clone(&alive));
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("query")
            .on_thread_start(move || {
                begun.fetch_add(1, Ordering::Relaxed);
            })
            .on_thread_stop(move || {
                ended.fetch_sub(1, Ordering::Relaxed);
            })
            .enable_all()
            .build()
            .map_err(|error| QueryError::Aborted { reason: format!("no threads: {error}") })?;
        Ok(Self { runtime: Some(runtime), alive })
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

    #[tokio::test]
    async fn queries_that_were_left_hold_only_so_many_threads() {
        let executor = QueryExecutor::new(1);
        let mut held = Vec::new();
        for _ in 0..=MOST_RETIRED {
            let threads = executor.threads().await.unwrap();
            let (let_go, holds) = mpsc::channel::<()>();
            let (begun, has_begun) = mpsc::channel();
            let operator = async move {
                begun.send(()).unwrap();
                let _ = holds.recv();
            };
            threads.spawn(operator).unwrap();
            has_begun.recv().unwrap();
            executor.doubt();
            held.push(let_go);
        }
        // The last set is the one that new queries get; the others are held and were replaced.
        let refused = executor.threads().await.unwrap_err();
        assert!(matches!(refused, QueryError::Busy), "{refused}");
        assert!(refused.to_string().contains("try again"), "{refused}");
        let refused = executor.threads().await.unwrap_err();
        assert!(matches!(refused, QueryError::Busy), "it is looked at again: {refused}");

        // One that ends makes room.
        drop(held.remove(0));
        let mut threads = executor.threads().await;
        while threads.is_err() {
            threads = executor.threads().await;
        }
        threads.unwrap().spawn(async {}).unwrap().await.unwrap();
    }
}
