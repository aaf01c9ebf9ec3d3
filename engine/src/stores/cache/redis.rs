//! The shared cache: a Redis server.
//!
//! A server that is away costs one call its time-out; after that, calls are misses at once until it
//! is time to ask again. Going away and coming back are logged, once a minute at most; the calls in
//! between are not.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use bytes::Bytes;
use redis::aio::{ConnectionManager, ConnectionManagerConfig};
use redis::{Client, FromRedisValue, RedisError};
use tracing::{info, warn};

use super::{Cache, LONGEST_TIME};
use crate::settings::{ServerUrl, format_duration};
use crate::stores::error::{StoreError, StoreErrorKind, StoreResult};
use crate::stores::tls::choose_cryptography;

/// In front of every key, so that a server may hold other things too.
const KEY_PREFIX: &str = "questlake:";

/// Largest value that is sent.
const LARGEST_VALUE: usize = 8 << 20;

/// Time between two lines of the log that say that the server does not answer: one that is at its limits
/// goes and comes with every call.
const TELL_AGAIN: Duration = Duration::from_secs(60);

/// Time until a server that was away is asked again.
const ASK_AGAIN: Duration = Duration::from_secs(1);

/// Least time for a connection, TLS and password included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);

/// The cache on Redis. It connects when it is used first.
pub struct RedisCache {
    url: ServerUrl,
    client: Client,
    timeout: Duration,
    connection: Mutex<Option<Connection>>,
    away: Mutex<Option<Away>>,
    told: Mutex<Told>,
}

/// A connection, in the making or made.
struct Connection {
    manager: ConnectionManager,
    since: Instant,
}

/// What the log has been told.
#[derive(Default)]
struct Told {
    /// When it was told last that the server does not answer.
    at: Option<Instant>,
    /// Whether it is to be told that the server answers again.
    is_away: bool,
}

/// A server that does not answer.
struct Away {
    ask_again: Instant,
    reason: String,
}

impl RedisCache {
    /// The cache at this URL, whose calls take this long at most.
    ///
    /// # Errors
    /// The URL is not one that Redis's client understands.
    pub fn new(url: &ServerUrl, timeout: Duration) -> StoreResult<Self> {
        // The client of `rediss://` takes whatever cryptography was chosen.
        choose_cryptography();
        let client = Client::open(url.reveal()).map_err(|error| {
            let reason = url.scrub(&error.to_string());
            StoreError::new(name_of(url), "read its URL", StoreErrorKind::Incompatible, reason)
                .with_advice("write redis://:password@host:6379/0, or rediss:// for TLS")
        })?;
        Ok(Self {
            url: url.clone(),
            client,
            timeout,
            connection: Mutex::new(None),
            away: Mutex::new(None),
            told: Mutex::default(),
        })
    }

    /// Runs a command; `None` if the server does not answer it.
    async fn ask<T: FromRedisValue>(&self, command: &redis::Cmd) -> Option<T> {
        self.ask_within(self.timeout, command).await
    }

    async fn ask_within<T: FromRedisValue>(
        &self,
        patience: Duration,
        command: &redis::Cmd,
    ) -> Option<T> {
        if self.is_away() {
            return None;
        }
        let answer = tokio::time::timeout(patience, async {
            let mut connection = self.connection()?;
            command.query_async(&mut connection).await
        });
        match answer.await {
            Ok(Ok(value)) => {
                self.note_answer();
                Some(value)
            }
            Ok(Err(error)) => {
                self.forget_connection();
                self.note_fault(self.url.scrub(&error.to_string()));
                None
            }
            Err(_) => {
                self.forget_connection();
                self.note_fault(format!("no answer within {}", format_duration(patience)));
                None
            }
        }
    }

    /// Connects with the first command, and anew with the next one after a failure.
    fn connection(&self) -> Result<ConnectionManager, RedisError> {
        let mut connection = lock(&self.connection);
        if let Some(connection) = &*connection {
            return Ok(connection.manager.clone());
        }
        let config = ConnectionManagerConfig::new()
            // Calls come again by themselves, and have a time-out of their own.
            .set_number_of_retries(0)
            .set_response_timeout(None)
            .set_connection_timeout(Some(self.connect_timeout()));
        let manager = ConnectionManager::new_lazy_with_config(self.client.clone(), config)?;
        // A call gives up sooner, and a connection that nobody waits for would not go on being made.
        let mut waiting = manager.clone();
        tokio::spawn(async move {
            let _: Result<String, RedisError> = redis::cmd("PING").query_async(&mut waiting).await;
        });
        *connection = Some(Connection { manager: manager.clone(), since: Instant::now() });
        Ok(manager)
    }

    fn connect_timeout(&self) -> Duration {
        self.timeout.max(CONNECT_TIMEOUT)
    }

    /// Gives up a connection at whose other end nobody may be any more, or that was refused for good,
    /// unless it may still be in the making.
    fn forget_connection(&self) {
        let made =
            |connection: &mut Connection| connection.since.elapsed() >= self.connect_timeout();
        lock(&self.connection).take_if(made);
    }

    fn is_away(&self) -> bool {
        lock(&self.away).as_ref().is_some_and(|away| Instant::now() < away.ask_again)
    }

    fn note_answer(&self) {
        let was_away = lock(&self.away).take().is_some();
        if was_away && std::mem::take(&mut lock(&self.told).is_away) {
            info!(cache = %self.url, "the {} answers again", self.name());
        }
    }

    fn note_fault(&self, reason: String) {
        let mut away = lock(&self.away);
        let mut told = lock(&self.told);
        if away.is_none() && told.at.is_none_or(|at| at.elapsed() >= TELL_AGAIN) {
            *told = Told { at: Some(Instant::now()), is_away: true };
            warn!(
                cache = %self.url,
                "the {} does not answer: {reason}; answers are computed anew until it does",
                self.name()
            );
        }
        *away = Some(Away { ask_again: Instant::now() + ASK_AGAIN, reason });
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn get(&self, key: &str) -> Option<Bytes> {
        let value: Option<Vec<u8>> = self.ask(redis::cmd("GET").arg(prefixed(key))).await?;
        value.map(Bytes::from)
    }

    async fn set(&self, key: &str, value: Bytes, time_to_live: Duration) {
        // Redis does not know longer times than its clock does, and none of 0.
        let time_to_live = time_to_live.min(LONGEST_TIME);
        let milliseconds = u64::try_from(time_to_live.as_millis()).unwrap_or(0);
        if value.len() > LARGEST_VALUE || milliseconds == 0 {
            // What was there is older.
            let _: Option<i64> = self.ask(redis::cmd("DEL").arg(prefixed(key))).await;
            return;
        }
        let mut command = redis::cmd("SET");
        command.arg(prefixed(key)).arg(&value[..]).arg("PX").arg(milliseconds);
        let _: Option<()> = self.ask(&command).await;
    }

    async fn fault(&self) -> Option<String> {
        // Whoever has just started has to connect first.
        let patience = self.connect_timeout();
        let answered: Option<String> = self.ask_within(patience, &redis::cmd("PING")).await;
        if answered.is_some() {
            return None;
        }
        // Another call may have been answered in between.
        lock(&self.away).as_ref().map(|away| away.reason.clone())
    }

    fn name(&self) -> String {
        name_of(&self.url)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn name_of(url: &ServerUrl) -> String {
    format!("cache ({url})")
}

fn prefixed(key: &str) -> String {
    format!("{KEY_PREFIX}{key}")
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn a_server_that_is_away_is_a_miss_and_is_not_asked_all_the_time() {
        // A port that was free a moment ago, and where nobody listens.
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let url = ServerUrl::new(format!("redis://:s3cret@127.0.0.1:{port}/0"));
        let cache = RedisCache::new(&url, Duration::from_secs(5)).unwrap();
        assert_eq!(cache.get("key").await, None);
        assert!(cache.is_away());
        cache.set("key", Bytes::from_static(b"value"), Duration::from_secs(60)).await;
        assert_eq!(cache.get("key").await, None);
        let fault = cache.fault().await.unwrap();
        assert!(!fault.is_empty() && !fault.contains("s3cret"), "{fault}");
        assert!(!cache.name().contains("s3cret"));
    }

    #[tokio::test]
    async fn a_server_that_says_nothing_takes_no_longer_than_the_time_out() {
        // Connections wait there, and nobody accepts them.
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let url = ServerUrl::new(format!("redis://127.0.0.1:{port}"));
        let cache = RedisCache::new(&url, Duration::from_millis(50)).unwrap();
        let begun = Instant::now();
        assert_eq!(cache.get("key").await, None);
        assert_eq!(cache.get("key").await, None);
        assert!(begun.elapsed() < Duration::from_secs(5));
        assert!(cache.fault().await.unwrap().contains("no answer within 50ms"));
    }

    /// Over TLS and from afar, a connection takes several times as long as a call.
    #[tokio::test]
    async fn a_connection_may_take_longer_than_a_call() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (release, released) = oneshot::channel::<()>();
        tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            // Nobody gets a second one.
            drop(listener);
            released.await.unwrap();
            let mut bytes = [0; 4096];
            while let Ok(count @ 1..) = stream.read(&mut bytes).await {
                let commands = bytes[..count].iter().filter(|byte| **byte == b'*').count();
                stream.write_all("+OK\r\n".repeat(commands).as_bytes()).await.unwrap();
            }
        });
        let url = ServerUrl::new(format!("redis://127.0.0.1:{port}"));
        let cache = RedisCache::new(&url, Duration::from_millis(50)).unwrap();
        assert_eq!(cache.get("key").await, None);
        release.send(()).unwrap();
        let begun = Instant::now();
        while let Some(fault) = cache.fault().await {
            assert!(begun.elapsed() < Duration::from_secs(20), "{fault}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    #[test]
    fn a_url_that_is_not_understood_is_refused_without_its_password() {
        let url = ServerUrl::new("redis://:s3cret@host:notaport");
        let error = RedisCache::new(&url, Duration::from_secs(1)).err().unwrap().to_string();
        assert!(error.contains("redis://:***@host") && !error.contains("s3cret"), "{error}");
    }
}
