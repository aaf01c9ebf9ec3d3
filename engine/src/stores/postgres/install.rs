//! Questlake's own tables: made where they are missing, and known by their version.

use super::values::Parameters;
use super::{Failure, OWN_SCHEMA, Session};

/// Version of the tables below. A change of them raises it and adds a step from the version before.
const VERSION: i32 = 3;

/// Oldest server that is known to do.
const LEAST_SERVER: i32 = 140_000;

const SCHEMAS: &str = include_str!("schemas.sql");
const LEDGER: &str = include_str!("../ledger/postgres/schema.sql");
const PIPELINE: &str = include_str!("../warehouse/postgres/schema.sql");
const CHECKS: &str = include_str!("../warehouse/postgres/checks.sql");
const KEYS: &str = include_str!("../keys/postgres/schema.sql");

/// What each version has added to the one before, from the second on.
const STEPS: &[&str] = &[CHECKS, KEYS];

/// Only one process at a time makes tables. An advisory lock of this number, to the transaction's end.
const INSTALL_LOCK: i64 = 0x7175_6573_746c_616b;

/// Checks the server and makes what is missing. A role that may only read can use what is there.
pub(super) async fn install(session: &Session) -> Result<(), Failure> {
    check_server(session).await?;
    if installed_version(session).await? == Some(VERSION) {
        return Ok(());
    }
    session.batch_execute("BEGIN").await?;
    let made = make(session).await;
    // The connection goes on to be used.
    let end = if made.is_ok() { "COMMIT" } else { "ROLLBACK" };
    session.batch_execute(end).await?;
    made
}

async fn check_server(session: &Session) -> Result<(), Failure> {
    let row = session
        .query_one(
            "SELECT current_setting('server_version_num')::integer, \
             current_setting('server_version'), current_setting('server_encoding')",
            &[],
        )
        .await?;
    let (number, version): (i32, &str) = (row.try_get(0)?, row.try_get(1)?);
    if number < LEAST_SERVER {
        return Err(Failure::Incompatible {
            what: format!("the server is PostgreSQL {version}"),
            advice: "use PostgreSQL 14 or later".to_owned(),
        });
    }
    let encoding: &str = row.try_get(2)?;
    if encoding != "UTF8" {
        return Err(Failure::Incompatible {
            what: format!("the database has the encoding {encoding}"),
            advice: "create one with ENCODING 'UTF8' TEMPLATE template0".to_owned(),
        });
    }
    Ok(())
}

/// The version of the tables that are there.
async fn installed_version(session: &Session) -> Result<Option<i32>, Failure> {
    // By the catalog itself: what the session remembers of names may be older than the lock.
    let parameters: &Parameters<'_> = &[&OWN_SCHEMA];
    let known = session
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = $1 AND c.relname = 'installation')",
            parameters,
        )
        .await?;
    if !known.try_get::<_, bool>(0)? {
        return Ok(None);
    }
    let row = session.query_one("SELECT version FROM questlake.installation", &[]).await?;
    let version: i32 = row.try_get(0)?;
    if version > VERSION {
        return Err(Failure::Incompatible {
            what: format!("its tables were made by a newer Questlake (version {version})"),
            advice: "use that one here as well".to_owned(),
        });
    }
    Ok(Some(version))
}

async fn make(session: &Session) -> Result<(), Failure> {
    let parameters: &Parameters<'_> = &[&INSTALL_LOCK];
    session.execute("SELECT pg_advisory_xact_lock($1)", parameters).await?;
    // Another process may have been faster.
    let installed = installed_version(session).await?;
    if installed.is_none() {
        for script in [SCHEMAS, LEDGER, PIPELINE] {
            session.batch_execute(script).await?;
        }
    }
    let steps_done = usize::try_from(installed.unwrap_or(1) - 1).unwrap_or(0);
    for step in STEPS.iter().skip(steps_done) {
        session.batch_execute(step).await?;
    }
    let parameters: &Parameters<'_> = &[&VERSION];
    let record = match installed {
        None => "INSERT INTO questlake.installation (version) VALUES ($1)",
        Some(_) => "UPDATE questlake.installation SET version = $1",
    };
    session.execute(record, parameters).await?;
    Ok(())
}
