//! The ledger's list of sealed segments.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Transaction;

use crate::stores::landing::segment::Section;
use crate::stores::ledger::{SealedSegment, SegmentEntry};
use crate::stores::postgres::Failure;
use crate::stores::postgres::values::{Parameters, bigint, time, unsigned};

/// Numbers and lists a segment in one statement: from the number on, every other commit waits.
const INSERT: &str = r#"
WITH numbered AS (
    UPDATE questlake.latest_commit SET sequence = sequence + 1 RETURNING sequence
), listed AS (
    INSERT INTO questlake.segments (sequence, name, bytes, committed_at)
    SELECT sequence, $1::text, $2::bigint, $3::timestamptz FROM numbered
), with_sections AS (
    INSERT INTO questlake.sections
        (sequence, event_type, contract_version, "offset", length, checksum)
    SELECT numbered.sequence, s.event_type, s.contract_version, s."offset", s.length, s.checksum
    FROM numbered, unnest($4::text[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
        AS s (event_type, contract_version, "offset", length, checksum)
), with_days AS (
    INSERT INTO questlake.section_days (sequence, event_type, event_date, "rows")
    SELECT numbered.sequence, d.event_type, DATE '1970-01-01' + d.day, d.row_count
    FROM numbered, unnest($9::text[], $10::integer[], $11::bigint[])
        AS d (event_type, day, row_count)
)
SELECT sequence FROM numbered
"#;

/// Lists a segment with its sections and their rows by day. Returns its place in commit order.
pub(super) async fn insert(
    transaction: &Transaction<'_>,
    segment: &SealedSegment,
    now: i64,
) -> Result<i64, Failure> {
    let sections = &segment.sections;
    let types: Vec<&str> = sections.iter().map(|section| section.event_type.as_str()).collect();
    let versions: Vec<i64> =
        sections.iter().map(|section| section.contract_version.cast_signed()).collect();
    let offsets: Vec<i64> = sections.iter().map(|section| bigint(section.offset)).collect();
    let lengths: Vec<i64> = sections.iter().map(|section| bigint(section.length)).collect();
    let checksums: Vec<i64> =
        sections.iter().map(|section| section.checksum.cast_signed()).collect();
    let mut day_types = Vec::new();
    let mut days = Vec::new();
    let mut day_rows = Vec::new();
    for section in sections {
        for (day, rows) in &section.rows_by_date {
            day_types.push(section.event_type.as_str());
            days.push(*day);
            day_rows.push(bigint(*rows));
        }
    }
    let parameters: &Parameters<'_> = &[
        &segment.name,
        &bigint(segment.bytes),
        &time(now),
        &types,
        &versions,
        &offsets,
        &lengths,
        &checksums,
        &day_types,
        &days,
        &day_rows,
    ];
    let statement = transaction.prepare(INSERT).await?;
    let row = transaction.query_one(&statement, parameters).await?;
    Ok(row.try_get(0)?)
}

/// The latest commit that has a segment; 0 before the first.
pub(super) async fn latest_sequence(transaction: &Transaction<'_>) -> Result<i64, Failure> {
    let row = transaction.query_one("SELECT sequence FROM questlake.latest_commit", &[]).await?;
    Ok(row.try_get(0)?)
}

/// The segments of the commits after one up to another that are not in the archive.
pub(super) async fn read(
    transaction: &Transaction<'_>,
    after: i64,
    through: i64,
) -> Result<Vec<SegmentEntry>, Failure> {
    let condition = "sequence > $1 AND sequence <= $2 AND archived_at IS NULL";
    select(transaction, condition, &[&after, &through]).await
}

/// Event types and contract versions of these commits' sections that are not in the archive.
pub(super) async fn contract_versions(
    transaction: &Transaction<'_>,
    after: i64,
    through: i64,
) -> Result<BTreeSet<(String, u64)>, Failure> {
    let rows = transaction
        .query(
            "SELECT DISTINCT event_type, contract_version \
             FROM questlake.segments JOIN questlake.sections USING (sequence) \
             WHERE sequence > $1 AND sequence <= $2 AND archived_at IS NULL",
            &[&after, &through],
        )
        .await?;
    let mut versions = BTreeSet::new();
    for row in &rows {
        versions.insert((row.try_get(0)?, row.try_get::<_, i64>(1)?.cast_unsigned()));
    }
    Ok(versions)
}

/// The segments for which an SQL condition holds.
pub(super) async fn select(
    transaction: &Transaction<'_>,
    condition: &str,
    parameters: &Parameters<'_>,
) -> Result<Vec<SegmentEntry>, Failure> {
    let rows = transaction
        .query(
            &format!(
                "SELECT sequence, name, bytes, event_type, contract_version, s.\"offset\", length, \
                 checksum, d.event_date - DATE '1970-01-01', d.\"rows\" \
                 FROM questlake.segments JOIN questlake.sections s USING (sequence) \
                 JOIN questlake.section_days d USING (sequence, event_type) \
                 WHERE {condition} ORDER BY sequence, s.\"offset\""
            ),
            parameters,
        )
        .await?;
    let mut segments: BTreeMap<i64, SegmentEntry> = BTreeMap::new();
    for row in &rows {
        let sequence: i64 = row.try_get(0)?;
        let entry = match segments.entry(sequence) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(vacant) => vacant.insert(SegmentEntry {
                sequence,
                segment: SealedSegment {
                    name: row.try_get(1)?,
                    bytes: unsigned(row.try_get(2)?)?,
                    sections: Vec::new(),
                },
            }),
        };
        let offset = unsigned(row.try_get(5)?)?;
        let sections = &mut entry.segment.sections;
        if sections.last().is_none_or(|section| section.offset != offset) {
            sections.push(Section {
                event_type: row.try_get(3)?,
                contract_version: row.try_get::<_, i64>(4)?.cast_unsigned(),
                offset,
                length: unsigned(row.try_get(6)?)?,
                checksum: row.try_get::<_, i64>(7)?.cast_unsigned(),
                rows_by_date: BTreeMap::new(),
            });
        }
        if let Some(section) = sections.last_mut() {
            section.rows_by_date.insert(row.try_get(8)?, unsigned(row.try_get(9)?)?);
        }
    }
    Ok(segments.into_values().collect())
}
