//! Reads sections of segments as record batches.

use std::collections::BTreeSet;
use std::error::Error;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, MutableArrayData, RecordBatch, RecordBatchOptions,
    StringArray, make_array, new_null_array,
};
use arrow::compute::{cast, filter_record_batch};
use arrow::datatypes::{DataType, Date32Type, Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;

use crate::project::contract::envelope;
use crate::project::evolution::{Misfit, misfit};
use crate::stores::error::{StoreError, StoreErrorKind};
use crate::stores::landing::Landing;
use crate::stores::landing::segment::{Section, decode_section};

/// Batches that may wait for the reader's consumer.
const QUEUED_BATCHES: usize = 2;

/// One section to read.
#[derive(Debug, Clone)]
pub(super) struct SectionSource {
    pub(super) segment: Arc<str>,
    pub(super) section: Section,
}

/// Reads its sections one after the other.
pub(super) struct SectionReader {
    landing: Arc<dyn Landing>,
    schema: SchemaRef,
    sources: Arc<[SectionSource]>,
    days: Option<Arc<BTreeSet<i32>>>,
}

impl SectionReader {
    pub(super) fn new(
        landing: Arc<dyn Landing>,
        schema: SchemaRef,
        sources: Vec<SectionSource>,
        days: Option<Arc<BTreeSet<i32>>>,
    ) -> Self {
        Self { landing, schema, sources: sources.into(), days }
    }
}

impl std::fmt::Debug for SectionReader {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let rows: u64 = self.sources.iter().map(|source| source.section.rows()).sum();
        write!(formatter, "SectionReader({} sections, {rows} rows)", self.sources.len())
    }
}

impl PartitionStream for SectionReader {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder =
            RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), QUEUED_BATCHES);
        let sender = builder.tx();
        let batch_rows = context.session_config().batch_size();
        let landing = Arc::clone(&self.landing);
        let schema = Arc::clone(&self.schema);
        let landed = without_views(&schema);
        let sources = Arc::clone(&self.sources);
        let days = self.days.clone();
        builder.spawn(async move {
            for source in sources.iter() {
                for batch in read_section(&*landing, &landed, source, days.as_deref()).await? {
                    // A slice would keep its whole section in memory, with columns that nobody wants,
                    // for as long as a sort above holds it.
                    let mut start = 0;
                    while start < batch.num_rows() {
                        let rows = batch_rows.min(batch.num_rows() - start);
                        let copy = with_views(copy_rows(&batch, start, rows)?, &schema)?;
                        if sender.send(Ok(copy)).await.is_err() {
                            return Ok(());
                        }
                        start += rows;
                    }
                }
            }
            Ok(())
        });
        builder.build()
    }
}

/// The schema with texts as they are landed. A view into a section would keep all of its texts in
/// memory, so that views are made of rows that have been copied.
fn without_views(schema: &SchemaRef) -> SchemaRef {
    let landed = |field: &Arc<Field>| match field.data_type() {
        DataType::Utf8View => Arc::new(field.as_ref().clone().with_data_type(DataType::Utf8)),
        _ => Arc::clone(field),
    };
    let fields: Vec<Arc<Field>> = schema.fields().iter().map(landed).collect();
    Arc::new(Schema::new(fields))
}

/// The rows with views of their texts where the schema has such.
fn with_views(rows: RecordBatch, schema: &SchemaRef) -> Result<RecordBatch, ArrowError> {
    if rows.schema() == *schema {
        return Ok(rows);
    }
    let fields = schema.fields().iter().zip(rows.columns());
    let columns = fields
        .map(|(field, column)| match field.data_type() {
            DataType::Utf8View => cast(column, &DataType::Utf8View),
            _ => Ok(Arc::clone(column)),
        })
        .collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)
}

/// Some rows of a batch, in memory of their own.
fn copy_rows(batch: &RecordBatch, start: usize, rows: usize) -> Result<RecordBatch, ArrowError> {
    let copy = |column: &ArrayRef| -> Result<ArrayRef, ArrowError> {
        let data = column.to_data();
        let mut copy = MutableArrayData::new(vec![&data], false, rows);
        copy.try_extend(0, start, start + rows)?;
        Ok(make_array(copy.freeze()))
    };
    let columns = batch.columns().iter().map(copy).collect::<Result<_, _>>()?;
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    RecordBatch::try_new_with_options(batch.schema(), columns, &options)
}

async fn read_section(
    landing: &dyn Landing,
    schema: &SchemaRef,
    source: &SectionSource,
    days: Option<&BTreeSet<i32>>,
) -> Result<Vec<RecordBatch>, DataFusionError> {
    let section = &source.section;
    let range = section.offset..section.offset + section.length;
    let bytes = landing
        .read(&source.segment, range)
        .await
        .map_err(|error| DataFusionError::External(Box::new(error)))?;
    // Days need filtering only where the section has others than those asked for.
    let filtered = days.filter(|days| section.rows_by_date.keys().any(|day| !days.contains(day)));
    let needs_day = filtered.is_some();
    let projection = |stored: &SchemaRef| -> Vec<usize> {
        let mut indexes: Vec<usize> = stored
            .fields()
            .iter()
            .enumerate()
            .filter(|(_, field)| {
                schema.index_of(field.name()).is_ok()
                    || (needs_day && field.name() == envelope::EVENT_DATE)
            })
            .map(|(index, _)| index)
            .collect();
        if indexes.is_empty() {
            // A count needs the number of rows: read the narrowest column.
            indexes.extend(stored.index_of(envelope::EVENT_DATE).ok());
        }
        indexes
    };
    let decode = || -> Result<Vec<RecordBatch>, Unreadable> {
        let mut batches = Vec::new();
        for batch in decode_section(&bytes, section, Some(&projection))? {
            let batch = match filtered {
                Some(days) => filter_days(&batch, days)?,
                None => batch,
            };
            batches.push(fit(&batch, schema, &section.event_type)?);
        }
        Ok(batches)
    };
    decode().map_err(|failure| {
        let operation = format!("read segment {}", source.segment);
        let error = |kind, cause: Box<dyn Error + Send + Sync>, advice: String| {
            StoreError::new(landing.name(), operation, kind, cause).with_advice(advice)
        };
        let error = match failure {
            Unreadable::Damaged(cause) => {
                let advice = "the file was changed after it was sealed; restore it from a backup";
                error(StoreErrorKind::Corrupt, cause.into(), advice.to_owned())
            }
            Unreadable::Older { column, misfit } => {
                let event_type = &section.event_type;
                let cause = format!(
                    "its events of `{event_type}` are older than column `{column}` in \
                     sql/events/{event_type}.sql: {misfit}"
                );
                error(StoreErrorKind::Incompatible, cause.into(), misfit.way_out(&column))
            }
        };
        DataFusionError::External(Box::new(error))
    })
}

/// Why a section cannot be read.
#[derive(Debug)]
enum Unreadable {
    /// It is not what was sealed.
    Damaged(ArrowError),
    /// It was sealed under a contract that today's does not go on from.
    Older { column: String, misfit: Misfit },
}

impl From<ArrowError> for Unreadable {
    fn from(error: ArrowError) -> Self {
        Self::Damaged(error)
    }
}

fn filter_days(batch: &RecordBatch, days: &BTreeSet<i32>) -> Result<RecordBatch, ArrowError> {
    let Some(column) = batch.column_by_name(envelope::EVENT_DATE) else {
        return Ok(batch.clone());
    };
    let column = column.as_primitive::<Date32Type>();
    let keep: BooleanArray = column.values().iter().map(|day| Some(days.contains(day))).collect();
    filter_record_batch(batch, &keep)
}

/// The batch with the columns of `schema`: a column that its contract did not have yet is NULL, and
/// one whose type was narrower is cast.
fn fit(
    batch: &RecordBatch,
    schema: &SchemaRef,
    event_type: &str,
) -> Result<RecordBatch, Unreadable> {
    let rows = batch.num_rows();
    let mut columns: Vec<ArrayRef> = Vec::with_capacity(schema.fields().len());
    for field in schema.fields() {
        let stored = batch.schema_ref().column_with_name(field.name());
        if stored.is_none() && field.name() == envelope::EVENT_TYPE {
            let types = std::iter::repeat_n(event_type, rows);
            columns.push(Arc::new(StringArray::from_iter_values(types)));
            continue;
        }
        let values = stored.map(|(index, _)| batch.column(index));
        match misfit(stored.map(|(_, field)| field), field) {
            None => {}
            Some(Misfit::MayBeNull) if values.is_some_and(|values| values.null_count() == 0) => {}
            Some(misfit) => {
                return Err(Unreadable::Older { column: field.name().clone(), misfit });
            }
        }
        columns.push(match values {
            Some(values) if values.data_type() == field.data_type() => Arc::clone(values),
            Some(values) => cast(values, field.data_type())?,
            None => new_null_array(field.data_type(), rows),
        });
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

#[cfg(test)]
mod tests {
    use arrow::array::{Int32Array, Int64Array};

    use super::*;

    fn read_as(field: Field) -> Result<RecordBatch, Unreadable> {
        let stored = Schema::new(vec![Field::new("level", DataType::Int32, true)]);
        let values: ArrayRef = Arc::new(Int32Array::from(vec![Some(7), None]));
        let batch = RecordBatch::try_new(Arc::new(stored), vec![values]).unwrap();
        fit(&batch, &Arc::new(Schema::new(vec![field])), "level_start")
    }

    #[test]
    fn older_events_are_read_by_a_contract_that_goes_on_from_theirs() {
        let wider = read_as(Field::new("level", DataType::Int64, true)).unwrap();
        let expected: ArrayRef = Arc::new(Int64Array::from(vec![Some(7), None]));
        assert_eq!(wider.column(0), &expected);
        let added = read_as(Field::new("world", DataType::Utf8, true)).unwrap();
        assert_eq!(added.column(0).null_count(), 2);
    }

    #[test]
    fn what_does_not_fit_is_told_from_damage_and_never_made_null() {
        let misfits = [
            (Field::new("world", DataType::Utf8, false), Misfit::Missing),
            (Field::new("level", DataType::Int32, false), Misfit::MayBeNull),
            (
                Field::new("level", DataType::Int16, true),
                Misfit::Type { stored: DataType::Int32, wanted: DataType::Int16 },
            ),
        ];
        for (field, expected) in misfits {
            match read_as(field.clone()).unwrap_err() {
                Unreadable::Older { column, misfit } => {
                    assert_eq!((column.as_str(), misfit), (field.name().as_str(), expected));
                }
                damaged => panic!("{damaged:?}"),
            }
        }
    }
}
