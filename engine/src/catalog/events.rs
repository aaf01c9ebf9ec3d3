//! `events.<type>` and `events.envelope`: the archive and landed segments as one table.

mod archived;
mod days;
mod reader;

use std::collections::BTreeSet;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use datafusion::physical_plan::empty::EmptyExec;
use datafusion::physical_plan::streaming::{PartitionStream, StreamingTableExec};
use datafusion::physical_plan::union::UnionExec;

use crate::project::contract::{EventContract, envelope, timestamp_type, topic_type};
use crate::stores::archive::Archive;
use crate::stores::landing::Landing;
use crate::stores::ledger::SegmentEntry;
use crate::stores::ledger::archived::{ArchiveState, ArchivedTable};
use archived::{Request, scan_archive};
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
    /// The part that is in the archive, if the slice reaches back to it.
    pub archive: Option<ArchiveSlice>,
    /// Only events of these days (days since 1970), if limited.
    pub days: Option<Arc<BTreeSet<i32>>>,
}

/// The archive as of one instant.
#[derive(Clone)]
pub struct ArchiveSlice {
    /// Where it lies.
    pub store: Archive,
    /// Which version of each event type's table is read, and what that holds.
    pub state: Arc<ArchiveState>,
}

impl EventSlice {
    /// Whether events of a day are wanted.
    fn has_day(&self, range: DayRange, day: i32) -> bool {
        range.contains(day) && self.days.as_ref().is_none_or(|days| days.contains(&day))
    }
}

/// A table over the archive and landed segments.
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

    /// The same with texts as views: those of the archive are not copied when they are decoded.
    #[must_use]
    pub fn with_text_views(mut self) -> Self {
        let as_view = |field: &Arc<Field>| match field.data_type() {
            // What a file stands for is one value, and no text in it.
            DataType::Utf8 if field.name() != envelope::EVENT_TYPE => {
                Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8View))
            }
            _ => Arc::clone(field),
        };
        let fields: Vec<Arc<Field>> = self.schema.fields().iter().map(as_view).collect();
        self.schema = Arc::new(Schema::new(fields));
        self
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
        // A condition on the day skips whole sections and files, any other what statistics and
        // bloom filters of the archive's files exclude. The rows are filtered again above.
        let in_archive = !self.archived().is_empty();
        Ok(filters
            .iter()
            .map(|filter| match DayRange::from_filter(filter) {
                None if !in_archive => TableProviderFilterPushDown::Unsupported,
                _ => TableProviderFilterPushDown::Inexact,
            })
            .collect())
    }

    async fn scan(
        &self,
        session: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let schema = match projection {
            Some(projection) => Arc::new(self.schema.project(projection)?),
            None => Arc::clone(&self.schema),
        };
        let range = filters
            .iter()
            .filter_map(DayRange::from_filter)
            .fold(DayRange::ALL, DayRange::intersect);
        let request = Request { schema: &self.schema, projection, limit, filters };
        let mut parts = Vec::new();
        parts.extend(self.scan_archive(session, &request, range).await?);
        parts.extend(self.scan_landing(session, &schema, range)?);
        match parts.len() {
            0 => Ok(Arc::new(EmptyExec::new(schema))),
            1 => Ok(parts.swap_remove(0)),
            _ => UnionExec::try_new(parts),
        }
    }
}

impl EventsTable {
    /// The archived tables of its types that hold rows.
    fn archived(&self) -> Vec<(&String, &ArchivedTable)> {
        let Some(archive) = &self.slice.archive else { return Vec::new() };
        archive
            .state
            .tables
            .iter()
            .filter(|(event_type, _)| self.event_type.as_ref().is_none_or(|own| own == *event_type))
            .collect()
    }

    async fn scan_archive(
        &self,
        session: &dyn Session,
        request: &Request<'_>,
        range: DayRange,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let Some(archive) = &self.slice.archive else { return Ok(None) };
        let mut files = Vec::new();
        for (event_type, table) in self.archived() {
            if !table.days.keys().any(|day| self.slice.has_day(range, *day)) {
                continue;
            }
            let known = archive
                .store
                .files_at(event_type, table.version)
                .await
                .map_err(|error| DataFusionError::External(Box::new(error)))?;
            files.extend(known.iter().filter(|file| self.slice.has_day(range, file.day)).cloned());
        }
        if files.is_empty() {
            return Ok(None);
        }
        Ok(Some(scan_archive(&archive.store, files, request, session)?))
    }

    fn scan_landing(
        &self,
        session: &dyn Session,
        schema: &SchemaRef,
        range: DayRange,
    ) -> Result<Option<Arc<dyn ExecutionPlan>>> {
        let sources = self.sources(range);
        if sources.is_empty() {
            return Ok(None);
        }
        let partitions: Vec<Arc<dyn PartitionStream>> =
            spread(sources, session.config().target_partitions())
                .into_iter()
                .map(|sources| -> Arc<dyn PartitionStream> {
                    Arc::new(SectionReader::new(
                        Arc::clone(&self.slice.landing),
                        Arc::clone(schema),
                        sources,
                        self.slice.days.clone(),
                    ))
                })
                .collect();
        Ok(Some(Arc::new(StreamingTableExec::try_new(
            Arc::clone(schema),
            partitions,
            None,
            Vec::new(),
            false,
            None,
        )?)))
    }

    /// The sections that may hold rows of the days asked for.
    fn sources(&self, range: DayRange) -> Vec<SectionSource> {
        let mut sources = Vec::new();
        for entry in self.slice.segments.iter() {
            for section in &entry.segment.sections {
                if self.event_type.as_ref().is_some_and(|name| *name != section.event_type) {
                    continue;
                }
                let wanted = section.rows_by_date.keys().any(|day| self.slice.has_day(range, *day));
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
