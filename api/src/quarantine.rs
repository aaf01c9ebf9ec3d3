//! Records that did not fit their contract: what is wrong with them, and taking them in again.

use std::sync::Arc;

use axum::extract::{Extension, Request, State};
use axum::response::Response;
use questlake_engine::stores::keys::Scope;
use questlake_engine::stores::ledger::{QuarantineEntry, QuarantineFilter};
use serde::{Deserialize, Deserializer, Serialize};

use crate::access::Caller;
use crate::api::{Api, ReplayRequest};
use crate::body;
use crate::parameters::Parameters;
use crate::problem::{Kind, Mistake, Problem};
use crate::request::json;
use crate::text::rfc3339;

/// Records that are listed if the request does not say, and at most.
const RECORDS: (u64, u64) = (100, 1_000);

/// Most records of one replay.
const MAX_REPLAYED: usize = 10_000;

#[derive(Serialize)]
struct QuarantineList {
    records: Vec<Record>,
    groups: Vec<Group>,
    next_cursor: Option<String>,
}

#[derive(Serialize)]
struct Record {
    id: i64,
    state: &'static str,
    reason: String,
    detail: String,
    event_type: Option<String>,
    contract_version: Option<String>,
    topic: String,
    partition: i32,
    offset: i64,
    quarantined_at: String,
    attempts: u32,
    raw: Option<String>,
}

#[derive(Serialize)]
struct Group {
    reason: String,
    event_type: Option<String>,
    open: u64,
    replayed: u64,
}

fn record(entry: QuarantineEntry, with_raw: bool) -> Record {
    let raw = with_raw.then(|| String::from_utf8_lossy(&entry.record.raw).into_owned());
    let record = entry.record;
    Record {
        id: entry.id,
        state: entry.state.name(),
        reason: record.reason,
        // It may tell a part of the record.
        detail: record.detail,
        event_type: record.event_type,
        contract_version: record.contract_version.map(|version| format!("{version:016x}")),
        topic: record.key.topic.to_string(),
        partition: record.key.partition,
        offset: record.key.offset,
        quarantined_at: rfc3339(entry.quarantined_at),
        attempts: entry.attempts,
        raw,
    }
}

/// `GET /api/v1/quarantine`
pub(crate) async fn list(
    State(api): State<Arc<Api>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Response, Problem> {
    let mut parameters = Parameters::new(request.uri().query().unwrap_or_default());
    let limit = parameters.take_number("limit", 1, RECORDS.1).unwrap_or(RECORDS.0);
    let after = parameters.take_number("after", 0, i64::MAX.unsigned_abs());
    let cursor = parameters.take_number("cursor", 0, i64::MAX.unsigned_abs());
    let reason = parameters.take("reason");
    let event_type = parameters.take("event_type");
    let include_replayed = parameters.take_flag("all");
    parameters.finish()?;
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let filter = QuarantineFilter {
        ids: Vec::new(),
        reason,
        event_type,
        include_replayed,
        after_id: i64::try_from(cursor.or(after).unwrap_or(0)).unwrap_or(i64::MAX),
        limit: limit + 1,
    };
    let mut entries = api.engine.stores.ledger.quarantine(&filter).await?;
    let has_more = entries.len() > limit;
    entries.truncate(limit);
    let next_cursor = entries.last().filter(|_| has_more).map(|entry| entry.id.to_string());
    let with_raw = caller.may(Scope::Admin);
    let groups = api.engine.stores.ledger.snapshot().await?.quarantine;
    json(&QuarantineList {
        records: entries.into_iter().map(|entry| record(entry, with_raw)).collect(),
        groups: groups
            .into_iter()
            .map(|group| Group {
                reason: group.reason,
                event_type: group.event_type,
                open: group.open,
                replayed: group.replayed,
            })
            .collect(),
        next_cursor,
    })
}

/// The body of a replay.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReplayBody {
    #[serde(default, deserialize_with = "whole_numbers")]
    ids: Vec<i64>,
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    event_type: Option<String>,
    /// The mended record.
    #[serde(default)]
    with: Option<String>,
}

#[derive(Serialize)]
struct Replayed {
    replayed: u64,
    landed: u64,
    duplicates: u64,
    refused: Vec<Refused>,
}

/// Whole numbers as JSON has them: `7.0` is one.
fn whole_numbers<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<i64>, D::Error> {
    // Beyond these not every whole number is a double.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    let whole = |number: serde_json::Number| {
        let rounded = number.as_f64().filter(|value| value.fract() == 0.0 && value.abs() <= EXACT);
        number.as_i64().or(rounded.map(|value| value as i64)).ok_or_else(|| {
            serde::de::Error::custom(format!("{number} is not the number of a record"))
        })
    };
    Vec::<serde_json::Number>::deserialize(deserializer)?.into_iter().map(whole).collect()
}

#[derive(Serialize)]
struct Refused {
    id: i64,
    reason: String,
    detail: String,
}

/// `POST /api/v1/quarantine/replay`
pub(crate) async fn replay(
    State(api): State<Arc<Api>>,
    request: Request,
) -> Result<Response, Problem> {
    Parameters::new(request.uri().query().unwrap_or_default()).finish()?;
    let asked: ReplayBody = body::json(request, api.settings.body_limit.as_usize()).await?;
    let refuse = |parameter: &str, message: &str| {
        let (parameter, message) = (parameter.to_owned(), message.to_owned());
        let mistake = Mistake { parameter, message, ..Mistake::default() };
        Problem::of_mistakes(Kind::InvalidBody, vec![mistake])
    };
    if asked.with.is_some() && asked.ids.len() != 1 {
        return Err(refuse("with", "`with` mends one record: give its number in `ids`"));
    }
    if asked.ids.len() > MAX_REPLAYED {
        return Err(refuse("ids", "`ids` has at most 10000 numbers"));
    }
    if asked.ids.is_empty() && asked.reason.is_none() && asked.event_type.is_none() {
        return Err(refuse("ids", "give `ids`, `reason` or `event_type`"));
    }
    let Some(replay) = api.replay.clone() else {
        return Err(Problem::unavailable("this process does not take records in"));
    };
    let request = ReplayRequest {
        ids: asked.ids,
        reason: asked.reason,
        event_type: asked.event_type,
        mended: asked.with.map(String::into_bytes),
    };
    // It ends even if the caller leaves.
    let report = match tokio::spawn(replay(request)).await {
        Ok(report) => report.map_err(|error| Problem::internal(&error))?,
        Err(error) => return Err(Problem::internal(&error)),
    };
    let refused = report.refused.into_iter();
    json(&Replayed {
        replayed: report.replayed,
        landed: report.landed,
        duplicates: report.duplicates,
        refused: refused.map(|(id, reason, detail)| Refused { id, reason, detail }).collect(),
    })
}
