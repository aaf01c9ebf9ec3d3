//! Decoding newline-delimited JSON to typed Arrow: Questlake beside arrow-json.
//!
//! ```text
//! cargo bench -p questlake-ingest --bench decode -- [--file FILE] [--project DIR]
//!     [--contender questlake|arrow-json] [--threads N] [--repeat N] [--streaming]
//! ```
//! Prints one JSON object per run. Reading the file is part of the time, and so is keeping all
//! batches until the end, as a data frame library must; with `--streaming` each batch is dropped
//! once it is made, as the ingester does. Without a file, simulated events are decoded from memory.
//!
//! Questlake gives a table per event type. arrow-json knows one schema a stream, so it gets the
//! union of all contracts: the envelope, and `properties` with every property of any type. It
//! checks neither required fields nor lengths nor unknown fields, and cannot read a property that
//! may hold any JSON value, so such a property is left out for it.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{self, Cursor, Read, Write};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef, TimeUnit};
use arrow_json::ReaderBuilder;
use bytes::Bytes;
use questlake_engine::project::contract::{ColumnType, EventContract, envelope};
use questlake_engine::project::contract_parser::parse_contract;
use questlake_engine::project::source::read_sources;
use questlake_ingest::decode::{
    DecodeLimits, DecodedBatch, Decoder, RawRecords, decode_parallel, split_lines,
};
use questlake_ingest::simulate::{SimulationOptions, simulate};

/// Bytes that are read and decoded at a time: about the size of a micro-batch.
const CHUNK_BYTES: usize = 32 << 20;

/// Rows of one arrow-json batch: its default would be 1024, which is slower.
const ARROW_JSON_ROWS: usize = 8192;

type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> Outcome<()> {
    let options = Options::from_arguments()?;
    let contracts = read_contracts(&options.project)?;
    let input = match &options.file {
        Some(file) => Input::File(file.clone()),
        None => Input::Memory(simulated_events()?),
    };
    let schema = union_schema(&contracts);
    for contender in &options.contenders {
        for _ in 0..options.repeat {
            let started = Instant::now();
            let (counts, kept) = match contender.as_str() {
                "questlake" => run_questlake(&contracts, &input, &options)?,
                _ => run_arrow_json(&schema, &input, &options)?,
            };
            let seconds = started.elapsed().as_secs_f64();
            drop(kept);
            writeln!(
                io::stdout(),
                "{{\"contender\": \"{contender}\", \"threads\": {}, \"seconds\": {seconds:.4}, \
                 \"bytes\": {}, \"rows\": {}, \"rejected\": {}}}",
                options.threads,
                counts.bytes,
                counts.rows,
                counts.rejected
            )?;
        }
    }
    Ok(())
}

struct Options {
    file: Option<PathBuf>,
    project: PathBuf,
    contenders: Vec<String>,
    threads: usize,
    repeat: usize,
    streaming: bool,
}

impl Options {
    fn from_arguments() -> Outcome<Self> {
        let mut options = Self {
            file: None,
            project: Path::new(env!("CARGO_MANIFEST_DIR")).join(".."),
            contenders: vec!["questlake".to_owned(), "arrow-json".to_owned()],
            threads: 1,
            repeat: 3,
            streaming: false,
        };
        let mut arguments = std::env::args().skip(1);
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
            match argument.as_str() {
                "--file" => options.file = Some(value()?.into()),
                "--project" => options.project = value()?.into(),
                "--contender" => options.contenders = vec![value()?],
                "--threads" => options.threads = value()?.parse::<usize>()?.max(1),
                "--repeat" => options.repeat = value()?.parse()?,
                "--streaming" => options.streaming = true,
                // Cargo passes this one to every benchmark.
                "--bench" => {}
                other => return Err(format!("unknown argument {other}").into()),
            }
        }
        match options
            .contenders
            .iter()
            .find(|name| !["questlake", "arrow-json"].contains(&name.as_str()))
        {
            Some(unknown) => Err(format!("unknown contender {unknown}").into()),
            None => Ok(options),
        }
    }
}

fn read_contracts(project: &Path) -> Outcome<Vec<Arc<EventContract>>> {
    let (sources, _) = read_sources(project);
    let mut contracts = Vec::new();
    for file in &sources.events {
        let contract = parse_contract(file)
            .map_err(|mistakes| format!("{}: {} mistakes", file.path(), mistakes.len()))?;
        contracts.push(Arc::new(contract));
    }
    if contracts.is_empty() {
        return Err(format!("no contracts in {}", project.display()).into());
    }
    Ok(contracts)
}

fn simulated_events() -> Outcome<Bytes> {
    let mut events = Vec::new();
    let options = SimulationOptions { players: 2_000, days: 14, ..SimulationOptions::new()? };
    simulate(&options, &mut events, &mut |_| ControlFlow::Continue(()))?;
    Ok(events.into())
}

enum Input {
    File(PathBuf),
    Memory(Bytes),
}

impl Input {
    fn open(&self) -> io::Result<Box<dyn Read>> {
        Ok(match self {
            Self::File(path) => Box::new(File::open(path)?),
            Self::Memory(bytes) => Box::new(Cursor::new(bytes.clone())),
        })
    }
}

/// Reads whole lines, a chunk at a time.
struct Chunks {
    content: Box<dyn Read>,
    rest: Vec<u8>,
}

impl Chunks {
    fn of(input: &Input) -> io::Result<Self> {
        Ok(Self { content: input.open()?, rest: Vec::new() })
    }

    fn next_chunk(&mut self) -> io::Result<Option<Vec<u8>>> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + self.rest.len());
        chunk.append(&mut self.rest);
        let read = (&mut self.content).take(CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        if read > 0 {
            let end = memchr::memrchr(b'\n', &chunk).map_or(0, |position| position + 1);
            self.rest = chunk.split_off(end);
        }
        Ok((read > 0 || !chunk.is_empty()).then_some(chunk))
    }
}

#[derive(Default)]
struct Counts {
    bytes: usize,
    rows: usize,
    rejected: usize,
}

/// Batches of either contender, kept so that their memory is not used again during the run.
#[derive(Default)]
struct Kept {
    decoded: Vec<DecodedBatch>,
    batches: Vec<RecordBatch>,
}

fn run_questlake(
    contracts: &[Arc<EventContract>],
    input: &Input,
    options: &Options,
) -> Outcome<(Counts, Kept)> {
    let new_decoder = || Decoder::new(contracts.to_vec(), DecodeLimits::default());
    let mut decoders: Vec<Decoder> = (0..options.threads).map(|_| new_decoder()).collect();
    let received_at =
        i64::try_from(SystemTime::now().duration_since(UNIX_EPOCH)?.as_micros())? + FAR_AHEAD;
    let mut counts = Counts::default();
    let mut kept = Kept::default();
    let mut chunks = Chunks::of(input)?;
    while let Some(chunk) = chunks.next_chunk()? {
        let raw = RawRecords {
            topic: "benchmark".into(),
            records: split_lines(&chunk, 0, 0),
            data: Bytes::from(chunk),
        };
        counts.bytes += raw.data.len();
        for decoded in decode_parallel(&mut decoders, &raw, received_at) {
            counts.rows += decoded.rows();
            counts.rejected += decoded.rejected.len();
            if !options.streaming {
                kept.decoded.push(decoded);
            }
        }
    }
    Ok((counts, kept))
}

/// Microseconds in ten years: simulated days may lie in the future.
const FAR_AHEAD: i64 = 3_650 * 86_400_000_000;

fn run_arrow_json(schema: &SchemaRef, input: &Input, options: &Options) -> Outcome<(Counts, Kept)> {
    let mut counts = Counts::default();
    let mut kept = Kept::default();
    let mut chunks = Chunks::of(input)?;
    while let Some(chunk) = chunks.next_chunk()? {
        counts.bytes += chunk.len();
        let parts = lines_in_parts(&chunk, options.threads);
        let results: Vec<Outcome<Vec<RecordBatch>>> = thread::scope(|scope| {
            let threads: Vec<_> = parts
                .into_iter()
                .map(|part| scope.spawn(move || arrow_json_batches(schema, part)))
                .collect();
            threads
                .into_iter()
                .map(|thread| thread.join().unwrap_or_else(|_| Err("a thread panicked".into())))
                .collect()
        });
        for batches in results {
            let batches = batches?;
            counts.rows += batches.iter().map(RecordBatch::num_rows).sum::<usize>();
            if !options.streaming {
                kept.batches.extend(batches);
            }
        }
    }
    Ok((counts, kept))
}

/// Cuts whole lines into `count` parts of about the same size.
fn lines_in_parts(chunk: &[u8], count: usize) -> Vec<&[u8]> {
    let mut parts = Vec::with_capacity(count);
    let mut rest = chunk;
    for left in (1..=count).rev() {
        let wanted = rest.len() / left;
        let end = match memchr::memchr(b'\n', &rest[wanted..]) {
            Some(position) if left > 1 => wanted + position + 1,
            _ => rest.len(),
        };
        let (part, behind) = rest.split_at(end);
        parts.push(part);
        rest = behind;
    }
    parts
}

fn arrow_json_batches(schema: &SchemaRef, mut lines: &[u8]) -> Outcome<Vec<RecordBatch>> {
    let mut decoder =
        ReaderBuilder::new(Arc::clone(schema)).with_batch_size(ARROW_JSON_ROWS).build_decoder()?;
    let mut batches = Vec::new();
    loop {
        let decoded = decoder.decode(lines)?;
        lines = &lines[decoded..];
        match decoder.flush()? {
            Some(batch) => batches.push(batch),
            None => return Ok(batches),
        }
    }
}

/// One schema that every event fits: a property whose type differs gets the widest integer.
fn union_schema(contracts: &[Arc<EventContract>]) -> SchemaRef {
    let mut properties: BTreeMap<String, DataType> = BTreeMap::new();
    for column in contracts.iter().flat_map(|contract| &contract.columns) {
        if column.column_type == ColumnType::Json {
            continue;
        }
        let wanted = match column.column_type {
            ColumnType::Timestamp => utc_timestamp(),
            other => other.arrow_type(),
        };
        let known = properties.entry(column.name.clone()).or_insert_with(|| wanted.clone());
        if *known != wanted {
            *known = DataType::Int64;
        }
    }
    let properties: Vec<Field> =
        properties.into_iter().map(|(name, kind)| Field::new(name, kind, true)).collect();
    Arc::new(Schema::new(vec![
        Field::new(envelope::EVENT_ID, DataType::Utf8, true),
        Field::new(envelope::EVENT_TYPE, DataType::Utf8, true),
        Field::new(envelope::EVENT_TIME, utc_timestamp(), true),
        Field::new(envelope::PLAYER_ID, DataType::Utf8, true),
        Field::new(envelope::SESSION_ID, DataType::Utf8, true),
        Field::new(envelope::GAME, DataType::Utf8, true),
        Field::new(envelope::PLATFORM, DataType::Utf8, true),
        Field::new(envelope::COUNTRY, DataType::Utf8, true),
        Field::new(envelope::APP_VERSION, DataType::Utf8, true),
        Field::new(envelope::PROPERTIES, DataType::Struct(properties.into()), true),
    ]))
}

/// As Questlake's own type, but with the only kind of time zone that arrow-json knows.
fn utc_timestamp() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("+00:00".into()))
}
