//! Whatever follows upon what, every event is there once.
//!
//! The steps are the engine's own functions, in this process: there is time for many orders.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arrow::array::{AsArray, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Int64Type};
use questlake_engine::archive::{ArchivePolicy, UpkeepReport};
use questlake_engine::pipeline::Engine;
use questlake_engine::pipeline::plan::RunOptions;
use questlake_engine::project;
use questlake_engine::query::collect;
use questlake_engine::settings::{LoadOptions, Settings};
use questlake_engine::stores::Stores;
use questlake_ingest::batch::Ingester;
use questlake_ingest::sources::file::{BatchBounds, FileProgress, ingest_file};

use crate::dataset::{Dataset, event_day, whole_event};
use crate::effort;
use crate::inspect::DayCounts;
use crate::random::Random;
use crate::sandbox::{bundled_project, copy_folder};

/// Portions in which the events arrive. Their order is left to chance: most are late.
const PARTS: usize = 10;

/// Steps of one run; the portions that have not come by then come after them.
const STEPS: usize = 24;

/// First day of the events, 2026-01-01, in days since 1970; and how many there are.
const FIRST_DAY: i32 = 20_454;
const DAYS: u64 = 6;

/// The models of the small project, each loaded in another way.
const MODELS: &[&str] =
    &["facts/fact_purchase", "facts/fact_ad_impression", "dimensions/dim_player"];

/// What may happen.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// The next portion comes in, in batches of so many records.
    Ingest { batch_records: usize },
    /// These models are brought up to date; all of them if none is named.
    Load { select: Option<&'static str> },
    /// A model is built anew from all history.
    Rebuild,
    /// Events move, those before a day or all, and leave landing at once or later.
    Archive { grace: Duration, before: Option<i32> },
    /// Small files are put together.
    Optimize,
    /// Replaced files are removed.
    Vacuum,
    /// Another process takes over.
    Reopen,
}

fn choose(random: &mut Random) -> Step {
    match random.below(16) {
        0..=4 => Step::Ingest { batch_records: [30, 200, 5000][random.below(3) as usize] },
        5..=6 => Step::Load { select: None },
        7 => {
            let model = MODELS[random.below(MODELS.len() as u64) as usize];
            Step::Load { select: model.rsplit('/').next() }
        }
        8 => Step::Rebuild,
        9 => Step::Archive { grace: Duration::ZERO, before: None },
        10 => {
            let before = Some(FIRST_DAY + 1 + random.below(DAYS) as i32);
            Step::Archive { grace: Duration::ZERO, before }
        }
        11 => Step::Archive { grace: Duration::from_secs(3600), before: None },
        12..=13 => Step::Optimize,
        14 => Step::Vacuum,
        _ => Step::Reopen,
    }
}

/// One installation, opened.
struct Installation {
    engine: Engine,
    ingester: Ingester,
}

impl Installation {
    async fn open(folder: &Path) -> Self {
        let setting = |name: &str, path: &str| {
            (name.to_owned(), folder.join(path).to_str().unwrap().to_owned())
        };
        let settings = Settings::load(LoadOptions {
            file: None,
            environment: Vec::new(),
            flags: vec![setting("data", "data"), setting("project", "project")],
            current_dir: folder.to_path_buf(),
        })
        .unwrap();
        let (project, _) = project::load(&settings.project).await.unwrap();
        let stores = Stores::open(&settings).unwrap();
        let ingester = Ingester::new(stores.clone(), &project.contracts, &settings.ingest).unwrap();
        let engine = Engine::new(&settings, stores, Arc::new(project)).unwrap();
        Self { engine, ingester }
    }

    async fn ingest(&self, file: &Path, records: usize) {
        let bounds = BatchBounds { records, bytes: 1 << 24 };
        ingest_file(&self.ingester, file, bounds, Arc::new(FileProgress::default())).await.unwrap();
    }

    async fn load(&self, options: &RunOptions) {
        let report = self.engine.run(options, None).await.unwrap();
        assert!(report.succeeded(), "{report:#?}");
    }

    async fn archive(&self, grace: Duration, before: Option<i32>) {
        let policy = ArchivePolicy {
            after: Duration::ZERO,
            grace,
            hot_retention: None,
            vacuum_after: Duration::ZERO,
        };
        // Today's events would be too young by themselves.
        let before = before.or(Some(i32::MAX));
        self.engine.archive(&policy, before, &|_| {}).await.unwrap();
    }

    async fn optimize(&self) {
        self.engine.optimize_archive(&mut UpkeepReport::default()).await.unwrap();
    }

    async fn vacuum(&self) {
        let mut report = UpkeepReport::default();
        self.engine.vacuum_archive(Duration::ZERO, false, &mut report).await.unwrap();
    }

    /// Rows by event type and day. Fails if one is there twice, or if `events.envelope` and the
    /// tables of the types differ.
    async fn count(&self, what: &str) -> DayCounts {
        let figures = "count(*) AS found, count(DISTINCT event_id) AS events";
        let whole = format!(
            "SELECT event_type, event_date, {figures} FROM events.envelope GROUP BY 1, 2 \
             ORDER BY 1, 2"
        );
        let types: Vec<String> = self
            .engine
            .project
            .contracts
            .iter()
            .map(|contract| {
                let name = &contract.event_type;
                format!(
                    "SELECT '{name}' AS event_type, event_date, {figures} FROM events.{name} \
                     GROUP BY 2"
                )
            })
            .collect();
        let types = format!("{} ORDER BY 1, 2", types.join(" UNION ALL "));
        let session = self.engine.session().await.unwrap();
        let whole = day_counts(&collect(&session, &whole).await.unwrap(), what);
        let types = day_counts(&collect(&session, &types).await.unwrap(), what);
        assert_eq!(types, whole, "events.<type> and events.envelope, {what}");
        whole
    }

    /// Sum of the events that `dim_player` has counted.
    async fn loaded(&self) -> u64 {
        let session = self.engine.session().await.unwrap();
        let sql = "SELECT CAST(coalesce(sum(events), 0) AS BIGINT) FROM star.dim_player";
        let batches = collect(&session, sql).await.unwrap();
        let batch = batches.iter().find(|batch| batch.num_rows() > 0).unwrap();
        batch.column(0).as_primitive::<Int64Type>().value(0) as u64
    }
}

fn day_counts(batches: &[RecordBatch], what: &str) -> DayCounts {
    let mut counts = Vec::new();
    for batch in batches {
        let text = |column: usize| cast(batch.column(column), &DataType::Utf8).unwrap();
        let number = |column: usize| cast(batch.column(column), &DataType::Int64).unwrap();
        let (types, days, found, events) = (text(0), text(1), number(2), number(3));
        for row in 0..batch.num_rows() {
            let event_type = types.as_string::<i32>().value(row).to_owned();
            let day = days.as_string::<i32>().value(row).to_owned();
            let found = found.as_primitive::<Int64Type>().value(row);
            let events = events.as_primitive::<Int64Type>().value(row);
            assert_eq!(found, events, "{event_type} on {day}: there several times, {what}");
            counts.push((event_type, day, found as u64));
        }
    }
    counts
}

/// What has been handed over so far, counted from the lines themselves.
#[derive(Default)]
struct Expected {
    events: BTreeSet<String>,
    days: BTreeMap<(String, String), u64>,
}

impl Expected {
    fn add(&mut self, lines: &[Vec<u8>]) {
        for line in lines {
            let Some(event) = whole_event(line) else { continue };
            if self.events.insert(event["event_id"].as_str().unwrap().to_owned()) {
                let event_type = event["event_type"].as_str().unwrap().to_owned();
                *self.days.entry((event_type, event_day(line).unwrap())).or_default() += 1;
            }
        }
    }

    fn counts(&self) -> DayCounts {
        let days = self.days.iter();
        days.map(|((event_type, day), rows)| (event_type.clone(), day.clone(), *rows)).collect()
    }
}

#[test]
fn in_any_order_of_steps_every_event_is_there_once() {
    let effort = effort();
    let runs = if effort.full { 200 } else { 5 };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    for seed in effort.first_seed..effort.first_seed + runs {
        eprintln!("seed {seed}");
        runtime.block_on(run(seed));
    }
}

async fn run(seed: u64) {
    let mut random = Random::new(seed);
    let dataset = Dataset::simulate(25, DAYS as u32, seed);
    let folder = tempfile::tempdir_in(crate::sandbox::sandbox_root()).unwrap();
    write_project(&folder.path().join("project"));
    let mut waiting = write_parts(folder.path(), &dataset, &mut random);
    let mut expected = Expected::default();
    let mut installation = Installation::open(folder.path()).await;
    let mut done: Vec<Step> = Vec::new();
    for _ in 0..STEPS {
        let step = choose(&mut random);
        done.push(step.clone());
        match step {
            Step::Ingest { batch_records } => {
                if let Some((file, lines)) = waiting.pop() {
                    installation.ingest(&file, batch_records).await;
                    expected.add(&lines);
                }
            }
            Step::Load { select } => {
                let select = select.map(str::to_owned).into_iter().collect();
                installation.load(&RunOptions { select, ..RunOptions::default() }).await;
            }
            Step::Rebuild => {
                let options = RunOptions { full_refresh: true, ..RunOptions::default() };
                installation.load(&options).await;
                let what = format!("seed {seed}: {done:?}");
                assert_eq!(installation.loaded().await, expected.events.len() as u64, "{what}");
            }
            Step::Archive { grace, before } => installation.archive(grace, before).await,
            Step::Optimize => installation.optimize().await,
            Step::Vacuum => installation.vacuum().await,
            Step::Reopen => installation = Installation::open(folder.path()).await,
        }
        let what = format!("seed {seed}: {done:?}");
        assert_eq!(installation.count(&what).await, expected.counts(), "{what}");
    }
    let what = format!("seed {seed}, at the end of {done:?}");
    while let Some((file, lines)) = waiting.pop() {
        installation.ingest(&file, 500).await;
        expected.add(&lines);
    }
    installation.load(&RunOptions::default()).await;
    installation.archive(Duration::ZERO, None).await;
    assert_eq!(installation.count(&what).await, expected.counts(), "{what}");
    assert_eq!(expected.counts(), crate::inspect::true_days(&dataset), "{what}");
    assert_eq!(installation.loaded().await, dataset.truth.accounting.landed, "{what}");
    let status = installation.engine.status().await.unwrap();
    assert!(status.accounting.adds_up, "{what}: {:?}", status.accounting);
    assert_eq!((status.landing.rows, status.archive.rows), (0, status.accounting.landed), "{what}");
}

/// The events of the bundled game, and few models.
fn write_project(folder: &Path) {
    let bundled = bundled_project().join("sql");
    copy_folder(&bundled.join("events"), &folder.join("sql/events"));
    for model in MODELS {
        let target = folder.join(format!("sql/{model}.sql"));
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        // What a model refers to beyond these is not there.
        let whole = fs::read_to_string(bundled.join(format!("{model}.sql"))).unwrap();
        let lines = whole.lines().filter(|line| !line.starts_with("-- references:"));
        fs::write(target, lines.collect::<Vec<_>>().join("\n")).unwrap();
    }
}

/// The portions as files with their lines, in any order.
fn write_parts(
    folder: &Path,
    dataset: &Dataset,
    random: &mut Random,
) -> Vec<(PathBuf, Vec<Vec<u8>>)> {
    let mut parts: Vec<(PathBuf, Vec<Vec<u8>>)> = Vec::new();
    for (index, lines) in dataset.lines.chunks(dataset.lines.len().div_ceil(PARTS)).enumerate() {
        let file = folder.join(format!("part-{index}.ndjson"));
        fs::write(&file, lines.concat()).unwrap();
        let place = random.below(parts.len() as u64 + 1) as usize;
        parts.insert(place, (file, lines.to_vec()));
    }
    parts
}
