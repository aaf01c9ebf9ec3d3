//! Where each partition stands.

use chrono::{DateTime, Utc};
use tokio_postgres::{Row, Transaction};

use crate::stores::ledger::{
    BatchCommit, Claim, ContentMark, Counts, PartitionStatus, PositionAdvance,
};
use crate::stores::postgres::Failure;
use crate::stores::postgres::values::{Parameters, bigint, hash, storable_text, time, unsigned};

/// Moves a partition; `false` if it does not stand where the claim says.
pub(super) async fn advance(
    transaction: &Transaction<'_>,
    advance: &PositionAdvance,
    commit_id: &str,
    now: i64,
) -> Result<bool, Failure> {
    let PositionAdvance { claim, next_offset, counts, content } = advance;
    let bytes = |hash: u128| hash.to_be_bytes().to_vec();
    let head = content.as_ref().map(|content| bytes(content.head_hash));
    let prefix = content.as_ref().map(|content| bytes(content.prefix_hash));
    let parameters: &Parameters<'_> = &[
        next_offset,
        &bigint(counts.consumed),
        &bigint(counts.landed),
        &bigint(counts.duplicates),
        &bigint(counts.quarantined),
        &head,
        &prefix,
        &time(now),
        &commit_id,
        &storable_text(&claim.topic),
        &claim.partition,
        &claim.epoch,
        &claim.next_offset,
    ];
    let moved = transaction
        .execute(
            "UPDATE questlake.partitions SET next_offset = $1, consumed = consumed + $2, \
             landed = landed + $3, duplicates = duplicates + $4, quarantined = quarantined + $5, \
             head_hash = coalesce($6, head_hash), prefix_hash = coalesce($7, prefix_hash), \
             updated_at = $8, commit_id = $9::text::uuid \
             WHERE topic = $10 AND partition = $11 AND epoch = $12 AND next_offset = $13",
            parameters,
        )
        .await?;
    Ok(moved == 1)
}

/// The number of this very commit, if an earlier attempt has made it.
pub(super) async fn own_commit(
    transaction: &Transaction<'_>,
    advance: &PositionAdvance,
    batch: &BatchCommit,
    commit_id: &str,
) -> Result<Option<i64>, Failure> {
    let claim = &advance.claim;
    let segment = batch.segment.as_ref().map_or("", |segment| segment.name.as_str());
    let parameters: &Parameters<'_> =
        &[&storable_text(&claim.topic), &claim.partition, &commit_id, &segment];
    // The name of a segment belongs to one batch, also when others have moved the partition since.
    let row = transaction
        .query_one(
            "SELECT EXISTS (SELECT FROM questlake.partitions WHERE topic = $1 AND partition = $2 \
                            AND commit_id = $3::text::uuid), \
                    (SELECT sequence FROM questlake.segments WHERE name = $4)",
            parameters,
        )
        .await?;
    let (is_own, listed): (bool, Option<i64>) = (row.try_get(0)?, row.try_get(1)?);
    Ok(match (is_own, listed) {
        (_, Some(sequence)) => Some(sequence),
        (true, None) => Some(0),
        (false, None) => None,
    })
}

/// Every partition.
pub(super) async fn read(transaction: &Transaction<'_>) -> Result<Vec<PartitionStatus>, Failure> {
    let rows = transaction
        .query(
            "SELECT topic, partition, epoch, next_offset, consumed, landed, duplicates, \
             quarantined, head_hash, prefix_hash, updated_at \
             FROM questlake.partitions ORDER BY topic, partition",
            &[],
        )
        .await?;
    rows.iter().map(partition_from_row).collect()
}

fn partition_from_row(row: &Row) -> Result<PartitionStatus, Failure> {
    let topic: &str = row.try_get(0)?;
    let head: Option<&[u8]> = row.try_get(8)?;
    let prefix: Option<&[u8]> = row.try_get(9)?;
    let updated_at: Option<DateTime<Utc>> = row.try_get(10)?;
    let content = match head.zip(prefix) {
        Some((head, prefix)) => {
            Some(ContentMark { head_hash: hash(head)?, prefix_hash: hash(prefix)? })
        }
        None => None,
    };
    Ok(PartitionStatus {
        claim: Claim {
            topic: topic.into(),
            partition: row.try_get(1)?,
            epoch: row.try_get(2)?,
            next_offset: row.try_get(3)?,
        },
        counts: Counts {
            consumed: unsigned(row.try_get(4)?)?,
            landed: unsigned(row.try_get(5)?)?,
            duplicates: unsigned(row.try_get(6)?)?,
            quarantined: unsigned(row.try_get(7)?)?,
        },
        content,
        updated_at: updated_at.map_or(0, |time| time.timestamp_millis()),
    })
}
