//! Calls to servers that are made again while what failed may pass.

use std::fmt::Display;
use std::time::{Duration, Instant};

use tracing::warn;
use uuid::Uuid;

/// How often, and for how long, a call is made again.
#[derive(Debug, Clone, Copy)]
pub struct RetryPolicy {
    /// Most attempts, the first one included.
    pub attempts: u32,
    /// Wait before the second attempt; it doubles with each further one.
    pub first_wait: Duration,
    /// Longest wait between two attempts.
    pub longest_wait: Duration,
    /// Time since the first attempt began after which no other begins.
    pub deadline: Duration,
}

/// Makes `attempt` until it succeeds, fails for good, or the policy ends; gives the last result.
/// `operation` is what log lines call it, such as `read a segment of landing (hdfs://…)`.
///
/// Each attempt has to be bounded by itself, and an attempt whose outcome is not known has to be
/// one that may be made twice.
pub async fn retry<T, E: Display, Attempt: Future<Output = Result<T, E>>>(
    policy: RetryPolicy,
    operation: &str,
    is_transient: impl Fn(&E) -> bool,
    mut attempt: impl FnMut() -> Attempt,
) -> Result<T, E> {
    let began = Instant::now();
    let mut made = 0;
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        made += 1;
        let wait = wait_after(policy, made, random());
        if made >= policy.attempts
            || !is_transient(&error)
            || began.elapsed() + wait > policy.deadline
        {
            return Err(error);
        }
        warn!(
            attempt = made,
            "could not {operation}: {error}; trying again in {} ms",
            wait.as_millis()
        );
        tokio::time::sleep(wait).await;
    }
}

/// The wait after so many attempts: between half and all of what doubling gives, so that processes
/// that failed together do not come back together.
fn wait_after(policy: RetryPolicy, made: u32, random: u32) -> Duration {
    let doublings = made.saturating_sub(1).min(31);
    let wait = policy.first_wait.saturating_mul(1 << doublings).min(policy.longest_wait);
    let half = wait / 2;
    half + half.mul_f64(f64::from(random) / f64::from(u32::MAX))
}

fn random() -> u32 {
    Uuid::new_v4().as_fields().0
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: RetryPolicy = RetryPolicy {
        attempts: 4,
        first_wait: Duration::from_millis(1),
        longest_wait: Duration::from_millis(3),
        deadline: Duration::from_secs(60),
    };

    /// Fails for so many attempts; returns the result and the attempts made.
    async fn failing(
        failures: u32,
        transient: bool,
        policy: RetryPolicy,
    ) -> (Result<(), u32>, u32) {
        let mut made = 0;
        let attempt = || {
            made += 1;
            std::future::ready(if made > failures { Ok(()) } else { Err(made) })
        };
        let result = retry(policy, "call", |_| transient, attempt).await;
        (result, made)
    }

    #[tokio::test]
    async fn what_passes_is_tried_again_and_nothing_for_ever() {
        assert_eq!(failing(0, true, POLICY).await, (Ok(()), 1));
        assert_eq!(failing(3, true, POLICY).await, (Ok(()), 4));
        assert_eq!(failing(4, true, POLICY).await, (Err(4), 4));
        assert_eq!(failing(4, false, POLICY).await, (Err(1), 1));
        let over = RetryPolicy { deadline: Duration::ZERO, ..POLICY };
        assert_eq!(failing(4, true, over).await, (Err(1), 1));
    }

    #[test]
    fn waits_double_up_to_a_limit_and_differ() {
        let policy = RetryPolicy {
            first_wait: Duration::from_millis(100),
            longest_wait: Duration::from_millis(500),
            ..POLICY
        };
        let longest = |made| wait_after(policy, made, u32::MAX).as_millis();
        assert_eq!([1, 2, 3, 4, 99].map(longest), [100, 200, 400, 500, 500]);
        let least = |made| wait_after(policy, made, 0).as_millis();
        assert_eq!([1, 2, 3, 4, 99].map(least), [50, 100, 200, 250, 250]);
    }
}
