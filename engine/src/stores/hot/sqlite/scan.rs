//! Pages of a scan: by row numbers, so that each takes a bounded time.

use std::sync::Arc;

use rusqlite::types::Value;
use rusqlite::{Connection, OptionalExtension};

use super::super::{HotEvent, HotFilter, HotPage, PhysicalKey};
use super::format_event_id;

/// Rows that one page looks at, of all players.
const ROWS_LOOKED_AT: i64 = 50_000;

/// Most events of one page.
const PAGE_EVENTS: usize = 4096;

/// Bytes of documents after which a page ends.
const PAGE_BYTES: usize = 4 << 20;

/// Where a scan stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Position {
    /// Rows up to this number have been read.
    read: i64,
    /// The last row of the scan: later ones came after it had begun.
    last: i64,
}

impl Position {
    fn start(connection: &Connection) -> rusqlite::Result<Self> {
        let last: Option<i64> =
            connection.query_row("SELECT max(row_id) FROM events", [], |row| row.get(0))?;
        Ok(Self { read: 0, last: last.unwrap_or(0) })
    }

    fn parse(text: &str) -> Option<Self> {
        let (read, last) = text.split_once('/')?;
        Some(Self { read: read.parse().ok()?, last: last.parse().ok()? })
    }
}

impl std::fmt::Display for Position {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}/{}", self.read, self.last)
    }
}

/// Reads the page after a position.
pub(super) fn read_page(
    connection: &Connection,
    filter: &HotFilter,
    after: Option<&str>,
) -> rusqlite::Result<HotPage> {
    let position = match after.and_then(Position::parse) {
        Some(position) => position,
        None => Position::start(connection)?,
    };
    let through = match &filter.player_id {
        // The rows of one player are few, and their places are known.
        Some(_) => position.last,
        None => {
            // Rows that were pruned are passed over at once.
            let first: Option<i64> = connection
                .query_row(
                    "SELECT row_id FROM events WHERE row_id > ?1 ORDER BY row_id LIMIT 1",
                    [position.read],
                    |row| row.get(0),
                )
                .optional()?;
            match first {
                Some(first) if first <= position.last => {
                    (first + ROWS_LOOKED_AT - 1).min(position.last)
                }
                _ => return Ok(HotPage::default()),
            }
        }
    };
    let (events, stopped_at) = read_rows(connection, filter, position.read, through)?;
    let read = stopped_at.unwrap_or(through);
    let next = (read < position.last).then(|| Position { read, ..position }.to_string());
    Ok(HotPage { events, next })
}

/// The events that fit with `after < row_id <= through`, and where reading stopped if the page was
/// full before.
fn read_rows(
    connection: &Connection,
    filter: &HotFilter,
    after: i64,
    through: i64,
) -> rusqlite::Result<(Vec<HotEvent>, Option<i64>)> {
    let document = if filter.with_documents { "document" } else { "''" };
    let mut parameters = vec![Value::Integer(after), Value::Integer(through)];
    let from = match &filter.player_id {
        Some(player) => {
            parameters.push(Value::Text(player.clone()));
            "player_runs CROSS JOIN events ON row_id BETWEEN first_row AND last_row \
             AND player_runs.player_id = ?3"
        }
        None => "events",
    };
    let mut conditions = String::new();
    let mut add = |condition: &str, value: i64| {
        parameters.push(Value::Integer(value));
        conditions.push_str(&format!(" AND {condition} ?{}", parameters.len()));
    };
    if let Some(from) = filter.from {
        add("event_time >=", from);
    }
    if let Some(through) = filter.through {
        add("event_time <=", through);
    }
    if let Some(types) = &filter.event_types {
        let mut marks = Vec::new();
        for event_type in types.iter().take(1000) {
            parameters.push(Value::Text(event_type.clone()));
            marks.push(format!("?{}", parameters.len()));
        }
        // More types than a statement should name are filtered above.
        if types.len() <= marks.len() {
            conditions.push_str(&format!(" AND event_type IN ({})", marks.join(", ")));
        } else {
            parameters.truncate(parameters.len() - marks.len());
        }
    }
    let sql = format!(
        "SELECT row_id, event_id, event_type, event_time, events.player_id, topic, partition, \
         \"offset\", {document} FROM {from} CROSS JOIN topics USING (topic_id) \
         CROSS JOIN event_types USING (event_type_id) \
         WHERE row_id > ?1 AND row_id <= ?2{conditions} ORDER BY row_id"
    );
    let mut statement = connection.prepare(&sql)?;
    let mut rows = statement.query(rusqlite::params_from_iter(parameters))?;
    let mut events = Vec::new();
    let mut bytes = 0;
    while let Some(row) = rows.next()? {
        let topic: String = row.get(5)?;
        let event = HotEvent {
            event_id: format_event_id(row.get(1)?),
            event_type: row.get(2)?,
            event_time: row.get(3)?,
            player_id: row.get(4)?,
            key: PhysicalKey {
                topic: Arc::from(topic),
                partition: row.get(6)?,
                offset: row.get(7)?,
            },
            document: row.get(8)?,
        };
        bytes += event.document.len();
        events.push(event);
        if events.len() == PAGE_EVENTS || bytes >= PAGE_BYTES {
            return Ok((events, Some(row.get(0)?)));
        }
    }
    Ok((events, None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read_back() {
        let position = Position { read: 12, last: 99 };
        assert_eq!(Position::parse(&position.to_string()), Some(position));
        assert_eq!(Position::parse("12"), None);
    }
}
