//! A plan that reads data files of the archive.

use std::sync::Arc;

use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use chrono::DateTime;
use datafusion::common::stats::Precision;
use datafusion::common::{DataFusionError, Result, ScalarValue, Statistics};
use datafusion::datasource::listing::PartitionedFile;
use datafusion::datasource::physical_plan::parquet::CachedParquetFileReaderFactory;
use datafusion::datasource::physical_plan::{FileGroup, FileScanConfigBuilder, ParquetSource};
use datafusion::datasource::source::DataSourceExec;
use datafusion::datasource::table_schema::TableSchema;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::physical_expr::expressions::Column;
use datafusion::physical_expr::{LexOrdering, PhysicalSortExpr};
use datafusion::physical_plan::ExecutionPlan;
use object_store::ObjectMeta;

use super::{Archive, ArchiveFile};
use crate::project::contract::envelope;

/// Bytes at the end of a file that are read at once: mostly all that is known about its row groups.
const FOOTER_BYTES: usize = 64 * 1024;

/// What to read.
pub struct ArchiveScan<'a> {
    /// Columns of the result before projection: a landed schema, or that of the envelope. A column
    /// that a file does not have is NULL there; `event_type` and `event_date` are the file's.
    pub schema: &'a SchemaRef,
    /// The files that each partition of the plan reads.
    pub groups: Vec<Vec<ArchiveFile>>,
    /// Columns of `schema` to give, or all.
    pub projection: Option<&'a Vec<usize>>,
    /// Rows after which nobody reads on.
    pub limit: Option<usize>,
    /// Whether conditions are held against each row before its other columns are decoded. That pays
    /// where hardly any row is left, and costs where many are, a few here and a few there.
    pub filter_rows: bool,
    /// Whether each group is one file, sorted by `player_id` and `event_time`, and is to be read in
    /// this order.
    pub sorted: bool,
}

/// Plans a scan. Conditions reach it through DataFusion's filter push-down and leave out row groups and
/// pages; nothing has to be handed over for that.
pub fn archive_scan(
    archive: &Archive,
    scan: ArchiveScan<'_>,
    runtime: &RuntimeEnv,
) -> Result<Arc<dyn ExecutionPlan>> {
    archive.register(runtime);
    let columns = ScanColumns::of(scan.schema);
    let reader = CachedParquetFileReaderFactory::new(
        Arc::clone(&archive.store),
        runtime.cache_manager.get_file_metadata_cache(),
    );
    let source = ParquetSource::new(columns.table.clone())
        .with_parquet_file_reader_factory(Arc::new(reader))
        .with_metadata_size_hint(FOOTER_BYTES)
        .with_pushdown_filters(scan.filter_rows)
        .with_reorder_filters(true)
        .with_enable_page_index(true)
        .with_bloom_filter_on_read(true);
    let (mut rows, mut bytes) = (0, 0);
    for file in scan.groups.iter().flatten() {
        rows += usize::try_from(file.rows).unwrap_or(usize::MAX);
        bytes += usize::try_from(file.bytes).unwrap_or(usize::MAX);
    }
    let statistics = Statistics::new_unknown(columns.table.table_schema())
        .with_num_rows(Precision::Exact(rows))
        .with_total_byte_size(Precision::Inexact(bytes));
    let groups: Result<Vec<FileGroup>> =
        scan.groups.iter().map(|files| columns.file_group(files)).collect();
    let projection = columns.projection(scan.projection);
    let mut builder = FileScanConfigBuilder::new(archive.scan_url.clone(), Arc::new(source))
        .with_file_groups(groups?)
        .with_statistics(statistics)
        .with_limit(scan.limit)
        .with_projection_indices(Some(projection))?;
    if scan.sorted {
        let order = order_of(columns.table.table_schema())?;
        builder = builder.with_output_ordering(vec![order]);
    }
    Ok(DataSourceExec::from_data_source(builder.build()))
}

/// The order of the rows in a file.
pub(super) fn order_of(schema: &Schema) -> Result<LexOrdering> {
    let columns: Result<Vec<PhysicalSortExpr>> = [envelope::PLAYER_ID, envelope::EVENT_TIME]
        .iter()
        .map(|name| {
            let column = Column::new_with_schema(name, schema)?;
            Ok(PhysicalSortExpr::new_default(Arc::new(column)))
        })
        .collect();
    LexOrdering::new(columns?)
        .ok_or_else(|| DataFusionError::Internal("an archive without an order".to_owned()))
}

/// The columns of a scan: those in the files, and behind them those that the files stand for.
struct ScanColumns {
    table: TableSchema,
    /// For each column of the wanted schema, its index in `table`.
    places: Vec<usize>,
}

impl ScanColumns {
    fn of(schema: &SchemaRef) -> Self {
        let (mut stored, mut constant): (Vec<FieldRef>, Vec<FieldRef>) = (Vec::new(), Vec::new());
        for field in schema.fields() {
            if is_constant(field.name()) {
                constant.push(Arc::clone(field));
            } else {
                stored.push(Arc::clone(field));
            }
        }
        let (mut next_stored, mut next_constant) = (0, stored.len());
        let places = schema
            .fields()
            .iter()
            .map(|field| {
                let next =
                    if is_constant(field.name()) { &mut next_constant } else { &mut next_stored };
                *next += 1;
                *next - 1
            })
            .collect();
        let table = TableSchema::builder(Arc::new(Schema::new(stored)))
            .with_table_partition_cols(constant)
            .build();
        Self { table, places }
    }

    fn projection(&self, wanted: Option<&Vec<usize>>) -> Vec<usize> {
        match wanted {
            Some(wanted) => wanted.iter().map(|index| self.places[*index]).collect(),
            None => self.places.clone(),
        }
    }

    fn file_group(&self, files: &[ArchiveFile]) -> Result<FileGroup> {
        let files: Result<Vec<PartitionedFile>> =
            files.iter().map(|file| self.partitioned_file(file)).collect();
        Ok(FileGroup::new(files?))
    }

    fn partitioned_file(&self, file: &ArchiveFile) -> Result<PartitionedFile> {
        let values =
            self.table.table_partition_cols().iter().map(|field| match field.name().as_str() {
                envelope::EVENT_DATE => ScalarValue::Date32(Some(file.day)),
                _ => ScalarValue::Utf8(Some(file.event_type.clone())),
            });
        let values = values.collect();
        let rows = usize::try_from(file.rows).unwrap_or(usize::MAX);
        let statistics =
            Statistics::new_unknown(self.table.file_schema()).with_num_rows(Precision::Exact(rows));
        let last_modified = DateTime::from_timestamp_millis(file.modified).ok_or_else(|| {
            DataFusionError::Internal(format!("{} has no time of writing", file.name()))
        })?;
        let meta = ObjectMeta {
            location: file.location.clone(),
            last_modified,
            size: file.bytes,
            e_tag: None,
            version: None,
        };
        Ok(PartitionedFile::new_from_meta(meta)
            .with_partition_values(values)
            .with_statistics(Arc::new(statistics)))
    }
}

fn is_constant(name: &str) -> bool {
    name == envelope::EVENT_DATE || name == envelope::EVENT_TYPE
}
