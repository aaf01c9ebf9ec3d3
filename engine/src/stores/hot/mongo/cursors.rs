//! Pages of a scan on a server that reads the whole collection for every question (FerretDB 1): one
//! question, whose answer is kept open from page to page. It shows the collection as it was when the
//! question was asked.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt;
use mongodb::bson::doc;
use mongodb::raw_batch_cursor::{RawBatch, RawBatchCursor};

use super::super::{HotFilter, HotPage};
use super::document::{ReadResult, event_fields, read_event};
use super::scan::{PAGE_EVENTS, envelope_filter, fits, types};
use super::server::Server;
use crate::stores::error::{StoreErrorKind, StoreResult};

const SCAN: &str = "scan events";

/// Events of a page with their documents, whose sizes this kind of server does not look at.
const PAGE_EVENTS_WITH_DOCUMENTS: u32 = 1000;

/// Most scans that wait for their next page; of more, the one that has waited longest is given up.
const MOST_OPEN: usize = 32;

/// Time after which nobody will ask for the next page.
const LONGEST_WAIT: Duration = Duration::from_secs(600);

/// A scan between two pages.
struct Waiting {
    cursor: RawBatchCursor,
    since: Instant,
}

#[derive(Default)]
struct Open {
    begun: u64,
    waiting: HashMap<u64, Waiting>,
}

/// The scans of a store that are under way.
#[derive(Default)]
pub(super) struct Cursors {
    open: Mutex<Open>,
}

impl Cursors {
    /// Reads the first page of a scan, or the next one.
    pub(super) async fn page(
        &self,
        server: &Server,
        filter: &HotFilter,
        after: Option<&str>,
    ) -> StoreResult<HotPage> {
        let (number, mut cursor) = match after {
            Some(number) => self.take(server, number)?,
            None => {
                let begin = || async { begin(server, filter).await };
                let cursor = server.call(SCAN, server.dialect.read_timeout(), begin).await?;
                (self.number(), cursor)
            }
        };
        // A page cannot be asked for twice.
        let next = tokio::time::timeout(server.dialect.read_timeout(), cursor.next()).await;
        let Ok(next) = next else {
            let reason = "no answer in time";
            return Err(server.error(SCAN, StoreErrorKind::Unavailable, reason));
        };
        let Some(batch) = next else { return Ok(HotPage::default()) };
        let events = batch.and_then(|batch| read_batch(&batch, filter));
        let events =
            events.map_err(|error| super::error::driver_error(&server.name, SCAN, error))?;
        self.keep(number, cursor);
        Ok(HotPage { events, next: Some(number.to_string()) })
    }

    fn open(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn number(&self) -> u64 {
        let mut open = self.open();
        open.begun += 1;
        open.begun
    }

    fn take(&self, server: &Server, number: &str) -> StoreResult<(u64, RawBatchCursor)> {
        let found = number.parse().ok().and_then(|number| {
            let waiting = self.open().waiting.remove(&number)?;
            Some((number, waiting.cursor))
        });
        found.ok_or_else(|| {
            let reason = "it was given up, since its next page was not asked for in time";
            server.error(SCAN, StoreErrorKind::Unavailable, reason).with_advice("run it again")
        })
    }

    fn keep(&self, number: u64, cursor: RawBatchCursor) {
        let now = Instant::now();
        let mut open = self.open();
        open.waiting.retain(|_, waiting| now.duration_since(waiting.since) < LONGEST_WAIT);
        if open.waiting.len() >= MOST_OPEN {
            let oldest = open.waiting.iter().min_by_key(|(_, waiting)| waiting.since);
            if let Some(oldest) = oldest.map(|(number, _)| *number) {
                open.waiting.remove(&oldest);
            }
        }
        open.waiting.insert(number, Waiting { cursor, since: now });
    }
}

async fn begin(server: &Server, filter: &HotFilter) -> ReadResult<RawBatchCursor> {
    let mut conditions = envelope_filter(filter);
    conditions.extend(types(filter).unwrap_or_else(|| doc! {}));
    let page = if filter.with_documents { PAGE_EVENTS_WITH_DOCUMENTS } else { PAGE_EVENTS };
    server
        .reading
        .find(conditions)
        .projection(event_fields(filter.with_documents))
        .batch_size(page)
        .batch()
        .await
}

fn read_batch(batch: &RawBatch, filter: &HotFilter) -> ReadResult<Vec<super::HotEvent>> {
    let mut events = Vec::new();
    for document in batch.doc_slices()? {
        let Some(document) = document?.as_document() else { continue };
        let event = read_event(document)?;
        if fits(filter, &event) {
            events.push(event);
        }
    }
    Ok(events)
}
