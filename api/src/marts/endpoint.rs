//! What is known of a table before anything is asked of it.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use questlake_engine::models::Model;
use questlake_engine::project::header::Chart;
use questlake_engine::stores::warehouse::TableColumn;
use serde::Serialize;
use xxhash_rust::xxh3::xxh3_64;

use crate::tabular::{Columns, model_columns};

/// What stands for every row of a cut, in marts that have such rows.
const ALL: &str = "all";

/// Columns by which marts are cut, and which most readers do not want to see cut.
const CUTS: [&str; 2] = ["platform", "country"];

/// A column that is not of the key, and by which rows are chosen all the same.
const GAME: &str = "game";

/// One model's table as it is asked for.
pub(crate) struct Endpoint {
    pub(crate) model: Arc<Model>,
    /// By what its rows are chosen.
    pub(crate) filters: Vec<Filter>,
    pub(crate) chart: Chart,
    /// Tells its SQL from any other.
    pub(super) source: u64,
    /// All columns: as they are shown, their names, and their types in an answer.
    pub(super) columns: Columns,
    pub(super) names: Arc<[String]>,
    pub(super) schema: SchemaRef,
}

impl Endpoint {
    pub(crate) fn new(model: &Arc<Model>) -> Self {
        let names = model.table.column_names();
        Self {
            model: Arc::clone(model),
            filters: filters(model),
            chart: model.chart(),
            source: xxh3_64(model.source.file.text().as_bytes()),
            columns: Columns::new(&model_columns(model)),
            schema: schema(model, &names),
            names,
        }
    }
}

/// The types of these columns in an answer, where any of them may be absent.
pub(super) fn schema(model: &Model, names: &[String]) -> SchemaRef {
    let columns = names.iter().filter_map(|name| model.table.column(name));
    let fields = columns.map(|column| Field::new(&column.name, column.data_type.clone(), true));
    Arc::new(Schema::new(fields.collect::<Vec<_>>()))
}

/// A column by which rows are chosen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Filter {
    column: String,
    /// What is chosen where nothing is asked for; all values without it.
    default: Option<&'static str>,
}

impl Filter {
    /// The column.
    pub(crate) fn column(&self) -> &str {
        &self.column
    }

    /// What is chosen where nothing is asked for.
    pub(crate) fn default(&self) -> Option<&'static str> {
        self.default
    }
}

/// The column of days that `from` and `to` are about.
pub(crate) fn day_column(model: &Model) -> Option<&TableColumn> {
    let table = &model.table;
    let is_day = |column: &&TableColumn| column.data_type == DataType::Date32;
    let partition = table.partition.as_ref().and_then(|name| table.column(name));
    let of_key = || table.key.iter().filter_map(|name| table.column(name)).find(is_day);
    partition.filter(is_day).or_else(of_key)
}

/// The columns of a model by which rows are chosen.
pub(crate) fn filters(model: &Model) -> Vec<Filter> {
    let table = &model.table;
    let day = day_column(model).map(|column| column.name.as_str());
    let mut columns: Vec<&str> = table.key.iter().map(String::as_str).collect();
    if !table.key.iter().any(|name| name == GAME) && table.column(GAME).is_some() {
        columns.push(GAME);
    }
    columns.retain(|name| Some(*name) != day);
    let has_all = model.source.statement.to_string().contains("'all'");
    let filter = |name: &str| {
        let is_text = table.column(name).is_some_and(|column| column.data_type == DataType::Utf8);
        let is_cut = is_text && CUTS.contains(&name) && has_all;
        Filter { column: name.to_owned(), default: is_cut.then_some(ALL) }
    };
    columns.into_iter().map(filter).collect()
}
