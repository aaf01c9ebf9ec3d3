//! A client of HDFS that can be given up.
//!
//! `hdfs-native` knows no time-outs, and what it has begun (pipelines to DataNodes, their heartbeats,
//! the renewal of leases) goes on after its futures are dropped. So the client lives on threads of
//! its own: a call that does not end in time ends them, with all that hangs there, and the next call
//! gets a new client. A panic in it is an error of the call.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hdfs_native::{Client, ClientBuilder, HdfsError};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

use super::HdfsFailure;
use crate::settings::HdfsUrl;

/// Threads of a client: sockets and checksums keep one of them busy at most for long.
const THREADS: usize = 2;

/// The cluster, and the client that speaks to it just now.
pub(super) struct Connection {
    url: HdfsUrl,
    current: Mutex<Option<Arc<Generation>>>,
}

/// A client and the threads that it lives on.
struct Generation {
    client: Client,
    runtime: Option<Runtime>,
}

impl Drop for Generation {
    fn drop(&mut self) {
        // Without waiting: this may be a thread that must not, and there may be what never ends.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Connection({})", self.url)
    }
}

impl Connection {
    /// Reads Hadoop's configuration, and fails if it does not know the cluster. Asks no server.
    pub(super) fn open(url: &HdfsUrl) -> Result<Self, HdfsFailure> {
        let first = Generation::begin(url, false)?;
        Ok(Self { url: url.clone(), current: Mutex::new(Some(Arc::new(first))) })
    }

    /// Does `work` with the client, for so long at most.
    pub(super) async fn call<T, Work>(
        &self,
        limit: Duration,
        work: impl FnOnce(Client) -> Work,
    ) -> Result<T, HdfsFailure>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, HdfsFailure>> + Send + 'static,
    {
        let generation = self.generation()?;
        let Some(runtime) = &generation.runtime else {
            return Err(HdfsError::InternalError("a client without threads".to_owned()).into());
        };
        let mut task = Abandoned(runtime.spawn(work(generation.client.clone())));
        let result = match tokio::time::timeout(limit, &mut task.0).await {
            Ok(Ok(result)) => result,
            Ok(Err(error)) => Err(HdfsFailure::Panicked(error)),
            Err(_) => Err(HdfsFailure::TimedOut(limit)),
        };
        if matches!(result, Err(HdfsFailure::TimedOut(_) | HdfsFailure::Panicked(_))) {
            self.give_up(&generation);
        }
        result
    }

    /// The client for the next call.
    fn generation(&self) -> Result<Arc<Generation>, HdfsFailure> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(generation) = &*current {
            return Ok(Arc::clone(generation));
        }
        // The last one may have hung on the first of several NameNodes.
        let next = Arc::new(Generation::begin(&self.url, true)?);
        *current = Some(Arc::clone(&next));
        Ok(next)
    }

    /// Takes no further call to this client; it ends with the last call that is still under way.
    fn give_up(&self, generation: &Arc<Generation>) {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if current.as_ref().is_some_and(|known| Arc::ptr_eq(known, generation)) {
            *current = None;
        }
    }
}

impl Generation {
    /// `shuffled` asks the NameNodes of a name service in any order.
    fn begin(url: &HdfsUrl, shuffled: bool) -> Result<Self, HdfsFailure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("questlake-hdfs")
            .enable_all()
            .build()
            .map_err(HdfsFailure::Threads)?;
        let mut settings = Vec::new();
        if shuffled {
            let name = format!("dfs.client.failover.random.order.{}", url.authority());
            settings.push((name, "true".to_owned()));
        }
        let built = ClientBuilder::new()
            .with_url(format!("hdfs://{}", url.authority()))
            .with_config(settings)
            .with_io_runtime(runtime.handle().clone())
            .build();
        match built {
            Ok(client) => Ok(Self { client, runtime: Some(runtime) }),
            Err(error) => {
                runtime.shutdown_background();
                Err(error.into())
            }
        }
    }
}

/// A task that ends when nobody waits for it any more.
struct Abandoned<T>(JoinHandle<T>);

impl<T> Drop for Abandoned<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A step of a call, for so long at most.
pub(super) async fn within<T>(
    limit: Duration,
    step: impl Future<Output = Result<T, HdfsError>>,
) -> Result<T, HdfsFailure> {
    match tokio::time::timeout(limit, step).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(HdfsFailure::TimedOut(limit)),
    }
}
