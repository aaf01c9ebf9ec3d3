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
    /// First record that the topic has.
    pub low_watermark: i64,
    /// Offset that the next record sent will have.
    pub high_watermark: i64,
    /// Records that are still to be read. Offsets that were never given to a record, or whose
    /// record was compacted away, count as well.
    pub lag: i64,
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

fn compare(topic_has: &[Watermarks], positions: &[(i32, i64)]) -> Vec<PartitionLag> {
    (0..).zip(topic_has).map(|(partition, has)| lag_of(partition, *has, positions)).collect()
}

fn lag_of(partition: i32, has: Watermarks, positions: &[(i32, i64)]) -> PartitionLag {
    let known = positions.iter().find(|(number, _)| *number == partition);
    let next_offset = known.map(|(_, next_offset)| *next_offset);
    PartitionLag {
        partition,
        next_offset,
        low_watermark: has.low,
        high_watermark: has.high,
        // Before the first claim everything there is has still to be read.
        lag: (has.high - next_offset.unwrap_or(has.low)).max(0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lag_is_what_is_still_to_be_read() {
        let has = [(0, 10), (5, 10), (0, 0), (4, 9)].map(|(low, high)| Watermarks { low, high });
        let lags = compare(&has, &[(0, 7), (2, 0), (3, 12)]);
        let lag: Vec<i64> = lags.iter().map(|lag| lag.lag).collect();
        // The second was never claimed; the last ends before the position.
        assert_eq!(lag, [3, 5, 0, 0]);
        assert_eq!(lags[1].next_offset, None);
        assert_eq!(lags[3].partition, 3);
    }
}
