//! How far the ledger is behind the topic.

use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use questlake_engine::settings::KafkaSettings;
use questlake_engine::stores::error::{StoreError, StoreErrorKind};
use serde::Serialize;

use super::start::Watermarks;
use super::topic::TopicView;
use crate::batch::aborted;
use crate::error::IngestError;

/// Time beyond the request time-out in which a client must have given up.
const GRACE: Duration = Duration::from_secs(2);

/// How far one partition is behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PartitionLag {
    /// Number of the partition.
    pub partition: i32,
    /// First record that is not committed, if any was.
    pub next_offset: Option<i64>,
    /// First record that the topic has; unknown, as all that follows, if the partition has no leader.
    pub low_watermark: Option<i64>,
    /// Offset that the next record sent will have.
    pub high_watermark: Option<i64>,
    /// Records that are still to be read. Offsets that were never given to a record, or whose
    /// record was compacted away, count as well.
    pub lag: Option<i64>,
}

impl PartitionLag {
    /// Whether a broker answers for the partition.
    pub fn is_led(&self) -> bool {
        self.high_watermark.is_some()
    }
}

/// Asks the brokers how far the topic goes, and compares with `positions`: partition and first
/// record that is not committed.
///
/// # Errors
/// If the brokers do not answer within the request time-out, or there is no such topic.
pub fn topic_lag<'a>(
    settings: &'a KafkaSettings,
    positions: &'a [(i32, i64)],
) -> BoxFuture<'a, Result<Vec<PartitionLag>, IngestError>> {
    Box::pin(async move {
        let owned = settings.clone();
        let timeout = settings.request_timeout;
        let asked = tokio::task::spawn_blocking(move || {
            TopicView::open(&owned)?.watermarks(Instant::now() + timeout)
        });
        let topic_has = match tokio::time::timeout(timeout + GRACE, asked).await {
            Ok(answered) => answered.map_err(|error| aborted("reading positions", &error))??,
            Err(_) => {
                let text = format!("no answer within {} s", (timeout + GRACE).as_secs());
                let kind = StoreErrorKind::Unavailable;
                return Err(
                    StoreError::new(settings.name(), "read its positions", kind, text).into()
                );
            }
        };
        Ok(compare(&topic_has, positions))
    })
}

fn compare(topic_has: &[Option<Watermarks>], positions: &[(i32, i64)]) -> Vec<PartitionLag> {
    (0..).zip(topic_has).map(|(partition, has)| lag_of(partition, *has, positions)).collect()
}

fn lag_of(partition: i32, has: Option<Watermarks>, positions: &[(i32, i64)]) -> PartitionLag {
    let known = positions.iter().find(|(number, _)| *number == partition);
    let next_offset = known.map(|(_, next_offset)| *next_offset);
    PartitionLag {
        partition,
        next_offset,
        low_watermark: has.map(|has| has.low),
        high_watermark: has.map(|has| has.high),
        // Before the first claim everything there is has still to be read.
        lag: has.map(|has| (has.high - next_offset.unwrap_or(has.low)).max(0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_is_still_to_be_read() {
        let has = [(0, 10), (5, 10), (0, 0), (4, 9)];
        let has = has.map(|(low, high)| Some(Watermarks { low, high }));
        let lags = compare(&has, &[(0, 7), (2, 0), (3, 12)]);
        let lag: Vec<i64> = lags.iter().filter_map(|lag| lag.lag).collect();
        // The second was never claimed; the last ends before the position.
        assert_eq!(lag, [3, 5, 0, 0]);
        assert_eq!(lags[1].next_offset, None);
        assert_eq!(lags[3].partition, 3);
    }

    #[test]
    fn of_a_partition_without_a_leader_nothing_is_known_but_the_position() {
        let lags = compare(&[Some(Watermarks { low: 0, high: 3 }), None], &[(0, 1), (1, 7)]);
        assert!(lags[0].is_led() && !lags[1].is_led());
        assert_eq!((lags[1].partition, lags[1].next_offset), (1, Some(7)));
        assert_eq!((lags[1].low_watermark, lags[1].lag), (None, None));
    }
}
