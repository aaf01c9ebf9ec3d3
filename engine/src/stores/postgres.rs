//! What the PostgreSQL stores share: connections, attempts, time-outs, errors.
//!
//! **Every call ends.** A short operation is an `attempt`: it is bounded
//! on its own and tried again within bounds where the cause may pass (the server restarts, a
//! connection breaks, a deadlock). A long statement is watched: it may
//! take as long as it needs while the server answers others, and is given up when it no longer does.
//!
//! **A COMMIT whose answer is lost** may have taken place. No store here takes a lost answer for a
//! failure or for a success: each transaction that is not the same when done twice compares and
//! sets something, and writes an identifier of its own (`commit_id`) beside it. It is simply done
//! again. Its comparison waits for the lock that the first one may still hold, so that it sees how
//! that one ended; if the comparison fails, the identifier tells whether it was ourselves.
//!
//! | transaction | compares | the identifier lies in |
//! |---|---|---|
//! | commit of a batch | epoch and `next_offset` of each partition | `partitions.commit_id`, and the segment's unique name |
//! | move to the archive | how far the archive goes | `archive.commit_id` |
//! | publication of a model | the model's progress, under an advisory lock | `models.commit_id`; not done again, since staged rows go with their connection |
//! | history of runs | nothing | unique (`commit_id`, place) |
//! | everything else | nothing: done twice, it leaves what it leaves when done once | |
//!
//! **Everything is UTC, UTF-8 and in byte order.** Sessions run in UTC, the database must be UTF-8,
//! and texts have the collation "C", so that the server compares and sorts as DataFusion does.

mod failure;
mod install;
mod session;
mod target;
mod tls;
pub(crate) mod values;

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::timeout;

use super::error::{StoreError, StoreErrorKind, StoreResult};
use super::retry::{RetryPolicy, retry};
use crate::settings::ServerUrl;
pub(crate) use failure::Failure;
use session::Shared;
pub(crate) use session::{LOCK_TIMEOUT, Session};
pub(crate) use target::check as check_url;

/// Schema of the ledger and of the pipeline's own tables.
pub(crate) const OWN_SCHEMA: &str = "questlake";
/// Schema of the models' tables.
pub(crate) const STAR_SCHEMA: &str = "star";

/// Longest time for one attempt at a short operation.
const ATTEMPT_LIMIT: Duration = Duration::from_secs(30);

/// How often a short operation is tried. A server that is restarted answers within that time, and an
/// attempt that was not answered is made once more, over another connection.
const RETRIES: RetryPolicy = RetryPolicy {
    attempts: 24,
    first_wait: Duration::from_millis(100),
    longest_wait: Duration::from_secs(3),
    deadline: Duration::from_secs(45),
};

/// How long a watched statement may be silent before the server is asked for a sign of life.
const WATCH_INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait for such a sign.
const SIGN_LIMIT: Duration = Duration::from_secs(10);
/// Signs in a row that may be missing.
const MISSING_SIGNS: u32 = 3;

/// One PostgreSQL database: connections are made when they are needed, and used again.
#[derive(Clone)]
pub struct PostgresDatabase {
    shared: Arc<Shared>,
}

impl PostgresDatabase {
    /// The database at `url`. `store` names it in messages, such as `warehouse`. Nothing is
    /// connected yet; what is missing in the database is created on the first connection.
    ///
    /// # Errors
    /// A URL that is none, or a root certificate that cannot be read.
    pub fn open(store: &str, url: &ServerUrl) -> StoreResult<Self> {
        let store = format!("{store} ({url})");
        let shared = Shared::new(store.clone(), url).map_err(|what| {
            StoreError::new(store, "read its URL", StoreErrorKind::Incompatible, what)
        })?;
        Ok(Self { shared: Arc::new(shared) })
    }

    /// How messages name this database.
    pub fn store(&self) -> &str {
        self.shared.store()
    }

    /// Does short work over a connection of its own: at most [`ATTEMPT_LIMIT`] at a time, and again
    /// if the cause of a failure may pass. Work that has succeeded ends with [`Session::end`], so
    /// that its connection is used again; any other connection is closed, which undoes its
    /// transaction.
    pub(crate) async fn attempt<T, Work>(
        &self,
        operation: &str,
        work: impl Fn(Session) -> Work,
    ) -> StoreResult<T>
    where
        Work: Future<Output = Result<T, Failure>>,
    {
        let work = &work;
        self.again(operation, || async move {
            let once = async { work(self.session().await?).await };
            timeout(ATTEMPT_LIMIT, once).await.unwrap_or(Err(Failure::NoAnswer(ATTEMPT_LIMIT)))
        })
        .await
    }

    /// Does work that may take long and may be done again, over a connection of its own: watched,
    /// and again if the cause of a failure may pass.
    pub(crate) async fn attempt_long<T, Work>(
        &self,
        operation: &str,
        work: impl Fn(Session) -> Work,
    ) -> StoreResult<T>
    where
        Work: Future<Output = Result<T, Failure>>,
    {
        let work = &work;
        self.again(operation, || async move {
            let session = timeout(ATTEMPT_LIMIT, self.session()).await;
            let session = session.unwrap_or(Err(Failure::NoAnswer(ATTEMPT_LIMIT)))?;
            self.watch(work(session)).await
        })
        .await
    }

    /// Whether the database answers within this time. Asked twice at most: connections that were used
    /// before may have ended meanwhile, or lead to a server that is no more.
    pub(crate) async fn ask(&self, patience: Duration) -> StoreResult<()> {
        let once = |limit: Duration| async move {
            let asked = async {
                let session = self.session().await?;
                session.batch_execute("SELECT 1").await?;
                session.end(())
            };
            timeout(limit, asked).await.unwrap_or(Err(Failure::NoAnswer(limit)))
        };
        let mut answer = once(patience / 3).await;
        if answer.as_ref().is_err_and(Failure::breaks_connections) {
            self.shared.forget_idle();
            answer = once(patience / 3 * 2).await;
        }
        answer.map_err(|failure| self.error("ask for a sign of life", failure))
    }

    async fn again<T, Attempt>(
        &self,
        operation: &str,
        attempt: impl Fn() -> Attempt,
    ) -> StoreResult<T>
    where
        Attempt: Future<Output = Result<T, Failure>>,
    {
        let attempt = &attempt;
        let once = || async move {
            let result = attempt().await;
            if result.as_ref().is_err_and(Failure::breaks_connections) {
                // The others were probably lost with it.
                self.shared.forget_idle();
            }
            result
        };
        let shown = format!("{operation} in the {}", self.store());
        retry(RETRIES, &shown, Failure::may_pass, once)
            .await
            .map_err(|failure| self.error(operation, failure))
    }

    /// A connection, used before or new, to a database in which everything is there.
    pub(crate) async fn session(&self) -> Result<Session, Failure> {
        let session = Session::get(&self.shared).await?;
        self.shared.installed().get_or_try_init(|| install::install(&session)).await?;
        Ok(session)
    }

    /// Waits for work that may take long, as long as the server answers somebody else meanwhile.
    pub(crate) async fn watch<T>(
        &self,
        work: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        let mut work = pin!(work);
        let mut missing = 0;
        loop {
            if let Ok(ended) = timeout(WATCH_INTERVAL, &mut work).await {
                return ended;
            }
            match timeout(SIGN_LIMIT, self.sign_of_life()).await {
                Ok(Ok(())) => missing = 0,
                // That it has no room for another connection is a sign, too.
                Ok(Err(failure)) if failure.is_an_answer() => missing = 0,
                _ => missing += 1,
            }
            if missing == MISSING_SIGNS {
                return Err(Failure::NoAnswer((WATCH_INTERVAL + SIGN_LIMIT) * MISSING_SIGNS));
            }
        }
    }

    async fn sign_of_life(&self) -> Result<(), Failure> {
        let session = Session::get(&self.shared).await?;
        session.batch_execute("SELECT 1").await?;
        session.end(())
    }

    /// An error of this database.
    pub(crate) fn error(&self, operation: &str, failure: Failure) -> StoreError {
        failure.into_store_error(self.store(), operation)
    }
}

/// `name` as an SQL identifier.
pub(crate) fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_are_quoted() {
        assert_eq!(quote("a\"b"), "\"a\"\"b\"");
    }
}
