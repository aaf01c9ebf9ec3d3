//! Rows of one table of the star schema, asked for without SQL.
//!
//! Conditions, order and bounds are expressions over the table's columns, and the values in them are
//! literals of the columns' types: no text of a caller is ever read as SQL. The stores answer the
//! conditions themselves where they can.
//!
//! Rows are in a total order if the table has a key: what the caller asks for first, then the key. So a
//! reading can go on behind any row ([`Reading::after`]), whatever was added or removed meanwhile.

mod held;
mod reader;
mod texts;

use std::sync::Arc;

use arrow::datatypes::DataType;
use datafusion::common::{Column, TableReference};
use datafusion::logical_expr::{Expr, LogicalPlan, LogicalPlanBuilder, SortExpr, TableSource};

use super::parameters::parse_value;
use crate::project::contract::ColumnType;
use crate::stores::warehouse::TableDefinition;

pub use datafusion::common::ScalarValue;
pub use held::HeldRows;
pub use reader::TableReader;
pub use texts::{RowTexts, RowWriter};

/// A condition on a row. Values are of the column's type ([`parse_literal`]).
#[derive(Debug, Clone, PartialEq)]
pub enum Condition {
    /// The column has one of these values.
    OneOf {
        /// The column.
        column: String,
        /// The values.
        values: Vec<ScalarValue>,
    },
    /// The column's value is this one or a larger one.
    AtLeast {
        /// The column.
        column: String,
        /// The value.
        value: ScalarValue,
    },
    /// The column's value is this one or a smaller one.
    AtMost {
        /// The column.
        column: String,
        /// The value.
        value: ScalarValue,
    },
    /// The column's text begins with this one, in upper or lower case.
    BeginsWith {
        /// The column.
        column: String,
        /// The beginning.
        text: String,
    },
    /// All conditions of one of these lists hold. An empty list always does.
    AnyOf(Vec<Vec<Condition>>),
}

/// One column of an order. NULL comes last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderBy {
    /// The column.
    pub column: String,
    /// Whether larger values come first.
    pub descending: bool,
}

/// What is read of a table.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Reading {
    /// The columns, in this order. They are the same for most readings of a table.
    pub columns: Arc<[String]>,
    /// All of these hold for each row.
    pub conditions: Vec<Condition>,
    /// The order of the rows.
    pub order: Vec<OrderBy>,
    /// Only rows behind the one with these values in the columns of the order. NULL is
    /// [`ScalarValue::Null`] or one of the column's type.
    pub after: Option<Vec<ScalarValue>>,
    /// Rows that are left out before the first.
    pub skip: usize,
    /// Most rows.
    pub limit: Option<usize>,
    /// Each row once, however often the table has it.
    pub distinct: bool,
}

fn logical_plan(
    table: &TableDefinition,
    source: Arc<dyn TableSource>,
    reading: &Reading,
) -> datafusion::common::Result<LogicalPlan> {
    let mut plan =
        LogicalPlanBuilder::scan(TableReference::bare(table.name.as_str()), source, None)?;
    let conditions = reading.conditions.iter().map(condition);
    let behind = reading.after.as_ref().and_then(|values| behind(table, &reading.order, values));
    for condition in conditions.chain(behind) {
        plan = plan.filter(condition)?;
    }
    if reading.distinct {
        plan = plan.project(reading.columns.iter().map(|name| column(name)))?.distinct()?;
    }
    if !reading.order.is_empty() {
        let order: Vec<SortExpr> =
            reading.order.iter().map(|by| column(&by.column).sort(!by.descending, false)).collect();
        plan = plan.sort(order)?;
    }
    if reading.skip > 0 || reading.limit.is_some() {
        plan = plan.limit(reading.skip, reading.limit)?;
    }
    if !reading.distinct {
        plan = plan.project(reading.columns.iter().map(|name| column(name)))?;
    }
    plan.build()
}

/// A column by its very name: no part of it is taken for a table.
fn column(name: &str) -> Expr {
    Expr::Column(Column::from_name(name))
}

fn literal(value: &ScalarValue) -> Expr {
    Expr::Literal(value.clone(), None)
}

fn condition(asked: &Condition) -> Expr {
    match asked {
        Condition::OneOf { column: name, values } => match values.as_slice() {
            [value] => column(name).eq(literal(value)),
            values => column(name).in_list(values.iter().map(literal).collect(), false),
        },
        Condition::AtLeast { column: name, value } => column(name).gt_eq(literal(value)),
        Condition::AtMost { column: name, value } => column(name).lt_eq(literal(value)),
        Condition::BeginsWith { column: name, text } => {
            // What is special in a pattern stands for itself.
            let mut pattern = String::with_capacity(text.len() + 1);
            for letter in text.chars() {
                if matches!(letter, '%' | '_' | '\\') {
                    pattern.push('\\');
                }
                pattern.push(letter);
            }
            pattern.push('%');
            column(name).ilike(literal(&ScalarValue::Utf8(Some(pattern))))
        }
        Condition::AnyOf(lists) => {
            let holds = |flag| literal(&ScalarValue::Boolean(Some(flag)));
            let all = |list: &Vec<Condition>| {
                list.iter().map(condition).reduce(Expr::and).unwrap_or_else(|| holds(true))
            };
            lists.iter().map(all).reduce(Expr::or).unwrap_or_else(|| holds(false))
        }
    }
}

/// The rows that come after the one with these values: larger in the first column, or equal there and
/// larger in the second, and so on. NULL comes after every value.
fn behind(table: &TableDefinition, order: &[OrderBy], values: &[ScalarValue]) -> Option<Expr> {
    let mut alternatives: Option<Expr> = None;
    let mut equal: Option<Expr> = None;
    for (by, value) in order.iter().zip(values) {
        let name = || column(&by.column);
        let nullable = !table.key.contains(&by.column);
        let larger = match (value.is_null(), by.descending) {
            (true, _) => None,
            (false, false) => Some(name().gt(literal(value))),
            (false, true) => Some(name().lt(literal(value))),
        };
        let larger = larger.map(|larger| match nullable {
            true => larger.or(name().is_null()),
            false => larger,
        });
        let same = match value.is_null() {
            true => name().is_null(),
            false => name().eq(literal(value)),
        };
        if let Some(larger) = larger {
            let alternative = match equal.clone() {
                Some(equal) => equal.and(larger),
                None => larger,
            };
            alternatives = Some(match alternatives {
                Some(others) => others.or(alternative),
                None => alternative,
            });
        }
        equal = Some(match equal {
            Some(equal) => equal.and(same),
            None => same,
        });
    }
    // Behind a row that is all NULL there is nothing.
    let nothing = (!order.is_empty()).then(|| literal(&ScalarValue::Boolean(Some(false))));
    alternatives.or(nothing)
}

/// The value of a text for a column of this type, or what it ought to be.
///
/// # Errors
/// What the text ought to be.
pub fn parse_literal(data_type: &DataType, text: &str) -> Result<ScalarValue, String> {
    let kind = match data_type {
        DataType::Boolean => ColumnType::Boolean,
        DataType::Int64 => ColumnType::Int64,
        DataType::Float64 => ColumnType::Float64,
        DataType::Decimal128(precision, scale) => {
            ColumnType::Decimal { precision: *precision, scale: *scale }
        }
        DataType::Date32 => ColumnType::Date,
        DataType::Timestamp(..) => ColumnType::Timestamp,
        _ => ColumnType::Text { max_chars: None },
    };
    parse_value(kind, text)
}

#[cfg(test)]
mod tests {
    use arrow::array::{AsArray, Int64Array, RecordBatch, StringArray};
    use arrow::datatypes::{Field, Int64Type, Schema};
    use arrow::error::ArrowError;
    use datafusion::datasource::{MemTable, provider_as_source};
    use datafusion::prelude::SessionContext;
    use proptest::prelude::*;

    use super::held::HeldTable;
    use super::*;
    use crate::stores::warehouse::{Combine, TableColumn};

    fn definition() -> TableDefinition {
        let column = |name: &str, data_type| TableColumn {
            name: name.to_owned(),
            data_type,
            combine: Combine::Replace,
            comment: None,
        };
        TableDefinition {
            name: "mart".to_owned(),
            columns: vec![
                column("id", DataType::Int64),
                column("name", DataType::Utf8),
                column("figure", DataType::Int64),
            ],
            key: vec!["id".to_owned()],
            partition: None,
            comment: None,
        }
    }

    type Row = (i64, Option<String>, Option<i64>);

    fn batch(rows: &[Row]) -> RecordBatch {
        let schema = Arc::new(Schema::new(vec![
            Field::new("id", DataType::Int64, false),
            Field::new("name", DataType::Utf8, true),
            Field::new("figure", DataType::Int64, true),
        ]));
        RecordBatch::try_new(
            schema,
            vec![
                Arc::new(Int64Array::from_iter_values(rows.iter().map(|row| row.0))),
                Arc::new(rows.iter().map(|row| row.1.clone()).collect::<StringArray>()),
                Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
            ],
        )
        .unwrap()
    }

    /// The rows as a store gives them.
    async fn read(rows: &[Row], reading: &Reading) -> Vec<Row> {
        let batch = batch(rows);
        let table = MemTable::try_new(batch.schema(), vec![vec![batch]]).unwrap();
        let source = provider_as_source(Arc::new(table));
        let plan = logical_plan(&definition(), source, reading).unwrap();
        let session = SessionContext::new();
        let batches = session.execute_logical_plan(plan).await.unwrap().collect().await.unwrap();
        rows_of(&batches)
    }

    /// The rows as they are given where the table is held in memory.
    fn held(rows: &[Row], reading: &Reading) -> Vec<Row> {
        // In parts, and in another order than that of the key.
        let (first, second) = rows.split_at(rows.len() / 2);
        let parts = [batch(second), batch(first)];
        let mut table = HeldTable::new(&definition(), parts[0].schema_ref(), &parts).unwrap();
        table.write_rows(write_ids, usize::MAX).unwrap();
        let table = Arc::new(table);
        let found = table.read(&definition(), reading).unwrap();
        let batch = found.batch(&reading.columns).unwrap();
        let ids: Vec<String> =
            found.texts().unwrap().map(|text| String::from_utf8(text.to_vec()).unwrap()).collect();
        let rows = rows_of(&[batch]);
        assert_eq!(ids, rows.iter().map(|row| row.0.to_string()).collect::<Vec<_>>());
        if let Some(last) = found.len().checked_sub(1) {
            assert_eq!(found.value(last, 2).unwrap(), ScalarValue::Int64(rows[last].2));
        }
        rows
    }

    /// Each row as its identifier.
    fn write_ids(rows: &RecordBatch, _: usize) -> Result<Option<RowTexts>, ArrowError> {
        let mut texts = RowTexts::default();
        for id in rows.column(0).as_primitive::<Int64Type>().values() {
            texts.text().extend_from_slice(id.to_string().as_bytes());
            texts.end_row();
        }
        Ok(Some(texts.finish()))
    }

    fn rows_of(batches: &[RecordBatch]) -> Vec<Row> {
        let mut found = Vec::new();
        for batch in batches {
            for row in 0..batch.num_rows() {
                let value =
                    |column: usize| ScalarValue::try_from_array(batch.column(column), row).unwrap();
                let number = |value| match value {
                    ScalarValue::Int64(number) => number,
                    other => panic!("{other:?}"),
                };
                let name = match value(1) {
                    ScalarValue::Utf8(name) => name,
                    other => panic!("{other:?}"),
                };
                found.push((number(value(0)).unwrap(), name, number(value(2))));
            }
        }
        found
    }

    fn values(row: &Row, order: &[OrderBy]) -> Vec<ScalarValue> {
        let value = |by: &OrderBy| match by.column.as_str() {
            "id" => ScalarValue::Int64(Some(row.0)),
            "name" => ScalarValue::Utf8(row.1.clone()),
            _ => ScalarValue::Int64(row.2),
        };
        order.iter().map(value).collect()
    }

    fn all_columns() -> Arc<[String]> {
        ["id", "name", "figure"].map(str::to_owned).into()
    }

    #[test]
    fn texts_become_literals_of_the_columns_types() {
        assert_eq!(parse_literal(&DataType::Int64, "7"), Ok(ScalarValue::Int64(Some(7))));
        assert!(parse_literal(&DataType::Date32, "31.1.2026").unwrap_err().contains("a day"));
        let injection = "x' OR 1=1; --";
        let text = ScalarValue::Utf8(Some(injection.to_owned()));
        assert_eq!(parse_literal(&DataType::Utf8, injection), Ok(text));
    }

    #[tokio::test]
    async fn beginnings_are_taken_as_they_are_written() {
        let rows: Vec<Row> = ["a%b", "A%c", "axb", "a_b"]
            .iter()
            .enumerate()
            .map(|(id, name)| (id as i64, Some((*name).to_owned()), None))
            .collect();
        let begins = |text: &str| Reading {
            columns: all_columns(),
            conditions: vec![Condition::BeginsWith {
                column: "name".to_owned(),
                text: text.to_owned(),
            }],
            ..Reading::default()
        };
        for (beginning, found) in [("a%", 2), ("a_", 1), ("", 4)] {
            assert_eq!(read(&rows, &begins(beginning)).await.len(), found);
            assert_eq!(held(&rows, &begins(beginning)).len(), found);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        /// Page after page, every row comes once, in the order of one large page.
        #[test]
        fn pages_give_every_row_once(
            figures in proptest::collection::vec(
                (proptest::option::of(0..4_i64), proptest::option::of("[ab']{0,2}")), 0..40),
            descending in any::<[bool; 3]>(),
            size in 1..9_usize,
        ) {
            let rows: Vec<Row> = figures
                .into_iter()
                .enumerate()
                .map(|(id, (figure, name))| (id as i64, name, figure))
                .collect();
            let by = |column: &str, descending| OrderBy { column: column.to_owned(), descending };
            let order = vec![
                by("figure", descending[0]), by("name", descending[1]), by("id", descending[2]),
            ];
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            runtime.block_on(async {
                let whole = Reading {
                    columns: all_columns(), order: order.clone(), ..Reading::default()
                };
                let expected = read(&rows, &whole).await;
                let mut pages = Vec::new();
                let mut after = None;
                loop {
                    let page =
                        Reading { after: after.clone(), limit: Some(size), ..whole.clone() };
                    let page = read(&rows, &page).await;
                    let Some(last) = page.last() else { break };
                    after = Some(values(last, &order));
                    pages.extend(page);
                    assert!(pages.len() <= rows.len(), "a row comes twice: {pages:?}");
                }
                assert_eq!(pages, expected);
            });
        }

        /// What is held in memory gives the rows that a store gives.
        #[test]
        fn a_table_in_memory_gives_the_same_rows(
            figures in proptest::collection::vec(
                (proptest::option::of(0..4_i64), proptest::option::of("[ab']{0,2}")), 0..40),
            by_key in any::<bool>(),
            descending in any::<[bool; 3]>(),
            bounds in proptest::option::of((0..40_i64, 0..40_i64)),
            one in proptest::option::of(0..40_i64),
            of in proptest::option::of(proptest::collection::vec("[ab]{0,1}", 0..3)),
            after in proptest::option::of(0..40_usize),
            skip in 0..5_usize,
            limit in proptest::option::of(0..50_usize),
        ) {
            let rows: Vec<Row> = figures
                .into_iter()
                .enumerate()
                .map(|(id, (figure, name))| (id as i64, name, figure))
                .collect();
            let by = |column: &str, descending| OrderBy { column: column.to_owned(), descending };
            let order = match by_key {
                true => vec![by("id", false)],
                false => vec![
                    by("figure", descending[0]), by("name", descending[1]), by("id", descending[2]),
                ],
            };
            let number = |value| ScalarValue::Int64(Some(value));
            let mut conditions = Vec::new();
            if let Some((least, most)) = bounds {
                let column = || "id".to_owned();
                conditions.push(Condition::AtLeast { column: column(), value: number(least) });
                conditions.push(Condition::AtMost { column: column(), value: number(most) });
            }
            if let Some(one) = one {
                conditions.push(Condition::OneOf {
                    column: "id".to_owned(), values: vec![number(one)],
                });
            }
            if let Some(of) = of {
                let values = of.into_iter().map(|text| ScalarValue::Utf8(Some(text)));
                conditions.push(Condition::AnyOf(vec![
                    vec![Condition::OneOf { column: "name".to_owned(), values: values.collect() }],
                    vec![Condition::AtLeast { column: "figure".to_owned(), value: number(2) }],
                ]));
            }
            let after = after.and_then(|row| rows.get(row)).map(|row| values(row, &order));
            let reading = Reading {
                columns: all_columns(),
                conditions, order, after, skip, limit,
                distinct: false,
            };
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let expected = runtime.block_on(read(&rows, &reading));
            prop_assert_eq!(held(&rows, &reading), expected);
        }
    }
}
