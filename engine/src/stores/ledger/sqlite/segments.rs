//! The ledger's list of sealed segments.

use std::collections::{BTreeMap, BTreeSet};

use rusqlite::{Connection, Transaction};

use crate::stores::landing::segment::Section;
use crate::stores::ledger::{SealedSegment, SegmentEntry};

/// Lists a segment with its sections and their rows by day. Returns its place in commit order.
pub(super) fn insert(
    transaction: &Transaction<'_>,
    segment: &SealedSegment,
    now: i64,
) -> rusqlite::Result<i64> {
    transaction
        .prepare_cached(
            "INSERT INTO meta_segments (name, bytes, committed_at) VALUES (?1, ?2, ?3)",
        )?
        .execute((&segment.name, segment.bytes, now))?;
    let sequence = transaction.last_insert_rowid();
    let mut insert_section = transaction.prepare_cached(
        "INSERT INTO meta_sections (sequence, event_type, contract_version, \"offset\", length, \
         checksum) VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
    )?;
    let mut insert_day = transaction.prepare_cached(
        "INSERT INTO meta_section_days (sequence, event_type, event_date, \"rows\") \
         VALUES (?1, ?2, ?3, ?4)",
    )?;
    for section in &segment.sections {
        insert_section.execute((
            sequence,
            &section.event_type,
            section.contract_version.cast_signed(),
            section.offset,
            section.length,
            section.checksum.cast_signed(),
        ))?;
        for (day, rows) in &section.rows_by_date {
            insert_day.execute((sequence, &section.event_type, day, rows))?;
        }
    }
    Ok(sequence)
}

/// The latest commit that has a segment; 0 before the first.
pub(super) fn latest_sequence(connection: &Connection) -> rusqlite::Result<i64> {
    // Archived segments are forgotten in the end.
    connection.query_row(
        "SELECT max(through, (SELECT coalesce(max(sequence), 0) FROM meta_segments)) \
         FROM meta_archive",
        [],
        |row| row.get(0),
    )
}

/// The segments of the commits after one up to another that are not in the archive.
pub(super) fn read(
    connection: &Connection,
    after: i64,
    through: i64,
) -> rusqlite::Result<Vec<SegmentEntry>> {
    select(connection, "sequence > ?1 AND sequence <= ?2 AND archived_at IS NULL", (after, through))
}

/// Event types and contract versions of these commits' sections that are not in the archive.
pub(super) fn contract_versions(
    connection: &Connection,
    after: i64,
    through: i64,
) -> rusqlite::Result<BTreeSet<(String, u64)>> {
    let mut query = connection.prepare(
        "SELECT DISTINCT event_type, contract_version \
         FROM meta_segments JOIN meta_sections USING (sequence) \
         WHERE sequence > ?1 AND sequence <= ?2 AND archived_at IS NULL",
    )?;
    let version =
        |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get::<_, i64>(1)?.cast_unsigned()));
    query.query_map((after, through), version)?.collect()
}

/// The segments for which an SQL condition holds.
pub(super) fn select(
    connection: &Connection,
    condition: &str,
    values: impl rusqlite::Params,
) -> rusqlite::Result<Vec<SegmentEntry>> {
    let mut segments: BTreeMap<i64, SegmentEntry> = BTreeMap::new();
    // One statement, so that all of it comes from one snapshot.
    let mut query = connection.prepare(&format!(
        "SELECT sequence, name, bytes, event_type, contract_version, s.\"offset\", length, \
         checksum, event_date, d.\"rows\" \
         FROM meta_segments JOIN meta_sections s USING (sequence) \
         JOIN meta_section_days d USING (sequence, event_type) \
         WHERE {condition} ORDER BY sequence, s.\"offset\""
    ))?;
    let mut rows = query.query(values)?;
    while let Some(row) = rows.next()? {
        let sequence: i64 = row.get(0)?;
        let entry = match segments.entry(sequence) {
            std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::btree_map::Entry::Vacant(vacant) => vacant.insert(SegmentEntry {
                sequence,
                segment: SealedSegment {
                    name: row.get(1)?,
                    bytes: row.get(2)?,
                    sections: Vec::new(),
                },
            }),
        };
        let offset: u64 = row.get(5)?;
        let sections = &mut entry.segment.sections;
        if sections.last().is_none_or(|section| section.offset != offset) {
            sections.push(Section {
                event_type: row.get(3)?,
                contract_version: row.get::<_, i64>(4)?.cast_unsigned(),
                offset,
                length: row.get(6)?,
                checksum: row.get::<_, i64>(7)?.cast_unsigned(),
                rows_by_date: BTreeMap::new(),
            });
        }
        if let Some(section) = sections.last_mut() {
            section.rows_by_date.insert(row.get(8)?, row.get(9)?);
        }
    }
    Ok(segments.into_values().collect())
}
