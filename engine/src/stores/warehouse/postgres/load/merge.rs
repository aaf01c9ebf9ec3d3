//! Staged rows become part of their table, and models downstream are told what has changed.

use super::lock_stale_marks;
use crate::stores::postgres::{Failure, Session};
use crate::stores::warehouse::difference::{comparable, kept_columns};
use crate::stores::warehouse::key::{DUPLICATE_ADVICE, duplicate_key};
use crate::stores::warehouse::postgres::changes::{
    latest_day, mark_all, mark_stale, remember_old_rows,
};
use crate::stores::warehouse::postgres::statements::{
    append, find_duplicate, star, touched_rows, updates_rows, upsert,
};
use crate::stores::warehouse::postgres::tables::{
    create, existing_columns, has_same_columns, table_difference,
};
use crate::stores::warehouse::{LoadMode, Publication, TableDefinition, TableDifference};

/// Makes the staged rows part of the table. Returns the number of stale marks.
pub(super) async fn merge(
    client: &Session,
    table: &TableDefinition,
    publication: &Publication,
) -> Result<u64, Failure> {
    let Publication { mode, watches, .. } = publication;
    let existing = existing_columns(client, &table.name).await?;
    let recreate = *mode == LoadMode::ReplaceAll && !has_same_columns(table, &existing);
    if publication.expected.is_none() {
        if recreate {
            recreate_table(client, table).await?;
        }
        put_staged_rows(client, table, mode).await?;
        lock_stale_marks(client).await?;
        return mark_all(client, table, watches).await;
    }
    if recreate {
        let difference = table_difference(table, &existing);
        return merge_recreated(client, table, publication, &difference).await;
    }
    let latest_before = latest_day(client, table).await?;
    remember_old_rows(client, table, mode).await?;
    put_staged_rows(client, table, mode).await?;
    lock_stale_marks(client).await?;
    mark_stale(client, table, watches, latest_before).await
}

async fn recreate_table(client: &Session, table: &TableDefinition) -> Result<(), Failure> {
    client.batch_execute(&format!("DROP TABLE IF EXISTS {}", star(&table.name))).await?;
    create(client, table).await
}

/// Replaces a table by one with other columns. Consumers that read only what both have are told of
/// the days that changed; for the others there is nothing to compare with.
async fn merge_recreated(
    client: &Session,
    table: &TableDefinition,
    publication: &Publication,
    difference: &TableDifference,
) -> Result<u64, Failure> {
    let kept = kept_columns(table, difference).unwrap_or_default();
    let (same, others) = comparable(&publication.watches, &kept);
    let old = TableDefinition {
        columns: table
            .columns
            .iter()
            .filter(|c| kept.contains(&c.name.as_str()))
            .cloned()
            .collect(),
        partition: table.partition.clone().filter(|day| kept.contains(&day.as_str())),
        ..table.clone()
    };
    let compares = !kept.is_empty() && !same.is_empty();
    let latest_before = if compares { latest_day(client, &old).await? } else { None };
    if compares {
        remember_old_rows(client, &old, &publication.mode).await?;
    }
    recreate_table(client, table).await?;
    put_staged_rows(client, table, &publication.mode).await?;
    lock_stale_marks(client).await?;
    let mut marks = mark_all(client, table, &others).await?;
    if compares {
        marks += mark_stale(client, table, &same, latest_before).await?;
    }
    Ok(marks)
}

async fn put_staged_rows(
    client: &Session,
    table: &TableDefinition,
    mode: &LoadMode,
) -> Result<(), Failure> {
    match mode {
        LoadMode::Append => {}
        LoadMode::Upsert => {
            // Where rows are kept as they are, the server passes over one that comes twice.
            if !updates_rows(table)
                && let Some(row) = client.query_opt(&find_duplicate(table), &[]).await?
            {
                let what = duplicate_key(row.try_get(0)?);
                return Err(Failure::Invalid { what, advice: DUPLICATE_ADVICE });
            }
            return Ok(client.batch_execute(&upsert(table)).await?);
        }
        LoadMode::ReplaceAll => {
            client.batch_execute(&format!("DELETE FROM {}", star(&table.name))).await?;
        }
        LoadMode::ReplacePartitions(_) if table.partition.is_none() => {}
        LoadMode::ReplacePartitions(_) => {
            client.batch_execute(&format!("DELETE FROM {}", touched_rows(table, mode))).await?;
        }
    }
    Ok(client.batch_execute(&append(table)).await?)
}
