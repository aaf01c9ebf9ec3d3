//! The KPI summary that the demo draws.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{cast, concat_batches};
use arrow::datatypes::{DataType, Date32Type, Float64Type};
use questlake_engine::pipeline::{Engine, PipelineError};
use questlake_engine::query::collect;

use crate::app::App;
use crate::error::CliError;
use crate::terminal::Style;
use crate::terminal::charts::{bar, sparkline};
use crate::terminal::numbers::{decimal, percent, thousands};
use crate::terminal::table::Column;

/// Width of the bars, in characters.
const BAR_WIDTH: usize = 30;

const DAILY: &str = "
    SELECT date, new_players, dau, wau, mau, stickiness, sessions, avg_session_seconds,
           total_revenue_usd, arpdau, payers, conversion
    FROM star.mart_daily_kpi WHERE platform = 'all' AND country = 'all' ORDER BY date";

const RETENTION: &str = "
    SELECT day_n, sum(active_players) AS active, sum(cohort_size) AS players
    FROM star.mart_retention
    WHERE platform = 'all' AND country = 'all' AND day_n IN (0, 1, 3, 7, 14, 28, 30)
    GROUP BY day_n ORDER BY day_n";

const PLATFORMS: &str = "
    SELECT platform, sum(total_revenue_usd) AS revenue
    FROM star.mart_daily_kpi WHERE platform <> 'all' AND country = 'all'
    GROUP BY platform ORDER BY revenue DESC";

/// Draws the summary.
pub(crate) async fn print(app: &App, engine: &Engine) -> Result<(), CliError> {
    let session = engine.session().await?;
    let query = async |sql: &str| -> Result<Option<RecordBatch>, CliError> {
        let error = |source| PipelineError::Query { model: "of the summary".to_owned(), source };
        let batches = collect(&session, sql).await.map_err(error)?;
        let Some(first) = batches.first() else { return Ok(None) };
        let batch =
            concat_batches(&first.schema(), &batches).map_err(|source| error(source.into()))?;
        Ok((batch.num_rows() > 0).then_some(batch))
    };
    let Some(daily) = query(DAILY).await? else {
        return app.line("no day has any events yet");
    };
    print_daily(app, &daily)?;
    if let Some(retention) = query(RETENTION).await? {
        print_retention(app, &retention)?;
    }
    if let Some(platforms) = query(PLATFORMS).await? {
        print_platforms(app, &platforms)?;
    }
    Ok(())
}

/// A column as numbers; what is NULL or no number counts as 0.
fn numbers_of(batch: &RecordBatch, name: &str) -> Vec<f64> {
    let Some(column) = batch.column_by_name(name) else { return Vec::new() };
    let Ok(column) = cast(column, &DataType::Float64) else { return Vec::new() };
    let column = column.as_primitive::<Float64Type>();
    (0..column.len()).map(|row| if column.is_null(row) { 0.0 } else { column.value(row) }).collect()
}

fn texts_of(batch: &RecordBatch, name: &str) -> Vec<String> {
    let Some(column) = batch.column_by_name(name) else { return Vec::new() };
    let Ok(column) = cast(column, &DataType::Utf8) else { return Vec::new() };
    column.as_string::<i32>().iter().map(|text| text.unwrap_or_default().to_owned()).collect()
}

fn print_daily(app: &App, daily: &RecordBatch) -> Result<(), CliError> {
    let dates = daily.column(0).as_primitive::<Date32Type>();
    let first = dates.value_as_date(0).map(|day| day.to_string()).unwrap_or_default();
    let last_row = daily.num_rows() - 1;
    let last = dates.value_as_date(last_row).map(|day| day.to_string()).unwrap_or_default();
    app.line(&app.output.style(Style::Bold, &format!("\nKPIs, {first} to {last}")))?;
    let columns = [
        Column::text("figure"),
        Column::text("by day"),
        Column::number("average"),
        Column::number("last day"),
    ];
    let money = |value: f64| format!("${}", decimal(value, 2));
    let count = |value: f64| thousands(value.round() as u64);
    let share = |value: f64| percent(value);
    let minutes = |value: f64| format!("{} min", decimal(value / 60.0, 1));
    let cents = |value: f64| format!("${}", decimal(value, 4));
    type Show<'a> = &'a dyn Fn(f64) -> String;
    let figures: [(&str, &str, Show<'_>); 11] = [
        ("new players", "new_players", &count),
        ("DAU", "dau", &count),
        ("WAU", "wau", &count),
        ("MAU", "mau", &count),
        ("stickiness", "stickiness", &share),
        ("sessions", "sessions", &count),
        ("session length", "avg_session_seconds", &minutes),
        ("revenue", "total_revenue_usd", &money),
        ("ARPDAU", "arpdau", &cents),
        ("payers", "payers", &count),
        ("conversion", "conversion", &share),
    ];
    let rows: Vec<Vec<String>> = figures
        .iter()
        .map(|(label, column, show)| {
            let values = numbers_of(daily, column);
            let average = values.iter().sum::<f64>() / values.len().max(1) as f64;
            vec![
                (*label).to_owned(),
                sparkline(&values),
                show(average),
                values.last().map(|value| show(*value)).unwrap_or_default(),
            ]
        })
        .collect();
    app.line(&app.output.table(&columns, &rows))
}

fn print_retention(app: &App, retention: &RecordBatch) -> Result<(), CliError> {
    app.line(&app.output.style(Style::Bold, "\nRetention, all cohorts whose day is over"))?;
    let days = numbers_of(retention, "day_n");
    let active = numbers_of(retention, "active");
    let players = numbers_of(retention, "players");
    for ((day, active), players) in days.iter().zip(active).zip(players) {
        let share = active / players.max(1.0);
        app.line(&format!("  D{day:<3} {:>7}  {}", percent(share), bar(share, 1.0, BAR_WIDTH)))?;
    }
    Ok(())
}

fn print_platforms(app: &App, platforms: &RecordBatch) -> Result<(), CliError> {
    app.line(&app.output.style(Style::Bold, "\nRevenue by platform"))?;
    let names = texts_of(platforms, "platform");
    let revenue = numbers_of(platforms, "revenue");
    let most = revenue.iter().copied().fold(0.0, f64::max);
    for (name, revenue) in names.iter().zip(revenue) {
        let amount = format!("${}", decimal(revenue, 2));
        app.line(&format!("  {name:<10} {amount:>14}  {}", bar(revenue, most, BAR_WIDTH)))?;
    }
    Ok(())
}
