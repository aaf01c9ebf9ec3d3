//! Connections, each for one piece of work, used again afterwards.
//!
//! Their number is not limited here: a query reads several tables at a time, and queries that wait
//! for each other's connections would never end. The server's own limit is waited for instead.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::runtime::Handle;
use tokio::sync::OnceCell;
use tokio::task::AbortHandle;
use tokio_postgres::{Client, Config};
use tokio_postgres_rustls::MakeRustlsConnect;
use tracing::debug;

use super::{Failure, target, tls};
use crate::settings::ServerUrl;

/// Connections that wait to be used again.
const IDLE_SESSIONS: usize = 8;
/// How long they wait.
const IDLE_TIME: Duration = Duration::from_secs(300);
/// Longest time for making a connection, over all hosts of the URL.
const SESSION_LIMIT: Duration = Duration::from_secs(20);

/// Longest wait for a lock, unless a statement says otherwise.
pub(crate) const LOCK_TIMEOUT: &str = "20s";

/// What every connection is told first. A connection may be the commit point, so that a commit that
/// was answered must last even where the server does not ask for it; a server that asks for more
/// is left to it. Time-outs of the server are ours to set; one that is short would end a long load. A
/// process that stands still in the middle of a transaction must not hold its locks for ever.
const SETUP: &str = "
    SET TIME ZONE 'UTC';
    SET search_path TO pg_catalog;
    SET standard_conforming_strings TO on;
    SET default_transaction_isolation TO 'read committed';
    SET statement_timeout TO 0;
    SET idle_in_transaction_session_timeout TO '30s';
    SET idle_session_timeout TO 0;
    SET tcp_keepalives_idle TO 30;
    SET tcp_keepalives_interval TO 10;
    SET tcp_keepalives_count TO 3;
    SELECT set_config(name, '0', false) FROM pg_settings WHERE name = 'transaction_timeout';
    SELECT set_config('synchronous_commit', 'on', false)
    WHERE current_setting('synchronous_commit') = 'off';
";

/// Has the server notice in the middle of a statement that we have gone. Not every system that it
/// runs on can.
const NOTICE_OUR_END: &str = "SET client_connection_check_interval TO '5s'";

/// What all connections to one database share.
pub(super) struct Shared {
    store: String,
    config: Config,
    tls: MakeRustlsConnect,
    /// Where connections live. A query's own threads may be busy for seconds, or end.
    runtime: Option<Handle>,
    idle: Mutex<Vec<Idle>>,
    installed: OnceCell<()>,
}

struct Idle {
    client: Client,
    driver: Driver,
    since: Instant,
}

/// The task that carries a connection's messages; the connection ends with it.
struct Driver(AbortHandle);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Shared {
    pub(super) fn new(store: String, url: &ServerUrl) -> Result<Self, String> {
        let target = target::parse(url.reveal())?;
        let tls = tls::connector(target.verification, target.root_certificate.as_deref())?;
        Ok(Self {
            store,
            config: target.config,
            tls,
            runtime: Handle::try_current().ok(),
            idle: Mutex::default(),
            installed: OnceCell::new(),
        })
    }

    pub(super) fn store(&self) -> &str {
        &self.store
    }

    pub(super) fn installed(&self) -> &OnceCell<()> {
        &self.installed
    }

    /// Closes the connections that wait.
    pub(super) fn forget_idle(&self) {
        self.idle().clear();
    }

    fn idle(&self) -> MutexGuard<'_, Vec<Idle>> {
        // The list is whole at any instant.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take_idle(&self) -> Option<Idle> {
        let mut idle = self.idle();
        idle.retain(|idle| !idle.client.is_closed() && idle.since.elapsed() < IDLE_TIME);
        idle.pop()
    }
}

/// A connection for one piece of work. Dropped, it is closed, and the server undoes what was not
/// committed; [`end`](Session::end) keeps it for the next one.
pub(crate) struct Session {
    client: Client,
    driver: Driver,
    shared: Arc<Shared>,
}

impl Session {
    pub(super) async fn get(shared: &Arc<Shared>) -> Result<Self, Failure> {
        if let Some(Idle { client, driver, .. }) = shared.take_idle() {
            return Ok(Self { client, driver, shared: Arc::clone(shared) });
        }
        let (config, tls) = (shared.config.clone(), shared.tls.clone());
        let connecting = connect(config, tls);
        let made = match &shared.runtime {
            Some(runtime) => match runtime.spawn(connecting).await {
                Ok(made) => made,
                // The runtime is going down, and the program with it.
                Err(_) => Err(Failure::NoAnswer(Duration::ZERO)),
            },
            None => connecting.await,
        };
        let (client, driver) = made?;
        Ok(Self { client, driver, shared: Arc::clone(shared) })
    }

    /// Ends work that has succeeded and left no transaction open.
    pub(crate) fn end<T>(self, value: T) -> Result<T, Failure> {
        let Self { client, driver, shared } = self;
        let mut idle = shared.idle();
        if !client.is_closed() && idle.len() < IDLE_SESSIONS {
            idle.push(Idle { client, driver, since: Instant::now() });
        }
        Ok(value)
    }
}

impl Deref for Session {
    type Target = Client;

    fn deref(&self) -> &Client {
        &self.client
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Client {
        &mut self.client
    }
}

async fn connect(config: Config, tls: MakeRustlsConnect) -> Result<(Client, Driver), Failure> {
    let connecting = async {
        let (client, connection) = config.connect(tls).await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                // Whoever works with it is told as well.
                debug!(%error, "a connection to PostgreSQL has ended: {error}");
            }
        });
        let driver = Driver(task.abort_handle());
        let setup = format!("{SETUP} SET lock_timeout TO '{LOCK_TIMEOUT}'");
        client.batch_execute(&setup).await?;
        if let Err(error) = client.batch_execute(NOTICE_OUR_END).await
            && error.as_db_error().is_none()
        {
            return Err(Failure::from(error));
        }
        Ok((client, driver))
    };
    match tokio::time::timeout(SESSION_LIMIT, connecting).await {
        Ok(made) => made,
        Err(_) => Err(Failure::NoAnswer(SESSION_LIMIT)),
    }
}
