//! `questlake key create | list | revoke`

use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::{Args, Subcommand};
use questlake_api::keys::NewKey;
use questlake_engine::clock::now_millis;
use questlake_engine::settings::parse_duration;
use questlake_engine::stores::Stores;
use questlake_engine::stores::keys::{ApiKey, KeyStore, Scope};
use serde_json::json;

use super::Format;
use super::etl::time_text;
use crate::app::App;
use crate::error::CliError;
use crate::terminal::Style;
use crate::terminal::table::Column;

/// Longest name of a key.
const MAX_NAME: usize = 200;

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key; it is shown this one time
    Create(CreateArgs),
    /// List the keys
    List(ListArgs),
    /// Revoke a key, by its identifier or by its name
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// Whose it is, such as `dashboard` or `game-servers`
    name: String,
    /// What it is good for: ingest, read, query, admin, separated by commas
    #[arg(long, value_name = "SCOPES", value_delimiter = ',', required = true, value_parser = parse_scope)]
    scope: Vec<Scope>,
    /// Time after which it ends by itself, such as 90d
    #[arg(long, value_name = "TIME", value_parser = parse_lifetime)]
    expires: Option<Duration>,
    /// Most requests per second [default: api.rate_limit]; 0 for no limit
    #[arg(long, value_name = "NUMBER")]
    rate_limit: Option<u32>,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Revoked and expired keys too
    #[arg(long)]
    all: bool,
    /// How the result is written
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
}

#[derive(Debug, Args)]
pub(crate) struct RevokeArgs {
    /// Identifier or name
    key: String,
}

fn parse_scope(text: &str) -> Result<Scope, String> {
    Scope::from_name(text.trim()).ok_or_else(|| {
        let names = Scope::ALL.map(Scope::name);
        format!("scopes are {}", names.join(", "))
    })
}

fn parse_lifetime(text: &str) -> Result<Duration, String> {
    let time = parse_duration(text)?;
    if time.is_zero() { Err("a key has to last for some time".to_owned()) } else { Ok(time) }
}

pub(crate) async fn run(app: &App, command: KeyCommand) -> Result<ExitCode, CliError> {
    let keys = Stores::open(&app.settings)?.keys;
    match command {
        KeyCommand::Create(args) => create(app, &keys, args).await,
        KeyCommand::List(args) => list(app, &keys, args).await,
        KeyCommand::Revoke(args) => revoke(app, &keys, args).await,
    }
}

async fn create(
    app: &App,
    keys: &Arc<dyn KeyStore>,
    args: CreateArgs,
) -> Result<ExitCode, CliError> {
    let name = args.name.trim();
    if name.is_empty() || name.chars().count() > MAX_NAME || name.chars().any(char::is_control) {
        return Err(CliError::Usage(format!("a name has 1 to {MAX_NAME} printable characters")));
    }
    let expires_at = args.expires.map(|time| {
        now_millis().saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX))
    });
    let new = NewKey::generate(name, args.scope, args.rate_limit, expires_at)?;
    keys.add(&new.key).await?;
    if args.format == Format::Json {
        let mut shown = key_json(&new.key);
        shown["key"] = json!(new.text);
        app.line(&serde_json::to_string_pretty(&shown)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    app.line(&new.text)?;
    app.note("this is the only time that the key is shown: only its hash is kept");
    Ok(ExitCode::SUCCESS)
}

fn state(key: &ApiKey) -> &'static str {
    match key {
        ApiKey { revoked_at: Some(_), .. } => "revoked",
        key if !key.is_good(now_millis()) => "expired",
        _ => "good",
    }
}

fn scope_names(key: &ApiKey) -> Vec<&'static str> {
    key.scopes.iter().map(|scope| scope.name()).collect()
}

fn key_json(key: &ApiKey) -> serde_json::Value {
    json!({
        "id": key.id,
        "name": key.name,
        "scopes": scope_names(key),
        "rate_limit": key.rate_limit,
        "state": state(key),
        "created_at": key.created_at,
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
    })
}

async fn list(app: &App, keys: &Arc<dyn KeyStore>, args: ListArgs) -> Result<ExitCode, CliError> {
    let mut listed = keys.list().await?;
    listed.retain(|key| args.all || state(key) == "good");
    if args.format == Format::Json {
        let shown: Vec<_> = listed.iter().map(key_json).collect();
        app.line(&serde_json::to_string_pretty(&shown)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    if listed.is_empty() {
        app.line("no keys; `questlake key create NAME --scope read,query` makes one")?;
        return Ok(ExitCode::SUCCESS);
    }
    app.line(&app.output.style(Style::Bold, "Keys"))?;
    let columns = [
        Column::word("id"),
        Column::text("name"),
        Column::word("scopes"),
        Column::word("state"),
        Column::word("created"),
        Column::word("ends"),
    ];
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|key| {
            vec![
                key.id.clone(),
                key.name.clone(),
                scope_names(key).join(","),
                state(key).to_owned(),
                time_text(key.created_at),
                key.revoked_at.or(key.expires_at).map(time_text).unwrap_or_default(),
            ]
        })
        .collect();
    app.line(&app.output.table(&columns, &rows))?;
    Ok(ExitCode::SUCCESS)
}

async fn revoke(
    app: &App,
    keys: &Arc<dyn KeyStore>,
    args: RevokeArgs,
) -> Result<ExitCode, CliError> {
    let listed = keys.list().await?;
    let good = |key: &&ApiKey| state(key) == "good";
    let found: Vec<&ApiKey> = match listed.iter().find(|key| key.id == args.key) {
        Some(key) => vec![key],
        None => listed.iter().filter(good).filter(|key| key.name == args.key).collect(),
    };
    let key = match found.as_slice() {
        [key] => key,
        [] => {
            let message = format!("there is no key `{}`; see questlake key list", args.key);
            return Err(CliError::Usage(message));
        }
        several => {
            let ids: Vec<&str> = several.iter().map(|key| key.id.as_str()).collect();
            let message = format!(
                "{} keys have the name `{}`; say which: {}",
                several.len(),
                args.key,
                ids.join(", ")
            );
            return Err(CliError::Usage(message));
        }
    };
    keys.revoke(&key.id, now_millis()).await?;
    app.line(&format!("revoked {} ({}); servers know within two seconds", key.id, key.name))?;
    Ok(ExitCode::SUCCESS)
}
