//! `events.<type>` and `events.envelope`: landed segments as tables.

mod days;
mod reader;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::Result;
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};

use crate::project::contract::{EventContract, envelope, timestamp_type, topic_type};
use crate::stores::landing::Landing;
use crate::stores::ledger::SegmentEntry;
use days::DayRange;
use reader::{SectionReader, SectionSource};

/// Name of the table with the envelope of every event, whatever its type.
pub const ENVELOPE_TABLE: &str = "envelope";

/// The part of the history that a session sees.
#[derive(Clone)]
pub struct EventSlice {
    /// Where the segments lie.
    pub landing: Arc<dyn Landing>,
    /// The segments, in commit order.
    pub segments: Arc<[SegmentEntry]>,
    /// Only events of these days (days since 1970), if limited.
    pub days: Option<Arc<BTreeSet<i32>>>,
}

impl EventSlice {
    /// Days and rows of the event types that `wanted` accepts.
    pub fn rows_by_day(
        &self,
        wanted: impl Fn(&str) -> bool,
    ) -> std::collections::BTreeMap<i32, u64> {
        let mut rows = std::collections::BTreeMap::new();
        for section in self.segments.iter().flat_map(|entry| &entry.segment.sections) {
            if !wanted(&section.event_type) {
                continue;
            }
            for (day, count) in &section.rows_by_date {
                if self.days.as_ref().is_none_or(|days| days.contains(day)) {
                    *rows.entry(*day).or_insert(0) += count;
                }
            }
        }
        rows
    }
}

/// A table over landed segments.
pub struct EventsTable {
    /// The event type, or `None` for the envelope of all types.
    event_type: Option<String>,
    schema: SchemaRef,
    slice: EventSlice,
}

impl std::fmt::Debug for EventsTable {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "EventsTable({:?})", self.event_type)
    }
}

impl EventsTable {
    /// The events of one contract.
    pub fn of_type(contract: &EventContract, slice: EventSlice) -> Self {
        Self {
            event_type: Some(contract.event_type.clone()),
            schema: Arc::clone(&contract.schema),
            slice,
        }
    }

    /// The envelope of every event.
    pub fn envelope(slice: EventSlice) -> Self {
        Self { event_type: None, schema: envelope_schema(), slice }
    }
}

/// Schema of `events.envelope`.
pub fn envelope_schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new(envelope::EVENT_ID, DataType::Utf8, false),
        Field::new(envelope::EVENT_TYPE, DataType::Utf8, false),
        Field::new(envelope::EVENT_TIME, timestamp_type(), false),
        Field::new(envelope::PLAYER_ID, DataType::Utf8, false),
        Field::new(envelope::SESSION_ID, DataType::Utf8, true),
        Field::new(envelope::GAME, DataType::Utf8, true),
        Field::new(envelope::PLATFORM, DataType::Utf8, true),
        Field::new(envelope::COUNTRY, DataType::Utf8, true),
        Field::new(envelope::APP_VERSION, DataType::Utf8, true),
        Field::new(envelope::RECEIVED_AT, timestamp_type(), false),
        Field::new(envelope::EVENT_DATE, DataType::Date32, false),
        Field::new(envelope::SOURCE_TOPIC, topic_type(), false),
        Field::new(envelope::SOURCE_PARTITION, DataType::Int32, false),
        Field::new(envelope::SOURCE_OFFSET, DataType::Int64, false),
    ]))
}

#[async_trait]
impl TableProvider for EventsTable {
    fn schema(&self) -> SchemaRef {
        Arc::clone(&self.schema)
    }

    fn table_type(&self) -> TableType {
        TableType::Base
    }

    fn supports_filters_pushdown(
        &self,
        filters: &[&Expr],
    ) -> Result<Vec<TableProviderFilterPushDown>> {
        // A condition on the day skips whole sections; the rows are filtered again above.
        Ok(filters
            .iter()
            .map(|filter| match DayRange::from_filter(filter) {
                Some(_) => TableProviderFilterPushDown::Inexact,
                None => TableProviderFilterPushDown::Unsupported,
            })
            .collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        _limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => Arc::clone(&self.schema),
        };
        let range = filters
            .iter()
            .filter_map(DayRange::from_filter)
            .fold(DayRange::ALL, DayRange::intersect);
        let sources = self.sources(range);
        if sources.is_empty() {
            return Ok(Arc::new(EmptyExec::new(schema)));
        }
        let partitions: Vec<Arc<dyn PartitionStream>> =
            spread(sources, session.config().target_partitions())
                .into_iter()
                .map(|sources| -> Arc<dyn PartitionStream> {
                    Arc::new(SectionReader::new(
                        Arc::clone(&self.slice.landing),
                        Arc::clone(&schema),
                        sources,
                        self.slice.days.clone(),
                    ))
                })
                .collect();
        Ok(Arc::new(StreamingTableExec::try_new(
            schema,
            partitions,
            None,
            Vec::new(),
            false,
            None,
        )?))
    }
}

impl EventsTable {
    /// The sections that may hold rows of the days asked for.
    fn sources(&self, range: DayRange) -> Vec<SectionSource> {
        let mut sources = Vec::new();
        for entry in self.slice.segments.iter() {
            for section in &entry.segment.sections {
                if self.event_type.as_ref().is_some_and(|name| *name != section.event_type) {
                    continue;
                }
                let wanted = section.rows_by_date.keys().any(|day| {
                    range.contains(*day)
                        && self.slice.days.as_ref().is_none_or(|days| days.contains(day))
                });
                if wanted {
                    sources.push(SectionSource {
                        segment: entry.segment.name.clone().into(),
                        section: section.clone(),
                    });
                }
            }
        }
        sources
    }
}

/// Spreads the sections over at most `partitions` readers of about the same number of bytes, each
/// in commit order.
fn spread(sources: Vec<SectionSource>, partitions: usize) -> Vec<Vec<SectionSource>> {
    let count = partitions.clamp(1, sources.len().max(1));
    let mut groups: Vec<(u64, Vec<SectionSource>)> = vec![(0, Vec::new()); count];
    for source in sources {
        let length = source.section.length;
        if let Some(group) = groups.iter_mut().min_by_key(|(bytes, _)| *bytes) {
            group.0 += length;
            group.1.push(source);
        }
    }
    groups.into_iter().map(|(_, sources)| sources).filter(|sources| !sources.is_empty()).collect()
}
