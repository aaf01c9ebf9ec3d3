//! Connections: how many, how long a request's head may take, and how they end.

mod addresses;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use futures::future::BoxFuture;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use crate::api::Api;
use addresses::{Addresses, OfAddress};

/// Longest time for the head of a request: a connection that says nothing gives its place away.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Largest head of a request.
const HEAD_BYTES: usize = 64 << 10;

/// Pause after the system has refused a connection: it has none left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Answers until `stopped` comes, then ends the connections as soon as their requests are answered. Those
/// that are open when this future is dropped end at once.
///
/// # Errors
/// None but for the listener's own.
pub fn serve(
    listener: TcpListener,
    router: Router,
    api: Arc<Api>,
    mut stopped: BoxFuture<'static, ()>,
) -> BoxFuture<'static, io::Result<()>> {
    Box::pin(async move {
        let places = Arc::new(Semaphore::new(api.settings.max_connections));
        let addresses = Addresses::new(api.settings.max_connections_per_address);
        let mut connections = JoinSet::new();
        let (tell, told) = watch::channel(());
        loop {
            let connection = async {
                let place = Arc::clone(&places).acquire_owned().await.map_err(io::Error::other)?;
                let (stream, peer) = listener.accept().await?;
                Ok::<_, io::Error>((stream, peer, place))
            };
            while connections.try_join_next().is_some() {}
            let accepted = tokio::select! {
                accepted = connection => accepted,
                () = &mut stopped => break,
            };
            match accepted {
                Ok((stream, peer, place)) => {
                    let Some(of_address) = addresses.take(peer.ip()) else {
                        // Its places would be those of others.
                        debug!(%peer, "{peer} has more than api.max_connections_per_address");
                        continue;
                    };
                    let connection = Connection {
                        router: router.clone(),
                        api: Arc::clone(&api),
                        place,
                        of_address,
                    };
                    connections.spawn(connection.run(stream, told.clone()));
                }
                Err(error) if is_one_connections(&error) => {
                    debug!(%error, "a connection ended before it began: {error}");
                }
                Err(error) => {
                    warn!(%error, "no connection could be taken: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        api.stopping.store(true, Ordering::Relaxed);
        drop(listener);
        drop(told);
        tell.send_replace(());
        while connections.join_next().await.is_some() {}
        Ok(())
    })
}

/// Whether an error is about one connection, and not about all.
fn is_one_connections(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
    )
}

struct Connection {
    router: Router,
    api: Arc<Api>,
    /// Given back when the connection has ended.
    place: OwnedSemaphorePermit,
    of_address: OfAddress,
}

impl Connection {
    async fn run(self, stream: TcpStream, mut told: watch::Receiver<()>) {
        let Self { router, api, place, of_address } = self;
        // Answers are written as a whole: nothing is gained by waiting for more.
        let _ = stream.set_nodelay(true);
        api.metrics.connected();
        let serving = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_BYTES)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
        let mut serving = std::pin::pin!(serving);
        let ended = tokio::select! {
            ended = &mut serving => ended,
            _ = told.changed() => {
                serving.as_mut().graceful_shutdown();
                serving.await
            }
        };
        if let Err(error) = ended {
            // The other side has gone, or has sent what is no HTTP.
            debug!(%error, "a connection broke: {error}");
        }
        api.metrics.disconnected();
        drop((place, of_address));
    }
}
