//! A table that is filled for the first time: its rows go into a new one without indexes, which takes
//! its place at the publication.
//!
//! To sort all keys once takes a third of the time of putting each where it belongs. The indexes of the
//! table itself could only be removed by locking everybody out for as long as rows come; of a new
//! table nobody knows. Where its place cannot be taken (somebody reads the table for long, or has
//! built a view or granted rights on it), the rows are copied over.

use uuid::Uuid;

use crate::stores::postgres::values::Parameters;
use crate::stores::postgres::{Failure, Session, quote};
use crate::stores::warehouse::TableDefinition;
use crate::stores::warehouse::postgres::statements::{add_key, all_columns, create_heap, star};
use crate::stores::warehouse::postgres::tables::{describe, ensure_partition_index};

/// How long the publication waits for those who read the table.
const LOCK_TIMEOUT_MILLIS: u32 = 2_000;

/// What keeps a table from being dropped: others read it, depend on it, or own it.
const IN_USE: &[&str] = &["55P03", "2BP01", "42501"];

/// A table of the load's transaction alone.
pub(super) struct NewTable {
    /// The model's, by another name.
    table: TableDefinition,
}

impl NewTable {
    pub(super) async fn create(client: &Session, table: &TableDefinition) -> Result<Self, Failure> {
        let name = format!("load_{}", Uuid::new_v4().simple());
        let table = TableDefinition { name, ..table.clone() };
        client.batch_execute(&create_heap(&table)).await?;
        Ok(Self { table })
    }

    /// Its name in SQL.
    pub(super) fn name(&self) -> String {
        star(&self.table.name)
    }

    /// Gives it the key and the index of the model's table, when all rows are there.
    pub(super) async fn build_indexes(&self, client: &Session) -> Result<(), Failure> {
        if let Some(add_key) = add_key(&self.table) {
            client.batch_execute(&add_key).await?;
        }
        ensure_partition_index(client, &self.table).await
    }

    /// Becomes the model's table, which is empty.
    pub(super) async fn take_place(
        &self,
        client: &Session,
        table: &TableDefinition,
    ) -> Result<(), Failure> {
        let (old, new) = (star(&table.name), self.name());
        if self.is_alike(client, table).await? {
            let wait = format!("SAVEPOINT place; SET LOCAL lock_timeout TO {LOCK_TIMEOUT_MILLIS}");
            client.batch_execute(&wait).await?;
            match self.replace(client, table).await {
                Ok(()) => return Ok(()),
                Err(failure) if IN_USE.contains(&failure.code()) => {
                    client.batch_execute("ROLLBACK TO SAVEPOINT place").await?;
                }
                Err(failure) => return Err(failure),
            }
        }
        let columns = all_columns(table, "");
        client
            .batch_execute(&format!(
                "DELETE FROM {old}; INSERT INTO {old} ({columns}) SELECT {columns} FROM {new}; \
                 DROP TABLE {new}"
            ))
            .await?;
        Ok(())
    }

    /// Whether whatever there is about the model's table is about this one too: rights, options, and
    /// as many indexes, constraints, views, triggers, publications and the like.
    async fn is_alike(&self, client: &Session, table: &TableDefinition) -> Result<bool, Failure> {
        const ALIKE: &str = "\
            WITH pair AS ( \
                SELECT c.oid, to_jsonb(c) - ARRAY['oid', 'relname', 'reltype', 'relfilenode', \
                    'relpages', 'reltuples', 'relallvisible', 'relallfrozen', 'reltoastrelid', \
                    'relfrozenxid', 'relminmxid'] AS settings \
                FROM pg_class c WHERE c.oid IN (to_regclass($1)::oid, to_regclass($2)::oid) \
            ), \
            described AS ( \
                SELECT settings, \
                    (SELECT coalesce(jsonb_object_agg(classid, things), '{}') FROM ( \
                        SELECT classid::text, count(*) AS things FROM pg_depend \
                        WHERE refclassid = 'pg_class'::regclass AND refobjid = pair.oid \
                        GROUP BY classid \
                    ) AS counted) AS dependents, \
                    (SELECT count(*) FROM pg_attribute \
                     WHERE attrelid = pair.oid AND attacl IS NOT NULL) AS rights \
                FROM pair \
            ) \
            SELECT count(*) = 1 FROM (SELECT DISTINCT * FROM described) AS different";
        let (old, new) = (star(&table.name), self.name());
        let parameters: &Parameters<'_> = &[&old, &new];
        Ok(client.query_one(ALIKE, parameters).await?.try_get(0)?)
    }

    async fn replace(&self, client: &Session, table: &TableDefinition) -> Result<(), Failure> {
        let (old, new) = (star(&table.name), self.name());
        let old_indexes = indexes(client, &old).await?;
        let new_indexes = indexes(client, &new).await?;
        client
            .batch_execute(&format!(
                "DROP TABLE {old}; ALTER TABLE {new} RENAME TO {}",
                quote(&table.name)
            ))
            .await?;
        for (old, new) in old_indexes.iter().zip(&new_indexes) {
            let rename = format!("ALTER INDEX {} RENAME TO {}", star(new), quote(old));
            client.batch_execute(&rename).await?;
        }
        describe(client, table, &[]).await
    }
}

/// The names of a table's indexes, that of the key first.
async fn indexes(client: &Session, table: &str) -> Result<Vec<String>, Failure> {
    let parameters: &Parameters<'_> = &[&table];
    let rows = client
        .query(
            "SELECT c.relname::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid \
             WHERE i.indrelid = to_regclass($1) ORDER BY i.indisprimary DESC",
            parameters,
        )
        .await?;
    let mut names = Vec::with_capacity(rows.len());
    for row in rows {
        names.push(row.try_get(0)?);
    }
    Ok(names)
}
