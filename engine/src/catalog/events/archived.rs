//! The archived part of `events.*`: which files a query reads, and by how many readers.

use std::sync::Arc;

use arrow::datatypes::SchemaRef;
use datafusion::catalog::Session;
use datafusion::common::Result;
use datafusion::logical_expr::{BinaryExpr, Expr, Operator};
use datafusion::physical_plan::ExecutionPlan;

use crate::project::contract::envelope;
use crate::stores::archive::{Archive, ArchiveFile, ArchiveScan, archive_scan};

/// What is asked of a table.
pub(super) struct Request<'a> {
    /// All columns of the table: a contract's landed schema, or that of the envelope.
    pub(super) schema: &'a SchemaRef,
    /// Columns to give, or all.
    pub(super) projection: Option<&'a Vec<usize>>,
    /// Rows after which nobody reads on.
    pub(super) limit: Option<usize>,
    /// Conditions, of which the plan holds every one against the rows.
    pub(super) filters: &'a [Expr],
}

/// Plans the scan of these files, of which there is at least one. The result has exactly the columns
/// of the table, whatever the files were written with.
pub(super) fn scan_archive(
    archive: &Archive,
    files: Vec<ArchiveFile>,
    request: &Request<'_>,
    session: &dyn Session,
) -> Result<Arc<dyn ExecutionPlan>> {
    let scan = ArchiveScan {
        schema: request.schema,
        groups: spread(files, session.config().target_partitions()),
        projection: request.projection,
        limit: request.limit,
        filter_rows: request.filters.iter().any(finds_few),
        sorted: false,
    };
    archive_scan(archive, scan, session.runtime_env())
}

/// Whether a condition leaves hardly any row: one player's, one session's, one event's.
fn finds_few(filter: &Expr) -> bool {
    let is_key = |expression: &Expr| match expression {
        Expr::Column(column) => KEYS.contains(&column.name.as_str()),
        _ => false,
    };
    match filter {
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Eq, right }) => {
            is_key(left) || is_key(right)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::And, right }) => {
            finds_few(left) || finds_few(right)
        }
        Expr::BinaryExpr(BinaryExpr { left, op: Operator::Or, right }) => {
            finds_few(left) && finds_few(right)
        }
        Expr::InList(list) => !list.negated && is_key(&list.expr),
        _ => false,
    }
}

/// Columns with as many values as there are players, sessions, events.
const KEYS: &[&str] = &[envelope::PLAYER_ID, envelope::SESSION_ID, envelope::EVENT_ID];

/// Spreads the files over at most `partitions` readers of about the same number of bytes. Where
/// there are fewer files than readers, the optimizer cuts them at row groups.
fn spread(mut files: Vec<ArchiveFile>, partitions: usize) -> Vec<Vec<ArchiveFile>> {
    files.sort_by(|left, right| {
        right.bytes.cmp(&left.bytes).then_with(|| left.location.cmp(&right.location))
    });
    let count = partitions.clamp(1, files.len().max(1));
    let mut groups: Vec<(u64, Vec<ArchiveFile>)> = vec![(0, Vec::new()); count];
    for file in files {
        if let Some(group) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            group.0 = group.0.saturating_add(file.bytes);
            group.1.push(file);
        }
    }
    groups.into_iter().map(|(_, files)| files).filter(|files| !files.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn look_ups_are_told_from_what_leaves_many_rows() {
        use datafusion::prelude::{col, lit};

        let one = || col("player_id").eq(lit("p"));
        assert!(finds_few(&one()));
        assert!(finds_few(&lit("s").eq(col("session_id")).and(col("level").gt(lit(3)))));
        assert!(finds_few(&col("event_id").in_list(vec![lit("a")], false)));
        assert!(finds_few(&one().or(col("session_id").eq(lit("s")))));
        assert!(!finds_few(&one().or(col("result").eq(lit("win")))));
        assert!(!finds_few(&col("player_id").in_list(vec![lit("a")], true)));
        assert!(!finds_few(&col("result").eq(lit("win"))));
        assert!(!finds_few(&col("player_id").not_eq(lit("p"))));
    }

    #[test]
    fn readers_get_about_the_same_number_of_bytes() {
        let file = |bytes: u64| ArchiveFile {
            event_type: "session_start".to_owned(),
            path: format!("event_date=2026-01-31/{bytes}.parquet"),
            location: format!("archive/session_start/event_date=2026-01-31/{bytes}.parquet").into(),
            bytes,
            rows: 1,
            day: 20_484,
            modified: 0,
            checksum: None,
        };
        let groups = spread([1, 2, 3, 4, 10].map(file).to_vec(), 2);
        let sums: Vec<u64> =
            groups.iter().map(|files| files.iter().map(|file| file.bytes).sum()).collect();
        assert_eq!(sums, [10, 10]);
        assert_eq!(spread(vec![file(1)], 8).len(), 1);
    }
}
