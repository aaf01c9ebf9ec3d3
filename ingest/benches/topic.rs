//! A topic of Kafka to sealed segments, with the hot store off: what reading, decoding, landing and
//! committing cost by themselves. The product has no such mode, since the hot store tells duplicates.
//!
//! ```text
//! cargo bench -p questlake-ingest --bench topic -- --events N [--project DIR] [--data DIR]
//! ```
//! Brokers, topic and stores come from the environment, as for `questlake ingest`. Prints one JSON
//! object: records, and seconds from the opening of the stores to the last commit. Joining the group is
//! in them.

use std::error::Error;
use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use questlake_engine::project::contract_parser::parse_contract;
use questlake_engine::project::source::read_sources;
use questlake_engine::settings::{LoadOptions, Settings, process_environment};
use questlake_engine::stores::Stores;
use questlake_engine::stores::error::StoreResult;
use questlake_engine::stores::hot::{
    HotBatch, HotEvent, HotFilter, HotInserted, HotPage, HotStore, TakeOver,
};
use questlake_ingest::batch::Ingester;
use questlake_ingest::sources::file::BatchBounds;
use questlake_ingest::sources::kafka::{TopicOptions, TopicProgress, ingest_topic};

/// How often it is looked what is committed.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Longest time for all of it.
const DEADLINE: Duration = Duration::from_secs(600);

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let mut events = 0;
    let mut flags = Vec::new();
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        match argument.as_str() {
            "--events" => events = value()?.parse::<u64>()?,
            "--project" | "--data" => flags.push((argument[2..].to_owned(), value()?)),
            // Cargo passes this one to every benchmark.
            "--bench" => {}
            other => return Err(format!("unknown argument {other}").into()),
        }
    }
    let settings = Settings::load(LoadOptions {
        environment: process_environment(),
        flags,
        current_dir: std::env::current_dir()?,
        ..LoadOptions::default()
    })?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let report = runtime.block_on(run(&settings, events))?;
    writeln!(io::stdout(), "{report}")?;
    Ok(())
}

async fn run(settings: &Settings, events: u64) -> Outcome<String> {
    let kafka = settings.kafka.as_ref().ok_or("QUESTLAKE_KAFKA_BROKERS names no broker")?;
    let (sources, _) = read_sources(&settings.project);
    let mut contracts = Vec::new();
    for file in &sources.events {
        let contract = parse_contract(file)
            .map_err(|mistakes| format!("{}: {} mistakes", file.path(), mistakes.len()))?;
        contracts.push(Arc::new(contract));
    }
    let started = Instant::now();
    let mut stores = Stores::open(settings)?;
    stores.hot = Arc::new(Off);
    let ingester = Ingester::new(stores, &contracts, &settings.ingest)?;
    let ingest = &settings.ingest;
    let options = TopicOptions {
        bounds: BatchBounds { records: ingest.batch_records, bytes: ingest.batch_bytes.as_usize() },
        batch_wait: ingest.batch_wait,
        queue_bytes: ingest.queue_bytes.as_usize(),
        accept_gaps: false,
    };
    let progress = Arc::new(TopicProgress::default());
    let work = ingest_topic(&ingester, kafka, options, Arc::clone(&progress));
    tokio::pin!(work);
    let (mut first, mut last) = (None, None);
    let mut looks = tokio::time::interval(LOOK_EVERY);
    let counts = loop {
        tokio::select! {
            counts = &mut work => break counts?,
            _ = looks.tick() => {
                let records = progress.records.load(Ordering::Relaxed);
                if records > 0 {
                    first.get_or_insert(started.elapsed());
                }
                if records >= events {
                    last.get_or_insert(started.elapsed());
                    progress.stop.store(true, Ordering::Relaxed);
                }
                if started.elapsed() > DEADLINE {
                    return Err(format!("{records} records in {} s", DEADLINE.as_secs()).into());
                }
            }
        }
    };
    let (first, last) =
        first.zip(last).ok_or("the work ended before all records were committed")?;
    Ok(format!(
        "{{\"events\": {}, \"seconds\": {:.4}, \"until_first_commit\": {:.4}}}",
        counts.landed,
        last.as_secs_f64(),
        first.as_secs_f64()
    ))
}

/// A hot store that keeps nothing and knows no duplicate.
struct Off;

#[async_trait]
impl HotStore for Off {
    async fn insert(&self, _batch: Arc<HotBatch>) -> StoreResult<HotInserted> {
        Ok(HotInserted::default())
    }

    async fn take_over(&self, documents: Vec<TakeOver>) -> StoreResult<Vec<bool>> {
        Ok(vec![true; documents.len()])
    }

    async fn prune(&self, _before: i64) -> StoreResult<u64> {
        Ok(0)
    }

    async fn player_timeline(&self, _player: &str, _limit: usize) -> StoreResult<Vec<HotEvent>> {
        Ok(Vec::new())
    }

    async fn scan(&self, _filter: &HotFilter, _after: Option<String>) -> StoreResult<HotPage> {
        Ok(HotPage::default())
    }

    async fn missing(&self, event_ids: Vec<String>) -> StoreResult<Vec<String>> {
        Ok(event_ids)
    }

    async fn count(&self) -> StoreResult<u64> {
        Ok(0)
    }

    async fn ask(&self) -> StoreResult<()> {
        Ok(())
    }

    fn name(&self) -> String {
        "no hot store".to_owned()
    }
}
