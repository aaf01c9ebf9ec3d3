//! A client of HDFS that can be given up.
//!
//! `hdfs-native` knows no time-outs, and what it has begun (pipelines to DataNodes, their heartbeats,
//! the renewal of leases) goes on after its futures are dropped. So the client lives on threads of
//! its own: a call that does not end in time ends them, with all that hangs there, and the next call
//! gets a new client. A panic in it is an error of the call.
//!
//! Of a name service the new client begins with the NameNode that is active then. Where that one is
//! gone or has stepped back, the client goes to the next by itself.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use hdfs_native::{Client, ClientBuilder, HdfsError};
use tokio::runtime::{Handle, Runtime};
use tokio::task::JoinHandle;

use super::HdfsFailure;
use super::active::find_active;
use super::hadoop_files::HadoopFiles;
use super::name_service::NameService;
use crate::settings::HdfsUrl;

/// Threads of a client: sockets and checksums keep one of them busy at most for long.
const THREADS: usize = 2;

/// The cluster, and the client that speaks to it just now.
pub(super) struct Connection {
    url: HdfsUrl,
    /// Nothing for a NameNode by its address, and where only the client can tell the NameNodes.
    service: Option<NameService>,
    current: Mutex<Option<Arc<Generation>>>,
}

/// A client and the threads that it lives on.
struct Generation {
    client: Client,
    threads: Threads,
}

/// Threads that end without being waited for.
pub(super) struct Threads {
    runtime: Option<Runtime>,
    handle: Handle,
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "Connection({})", self.url)
    }
}

impl Connection {
    /// Reads Hadoop's configuration, and fails if it does not know the cluster. Asks no server.
    pub(super) fn open(url: &HdfsUrl) -> Result<Self, HdfsFailure> {
        let service = NameService::of(url.authority(), &HadoopFiles::read());
        let threads = Threads::start()?;
        let settings = service.as_ref().map(|service| service.beginning_with(0));
        let client = threads.client(url.authority(), settings.unwrap_or_default())?;
        // Which of several NameNodes to begin with is found out by the first call.
        let is_settled = service.as_ref().is_none_or(|service| service.len() == 1);
        let current = is_settled.then(|| Arc::new(Generation { client, threads }));
        Ok(Self { url: url.clone(), service, current: Mutex::new(current) })
    }

    /// Does `work` with the client, for so long at most; before it, the active NameNode of a name
    /// service may have to be found.
    pub(super) async fn call<T, Work>(
        &self,
        limit: Duration,
        work: impl FnOnce(Client) -> Work,
    ) -> Result<T, HdfsFailure>
    where
        T: Send + 'static,
        Work: Future<Output = Result<T, HdfsFailure>> + Send + 'static,
    {
        let generation = self.generation().await?;
        let handle = generation.threads.handle();
        let mut task = Abandoned(handle.spawn(work(generation.client.clone())));
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

    /// The client for the next call. Calls that begin together may each make one, so that none of
    /// them waits for what another one waits for; the first is taken.
    async fn generation(&self) -> Result<Arc<Generation>, HdfsFailure> {
        let known = self.current().clone();
        if let Some(generation) = known {
            return Ok(generation);
        }
        let next = Arc::new(self.begin().await?);
        Ok(Arc::clone(self.current().get_or_insert(next)))
    }

    async fn begin(&self) -> Result<Generation, HdfsFailure> {
        let authority = self.url.authority();
        let threads = Threads::start()?;
        let settings = match &self.service {
            Some(service) if service.len() > 1 => {
                service.beginning_with(find_active(service, authority, &threads).await?)
            }
            Some(service) => service.beginning_with(0),
            // If one name stands for several NameNodes, the last client may have hung on the first.
            None => {
                let name = format!("dfs.client.failover.random.order.{authority}");
                vec![(name, "true".to_owned())]
            }
        };
        let client = threads.client(authority, settings)?;
        Ok(Generation { client, threads })
    }

    fn current(&self) -> MutexGuard<'_, Option<Arc<Generation>>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes no further call to this client; it ends with the last call that is still under way.
    fn give_up(&self, generation: &Arc<Generation>) {
        let mut current = self.current();
        if current.as_ref().is_some_and(|known| Arc::ptr_eq(known, generation)) {
            *current = None;
        }
    }
}

impl Threads {
    pub(super) fn start() -> Result<Self, HdfsFailure> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(THREADS)
            .thread_name("questlake-hdfs")
            .enable_all()
            .build()
            .map_err(HdfsFailure::Threads)?;
        Ok(Self { handle: runtime.handle().clone(), runtime: Some(runtime) })
    }

    pub(super) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// A client of the cluster that lives on these threads. The settings go before those of Hadoop's
    /// files.
    pub(super) fn client(
        &self,
        authority: &str,
        settings: Vec<(String, String)>,
    ) -> Result<Client, HdfsFailure> {
        let builder = ClientBuilder::new().with_url(format!("hdfs://{authority}"));
        Ok(builder.with_config(settings).with_io_runtime(self.handle.clone()).build()?)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Without waiting: this may be a thread that must not, and there may be what never ends.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
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
