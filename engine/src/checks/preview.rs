//! A model's table as it will be once its rows are published, for checks: read once from the load,
//! kept in memory if it is small and in a file otherwise, so that a check may read it several times.

use std::fs::{self, File};
use std::io::{BufReader, BufWriter};
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::datatypes::{Field, Schema, SchemaRef};
use arrow::error::ArrowError;
use arrow_ipc::reader::StreamReader;
use arrow_ipc::writer::StreamWriter;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::{DataFusionError, Result};
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::stream::RecordBatchReceiverStreamBuilder;
use datafusion::physical_plan::streaming::PartitionStream;
use tokio::sync::mpsc::{self, Receiver};
use uuid::Uuid;

use crate::pipeline::{Engine, PipelineError};
use crate::stores::error::StoreError;
use crate::stores::warehouse::{Load, Preview, TableDefinition};

/// Bytes of rows that are kept in memory.
const MEMORY_BYTES: usize = 16 << 20;

/// Batches that may wait for whoever takes them.
const QUEUED_BATCHES: usize = 2;

/// Hands the rows of a preview to `take`.
pub(super) async fn for_each(
    load: &mut dyn Load,
    preview: &Preview,
    mut take: impl FnMut(RecordBatch) -> Result<()> + Send,
) -> std::result::Result<Result<()>, StoreError> {
    let (sender, mut receiver) = mpsc::channel::<Result<RecordBatch>>(QUEUED_BATCHES);
    let taking = async {
        // After a failure the rest is passed over: the load is to stay whole.
        let mut taken = Ok(());
        while let Some(batch) = receiver.recv().await {
            if taken.is_ok() {
                taken = batch.and_then(&mut take);
            }
        }
        taken
    };
    let (sent, taken) = tokio::join!(load.preview(preview, sender), taking);
    sent.map(|()| taken)
}

/// The preview as a table with all columns of the model's: those that it leaves out are NULL.
pub(super) async fn as_table(
    engine: &Engine,
    load: &mut dyn Load,
    preview: &Preview,
    table: &TableDefinition,
) -> std::result::Result<Arc<dyn TableProvider>, PipelineError> {
    let (sender, receiver) = mpsc::channel(QUEUED_BATCHES);
    let path = engine.spill.path().join(format!("preview-{}", Uuid::new_v4()));
    let schema = preview.schema(table);
    let keeping = tokio::task::spawn_blocking({
        let schema = Arc::clone(&schema);
        move || keep(receiver, schema, path)
    });
    let (sent, kept) = tokio::join!(load.preview(preview, sender), keeping);
    sent?;
    let failed = |source| PipelineError::Query { model: table.name.clone(), source };
    let kept = match kept {
        Ok(kept) => kept.map_err(failed)?,
        Err(error) => {
            return Err(PipelineError::Aborted {
                model: table.name.clone(),
                reason: error.to_string(),
            });
        }
    };
    let all = all_columns(table);
    match kept {
        Kept::Memory(batches) => {
            let batches: Result<Vec<RecordBatch>> =
                batches.iter().map(|batch| widened(batch, &all)).collect();
            let rows = batches.and_then(|batches| MemTable::try_new(all, vec![batches]));
            Ok(Arc::new(rows.map_err(failed)?))
        }
        Kept::File(file) => {
            let rows = KeptRows { file: Arc::new(file), schema: Arc::clone(&all) };
            let rows = StreamingTable::try_new(all, vec![Arc::new(rows)]).map_err(failed)?;
            Ok(Arc::new(rows))
        }
    }
}

/// The table's columns, every one nullable.
fn all_columns(table: &TableDefinition) -> SchemaRef {
    let fields: Vec<Field> = table
        .columns
        .iter()
        .map(|column| Field::new(&column.name, column.data_type.clone(), true))
        .collect();
    Arc::new(Schema::new(fields))
}

/// The rows with the columns of `schema`.
fn widened(rows: &RecordBatch, schema: &SchemaRef) -> Result<RecordBatch> {
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| match rows.column_by_name(field.name()) {
            Some(column) => Arc::clone(column),
            None => new_null_array(field.data_type(), rows.num_rows()),
        })
        .collect();
    let options = RecordBatchOptions::new().with_row_count(Some(rows.num_rows()));
    Ok(RecordBatch::try_new_with_options(Arc::clone(schema), columns, &options)?)
}

/// Rows that are kept.
enum Kept {
    Memory(Vec<RecordBatch>),
    File(KeptFile),
}

/// A file, which ends with this.
#[derive(Debug)]
struct KeptFile(PathBuf);

impl Drop for KeptFile {
    fn drop(&mut self) {
        // What cannot be removed now goes with its folder.
        let _ = fs::remove_file(&self.0);
    }
}

fn keep(
    mut receiver: Receiver<Result<RecordBatch>>,
    schema: SchemaRef,
    path: PathBuf,
) -> Result<Kept> {
    let mut batches = Vec::new();
    let mut bytes = 0;
    while let Some(batch) = receiver.blocking_recv() {
        let batch = batch?;
        bytes += batch.get_array_memory_size();
        batches.push(batch);
        if bytes > MEMORY_BYTES {
            return keep_in_file(receiver, batches, &schema, path).map(Kept::File);
        }
    }
    Ok(Kept::Memory(batches))
}

fn keep_in_file(
    mut receiver: Receiver<Result<RecordBatch>>,
    batches: Vec<RecordBatch>,
    schema: &SchemaRef,
    path: PathBuf,
) -> Result<KeptFile> {
    let unwritten = |error: std::io::Error| {
        DataFusionError::External(Box::new(StoreError::io("spill folder", "write to it", error)))
    };
    let file = File::create_new(&path).map_err(unwritten)?;
    let kept = KeptFile(path);
    let mut writer = StreamWriter::try_new(BufWriter::new(file), schema)?;
    for batch in batches {
        writer.write(&batch)?;
    }
    while let Some(batch) = receiver.blocking_recv() {
        writer.write(&batch?)?;
    }
    writer.finish()?;
    Ok(kept)
}

/// Rows in a file.
#[derive(Debug, Clone)]
struct KeptRows {
    file: Arc<KeptFile>,
    schema: SchemaRef,
}

impl PartitionStream for KeptRows {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _context: Arc<TaskContext>) -> SendableRecordBatchStream {
        let mut builder =
            RecordBatchReceiverStreamBuilder::new(Arc::clone(&self.schema), QUEUED_BATCHES);
        let sender = builder.tx();
        let rows = self.clone();
        builder.spawn_blocking(move || {
            let file = File::open(&rows.file.0).map_err(ArrowError::from)?;
            for batch in StreamReader::try_new(BufReader::new(file), None)? {
                let batch = widened(&batch?, &rows.schema)?;
                if sender.blocking_send(Ok(batch)).is_err() {
                    break;
                }
            }
            Ok(())
        });
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array};
    use arrow::datatypes::{DataType, Int64Type};
    use datafusion::prelude::SessionContext;

    use super::*;

    fn numbers(from: i64, count: i64) -> RecordBatch {
        let numbers: ArrayRef = Arc::new(Int64Array::from_iter_values(from..from + count));
        RecordBatch::try_from_iter([("number", numbers)]).unwrap()
    }

    #[tokio::test]
    async fn rows_beyond_memory_are_read_from_a_file_as_often_as_wanted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("preview");
        let (sender, receiver) = mpsc::channel(QUEUED_BATCHES);
        let schema = numbers(0, 1).schema();
        let keeping = tokio::task::spawn_blocking({
            let (schema, path) = (Arc::clone(&schema), path.clone());
            move || keep(receiver, schema, path)
        });
        let batches = 3 * MEMORY_BYTES as i64 / 2 / (8 * 100_000);
        for batch in 0..batches {
            sender.send(Ok(numbers(batch * 100_000, 100_000))).await.unwrap();
        }
        drop(sender);
        let Kept::File(file) = keeping.await.unwrap().unwrap() else { panic!("kept in memory") };
        let wide = Arc::new(Schema::new(vec![
            Field::new("text", DataType::Utf8, true),
            Field::new("number", DataType::Int64, true),
        ]));
        let rows = KeptRows { file: Arc::new(file), schema: Arc::clone(&wide) };
        let session = SessionContext::new();
        let table = StreamingTable::try_new(wide, vec![Arc::new(rows)]).unwrap();
        session.register_table("t", Arc::new(table)).unwrap();
        let sql = "SELECT (SELECT count(*) FROM t), (SELECT max(number) FROM t), \
                   (SELECT count(text) FROM t)";
        let found = session.sql(sql).await.unwrap().collect().await.unwrap();
        let column = |index: usize| found[0].column(index).as_primitive::<Int64Type>().value(0);
        let rows = batches * 100_000;
        assert_eq!((column(0), column(1), column(2)), (rows, rows - 1, 0));
        drop((session, found));
        assert!(!path.exists(), "the file outlives its readers");
    }
}
