//! What many requests need and changes seldom, read at most once a second.
//!
//! A value that is younger than a second is taken as it is. One that is a little older is taken too, and
//! read again in the background, so that no request of a busy server waits. What is older than two
//! seconds is read first.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use tokio::sync::Mutex;

use crate::problem::Problem;

/// Age up to which a value is taken as it is.
const FRESH: Duration = Duration::from_secs(1);

/// Age from which on nobody takes it.
const STALE: Duration = Duration::from_secs(2);

type Reading<T> = Pin<Box<dyn Future<Output = Result<T, Problem>> + Send>>;

/// A value that is read now and then.
pub(crate) struct Remembered<T> {
    read: Box<dyn Fn() -> Reading<T> + Send + Sync>,
    latest: RwLock<Option<(Instant, Arc<T>)>>,
    reading: Arc<Mutex<()>>,
    /// Age up to which a value is taken if no newer one can be read.
    patience: Duration,
}

impl<T: Send + Sync + 'static> Remembered<T> {
    /// A value that `read` gives. If that fails, one of at most this age does as well.
    pub(crate) fn new<Read>(
        read: impl Fn() -> Read + Send + Sync + 'static,
        patience: Duration,
    ) -> Arc<Self>
    where
        Read: Future<Output = Result<T, Problem>> + Send + 'static,
    {
        Arc::new(Self {
            read: Box::new(move || Box::pin(read())),
            latest: RwLock::default(),
            reading: Arc::default(),
            patience,
        })
    }

    /// The value, at most two seconds old.
    pub(crate) async fn get(self: &Arc<Self>) -> Result<Arc<T>, Problem> {
        if let Some((age, value)) = self.latest() {
            if age < FRESH {
                return Ok(value);
            }
            if age < STALE {
                if let Ok(turn) = Arc::clone(&self.reading).try_lock_owned() {
                    let remembered = Arc::clone(self);
                    tokio::spawn(async move {
                        // Whoever comes when it is stale is told of the failure.
                        let _ = remembered.read_now().await;
                        drop(turn);
                    });
                }
                return Ok(value);
            }
        }
        let _turn = self.reading.lock().await;
        match self.latest() {
            // Somebody else has read it meanwhile.
            Some((age, value)) if age < FRESH => Ok(value),
            older => match self.read_now().await {
                Ok(value) => Ok(value),
                Err(problem) => match older {
                    Some((age, value)) if age < self.patience => Ok(value),
                    _ => Err(problem),
                },
            },
        }
    }

    async fn read_now(&self) -> Result<Arc<T>, Problem> {
        // Its age counts from before it was read.
        let begun = Instant::now();
        let value = Arc::new((self.read)().await?);
        let mut latest = self.latest.write().unwrap_or_else(PoisonError::into_inner);
        *latest = Some((begun, Arc::clone(&value)));
        Ok(value)
    }

    fn latest(&self) -> Option<(Duration, Arc<T>)> {
        let latest = self.latest.read().unwrap_or_else(PoisonError::into_inner);
        latest.as_ref().map(|(read_at, value)| (read_at.elapsed(), Arc::clone(value)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

    use futures::future::join_all;

    use super::*;

    #[tokio::test]
    async fn a_value_is_read_once_for_all() {
        let reads = Arc::new(AtomicU64::new(0));
        let counted = Arc::clone(&reads);
        let read = move || {
            let reads = Arc::clone(&counted);
            async move {
                tokio::task::yield_now().await;
                Ok(reads.fetch_add(1, Ordering::SeqCst))
            }
        };
        let remembered = Remembered::new(read, Duration::ZERO);
        let values = join_all((0..100).map(|_| remembered.get())).await;
        assert!(values.iter().all(|value| **value.as_ref().unwrap() == 0));
        assert_eq!(reads.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_failure_is_told_unless_the_last_value_does() {
        let fails = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&fails);
        let read = move || {
            let failing = asked.load(Ordering::SeqCst);
            async move {
                match failing {
                    true => Err(Problem::unavailable("away")),
                    false => Ok(7),
                }
            }
        };
        for (patience, expected) in [(Duration::from_secs(60), Some(7)), (Duration::ZERO, None)] {
            fails.store(false, Ordering::SeqCst);
            let remembered = Remembered::new(read.clone(), patience);
            assert_eq!(*remembered.get().await.unwrap(), 7);
            // As if it had been read some time ago.
            let past = Instant::now().checked_sub(STALE).unwrap();
            remembered.latest.write().unwrap().as_mut().unwrap().0 = past;
            fails.store(true, Ordering::SeqCst);
            assert_eq!(remembered.get().await.ok().map(|value| *value), expected);
        }
    }
}
