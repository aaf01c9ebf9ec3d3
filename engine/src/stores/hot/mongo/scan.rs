//! Pages of a scan, and timelines: by the indexes of time, so that each takes a bounded time.
//!
//! A page begins where the one before ended, in the order of time and identifier. Where types leave
//! events out, a page ends at the latest after so many events of all types as it looks at, which the
//! index alone shows. What was inserted after the scan began is known by the time of its insert.

use std::collections::HashSet;

use mongodb::Collection;
use mongodb::bson::{DateTime, Document, RawDocumentBuf, doc};
use mongodb::options::Hint;

use super::super::{HotEvent, HotFilter, HotPage};
use super::document::{ReadResult, event_fields, read_event};
use super::server::{Server, insert_index, player_index, time_index, with_ids};
use crate::stores::error::{StoreErrorKind, StoreResult};

const SCAN: &str = "scan events";
const TIMELINE: &str = "read a player's events";
const LOOK_UP: &str = "look events up";

/// Most events of one page.
pub(super) const PAGE_EVENTS: u32 = 4096;

/// Bytes of documents after which a page ends.
pub(super) const PAGE_BYTES: usize = 4 << 20;

/// Events that one page looks at where only some types are asked for.
const EVENTS_LOOKED_AT: u64 = 50_000;

/// Most types that the server is asked for; more are filtered above.
const MOST_TYPES: usize = 1000;

/// An event's place in the order of a scan.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    /// Milliseconds since 1970.
    time: i64,
    event_id: String,
}

/// Where a scan stands.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Position {
    /// The latest insert when the scan began, milliseconds since 1970: later ones are not part of it.
    latest: i64,
    /// The last event that was read or passed over.
    after: Option<Place>,
}

impl Position {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '/');
        let latest = parts.next()?.parse().ok()?;
        let time = parts.next()?.parse().ok()?;
        let after = Some(Place { time, event_id: parts.next()?.to_owned() });
        Some(Self { latest, after })
    }

    /// The position behind an event.
    fn behind(&self, place: Place) -> String {
        format!("{}/{}/{}", self.latest, place.time, place.event_id)
    }
}

/// Reads the page after a position.
pub(super) async fn page(
    server: &Server,
    filter: &HotFilter,
    after: Option<&str>,
) -> StoreResult<HotPage> {
    let position = match after {
        Some(text) => match Position::parse(text) {
            Some(position) => Some(position),
            None => {
                let reason = "it was to go on from where no scan ends";
                return Err(server.error(SCAN, StoreErrorKind::Internal, reason));
            }
        },
        None => None,
    };
    let read = || async { read_page(server, filter, position.clone()).await };
    server.call(SCAN, server.dialect.read_timeout(), read).await
}

async fn read_page(
    server: &Server,
    filter: &HotFilter,
    position: Option<Position>,
) -> ReadResult<HotPage> {
    let events = &server.reading;
    let position = match position {
        Some(position) => position,
        None => match latest_insert(events).await? {
            Some(latest) => Position { latest, after: None },
            None => return Ok(HotPage::default()),
        },
    };
    let mut bounds = vec![envelope_filter(filter)];
    bounds.extend(position.after.as_ref().map(behind));
    let mut end = None;
    if let Some(types) = types(filter) {
        end = last_looked_at(events, filter, doc! { "$and": bounds.clone() }).await?;
        bounds.extend(end.as_ref().map(up_to));
        bounds.push(types);
    }
    bounds.push(doc! { "inserted_at": { "$lte": DateTime::from_millis(position.latest) } });
    let mut cursor = events
        .find(doc! { "$and": bounds })
        .projection(event_fields(filter.with_documents))
        .sort(time_index())
        .hint(hint(filter))
        .limit(i64::from(PAGE_EVENTS))
        .batch_size(PAGE_EVENTS)
        .await?;
    let mut page = Vec::new();
    let mut bytes = 0;
    let mut read: u32 = 0;
    let mut last = None;
    while cursor.advance().await? {
        let event = read_event(cursor.current())?;
        bytes += event.document.len();
        read += 1;
        last = Some(Place {
            time: event.event_time.div_euclid(1000),
            event_id: event.event_id.clone(),
        });
        if fits(filter, &event) {
            page.push(event);
        }
        if bytes >= PAGE_BYTES {
            break;
        }
    }
    let is_full = read == PAGE_EVENTS || bytes >= PAGE_BYTES;
    let next = if is_full { last } else { end };
    Ok(HotPage { events: page, next: next.map(|place| position.behind(place)) })
}

/// When the latest document was inserted.
async fn latest_insert(events: &Collection<RawDocumentBuf>) -> ReadResult<Option<i64>> {
    let latest = events
        .find_one(doc! {})
        .sort(doc! { "inserted_at": -1 })
        .hint(Hint::Keys(insert_index()))
        .projection(doc! { "inserted_at": 1 })
        .await?;
    match latest {
        Some(document) => Ok(Some(document.get_datetime("inserted_at")?.timestamp_millis())),
        None => Ok(None),
    }
}

/// The last event that a page looks at; `None` if it may look at all that are left.
async fn last_looked_at(
    events: &Collection<RawDocumentBuf>,
    filter: &HotFilter,
    bounds: Document,
) -> ReadResult<Option<Place>> {
    let last = events
        .find_one(bounds)
        .sort(time_index())
        .hint(hint(filter))
        .skip(EVENTS_LOOKED_AT - 1)
        .projection(doc! { "event_time": 1 })
        .await?;
    match last {
        Some(document) => Ok(Some(Place {
            time: document.get_datetime("event_time")?.timestamp_millis(),
            event_id: document.get_str("_id")?.to_owned(),
        })),
        None => Ok(None),
    }
}

/// The conditions on player and time, to the millisecond.
pub(super) fn envelope_filter(filter: &HotFilter) -> Document {
    let mut conditions = Document::new();
    if let Some(player) = &filter.player_id {
        conditions.insert("player_id", player);
    }
    let mut times = Document::new();
    if let Some(from) = filter.from {
        times.insert("$gte", DateTime::from_millis(from.div_euclid(1000)));
    }
    if let Some(through) = filter.through {
        times.insert("$lte", DateTime::from_millis(through.div_euclid(1000)));
    }
    if !times.is_empty() {
        conditions.insert("event_time", times);
    }
    conditions
}

/// The condition on types, if there is one for the server.
pub(super) fn types(filter: &HotFilter) -> Option<Document> {
    let types = filter.event_types.as_ref().filter(|types| types.len() <= MOST_TYPES)?;
    Some(doc! { "event_type": { "$in": types } })
}

/// Whether an event fits in what the server knows less exactly.
pub(super) fn fits(filter: &HotFilter, event: &HotEvent) -> bool {
    filter.from.is_none_or(|from| event.event_time >= from)
        && filter.through.is_none_or(|through| event.event_time <= through)
}

fn behind(place: &Place) -> Document {
    let time = DateTime::from_millis(place.time);
    doc! {
        // Without the first condition, a server that does not see through the others begins at the
        // first event of all.
        "event_time": { "$gte": time },
        "$or": [
            { "event_time": { "$gt": time } },
            { "event_time": time, "_id": { "$gt": &place.event_id } },
        ],
    }
}

fn up_to(place: &Place) -> Document {
    let time = DateTime::from_millis(place.time);
    doc! {
        "event_time": { "$lte": time },
        "$or": [
            { "event_time": { "$lt": time } },
            { "event_time": time, "_id": { "$lte": &place.event_id } },
        ],
    }
}

/// Left to itself, a server may choose the index of inserts and sort everything.
fn hint(filter: &HotFilter) -> Hint {
    Hint::Keys(if filter.player_id.is_some() { player_index() } else { time_index() })
}

/// Those of these events that no document is of.
pub(super) async fn missing(server: &Server, event_ids: Vec<String>) -> StoreResult<Vec<String>> {
    let ids = &event_ids;
    let read = || async move {
        let mut known = HashSet::new();
        for some in ids.chunks(server.dialect.ids_per_message(ids.len())) {
            read_known(server, some, &mut known).await?;
        }
        Ok(known)
    };
    let known = server.call(LOOK_UP, server.dialect.read_timeout(), read).await?;
    Ok(event_ids.into_iter().filter(|id| !known.contains(id)).collect())
}

async fn read_known(
    server: &Server,
    ids: &[String],
    known: &mut HashSet<String>,
) -> ReadResult<()> {
    let wanted = server.reading.find(with_ids(ids));
    let mut cursor = wanted.projection(doc! { "_id": 1 }).await?;
    while cursor.advance().await? {
        known.insert(cursor.current().get_str("_id")?.to_owned());
    }
    Ok(())
}

/// The latest events of a player, latest first.
pub(super) async fn timeline(
    server: &Server,
    player_id: &str,
    limit: usize,
) -> StoreResult<Vec<HotEvent>> {
    if limit == 0 {
        // To the server, that would be no limit.
        return Ok(Vec::new());
    }
    let read = || async { read_timeline(server, player_id, limit).await };
    server.call(TIMELINE, server.dialect.read_timeout(), read).await
}

async fn read_timeline(
    server: &Server,
    player_id: &str,
    limit: usize,
) -> ReadResult<Vec<HotEvent>> {
    let most = i64::try_from(limit).unwrap_or(i64::MAX);
    let of_player = doc! { "player_id": player_id };
    let mut timeline = read_latest(server, of_player, most).await?;
    // The last millisecond may have been cut, and not in the order of its microseconds.
    if timeline.len() == limit
        && let Some(last) = timeline.last()
    {
        let time = last.event_time.div_euclid(1000);
        let same_time = doc! { "player_id": player_id, "event_time": DateTime::from_millis(time) };
        timeline.retain(|event| event.event_time.div_euclid(1000) != time);
        timeline.extend(read_latest(server, same_time, 0).await?);
    }
    timeline.sort_by(|left, right| {
        (right.event_time, &right.event_id).cmp(&(left.event_time, &left.event_id))
    });
    timeline.truncate(limit);
    Ok(timeline)
}

/// The latest events that fit, no more than `most` unless that is 0.
async fn read_latest(
    server: &Server,
    conditions: Document,
    most: i64,
) -> ReadResult<Vec<HotEvent>> {
    let mut cursor = server
        .reading
        .find(conditions)
        .projection(event_fields(true))
        .sort(doc! { "event_time": -1, "_id": -1 })
        .limit(most)
        .await?;
    let mut events = Vec::new();
    while cursor.advance().await? {
        events.push(read_event(cursor.current())?);
    }
    Ok(events)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_back() {
        let begun = Position { latest: 99, after: None };
        let text = begun.behind(Place { time: -5, event_id: "a/b".to_owned() });
        let after = Some(Place { time: -5, event_id: "a/b".to_owned() });
        assert_eq!(Position::parse(&text), Some(Position { latest: 99, after }));
        assert_eq!(Position::parse("12"), None);
    }

    #[test]
    fn times_are_compared_to_the_millisecond_in_the_server_and_exactly_here() {
        let filter = HotFilter { from: Some(1_500), through: Some(2_500), ..HotFilter::default() };
        let expected = doc! {
            "event_time": {
                "$gte": DateTime::from_millis(1),
                "$lte": DateTime::from_millis(2),
            },
        };
        assert_eq!(envelope_filter(&filter), expected);
        assert_eq!(envelope_filter(&HotFilter::default()), Document::new());
    }
}
