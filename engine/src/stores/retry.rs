//! Calls to other systems: each ends, and one that may succeed later is made again a few times.

use std::hash::{BuildHasher, RandomState};
use std::time::Duration;

use tokio::time::Instant;

use super::error::{StoreError, StoreErrorKind, StoreResult};
use crate::settings::format_duration;

/// How long a call may take.
#[derive(Debug, Clone, Copy)]
pub struct CallBounds {
    /// Longest time for one attempt.
    pub attempt: Duration,
    /// Longest time for all attempts and the waits between them.
    pub total: Duration,
    /// Most attempts.
    pub attempts: u32,
}

/// The wait before the second attempt; it doubles with each further one.
const FIRST_WAIT: Duration = Duration::from_millis(100);

/// Longest wait between two attempts.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Calls `attempt` until it succeeds, fails for good, or its bounds are reached. Only what is
/// [`StoreErrorKind::Unavailable`] is tried again, so an attempt must do no harm when the one before
/// it has succeeded without an answer. `store` and `operation` are for the error of an attempt that
/// gives no answer in time.
pub async fn call<T, Attempt>(
    store: &str,
    operation: &str,
    bounds: CallBounds,
    mut attempt: impl FnMut() -> Attempt,
) -> StoreResult<T>
where
    Attempt: Future<Output = StoreResult<T>>,
{
    let end = Instant::now() + bounds.total;
    let mut failures = 0;
    loop {
        let time = bounds.attempt.min(end.saturating_duration_since(Instant::now()));
        let error = match tokio::time::timeout(time, attempt()).await {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(error)) => error,
            Err(_) => no_answer(store, operation, time),
        };
        failures += 1;
        let wait = wait_after(failures);
        if error.kind != StoreErrorKind::Unavailable
            || failures >= bounds.attempts
            || Instant::now() + wait >= end
        {
            return Err(error);
        }
        tracing::info!(store, operation, failures, "{error}; trying again");
        tokio::time::sleep(wait).await;
    }
}

fn no_answer(store: &str, operation: &str, time: Duration) -> StoreError {
    let milliseconds = Duration::from_millis(u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    StoreError::new(
        store,
        operation,
        StoreErrorKind::Unavailable,
        format!("no answer within {}", format_duration(milliseconds)),
    )
    .with_advice("check that the server runs and is not overloaded")
}

/// Doubles from failure to failure; half of it is left to chance, so that processes that failed
/// together do not come back together.
fn wait_after(failures: u32) -> Duration {
    let longest = FIRST_WAIT.saturating_mul(1 << failures.min(16).saturating_sub(1));
    let half = longest.min(LONGEST_WAIT) / 2;
    // Every hasher of this kind has keys of its own.
    let chance = RandomState::new().hash_one(failures) % 1024;
    half + half.mul_f64(chance as f64 / 1024.0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    const BOUNDS: CallBounds = CallBounds {
        attempt: Duration::from_millis(20),
        total: Duration::from_secs(60),
        attempts: 3,
    };

    fn failure(kind: StoreErrorKind) -> StoreError {
        StoreError::new("store", "answer", kind, "gone")
    }

    #[tokio::test]
    async fn what_may_succeed_later_is_tried_again() {
        let calls = Cell::new(0);
        let answer = call("store", "answer", BOUNDS, || async {
            calls.set(calls.get() + 1);
            if calls.get() < 3 { Err(failure(StoreErrorKind::Unavailable)) } else { Ok(7) }
        });
        assert_eq!(answer.await.unwrap(), 7);
        let answer = call("store", "answer", BOUNDS, || async {
            calls.set(calls.get() + 1);
            Err::<(), _>(failure(StoreErrorKind::Unavailable))
        });
        assert_eq!(answer.await.unwrap_err().kind, StoreErrorKind::Unavailable);
        assert_eq!(calls.get(), 6);
    }

    #[tokio::test]
    async fn what_fails_for_good_is_not() {
        let calls = Cell::new(0);
        let answer = call("store", "answer", BOUNDS, || async {
            calls.set(calls.get() + 1);
            Err::<(), _>(failure(StoreErrorKind::InvalidData))
        });
        assert_eq!(answer.await.unwrap_err().kind, StoreErrorKind::InvalidData);
        assert_eq!(calls.get(), 1);
    }

    #[tokio::test]
    async fn an_attempt_without_an_answer_ends() {
        let bounds = CallBounds { attempts: 1, ..BOUNDS };
        let answer = call("store", "answer", bounds, std::future::pending::<StoreResult<()>>);
        let error = answer.await.unwrap_err();
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        assert!(error.to_string().starts_with("store: could not answer: no answer within"));
    }

    #[test]
    fn waits_grow_and_stay_bounded() {
        for failures in 1..100 {
            let wait = wait_after(failures);
            assert!(wait >= FIRST_WAIT / 2 && wait <= LONGEST_WAIT, "{wait:?}");
        }
        assert!(wait_after(10) >= LONGEST_WAIT / 2);
    }
}
