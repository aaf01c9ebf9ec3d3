//! The order of one micro-batch, in which nothing is lost and nothing counted twice:
//!
//! 1. decode the records to Arrow, and evaluate the contracts' constraints ([`prepare`]),
//! 2. insert the documents into the hot store; what is there already is a replay or a duplicate
//!    ([`dedup`]),
//! 3. seal the rows that are left as one segment,
//! 4. commit segment, quarantine, counts and positions in the ledger ([`publish`]).
//!
//! A crash before step 4 leaves documents and a segment that nobody counts. The records are read
//! again under the same physical keys, the documents turn out to be our own, and the batch lands.

pub mod dedup;
pub mod prepare;
pub mod publish;
pub mod stream;
pub mod sweep;

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use questlake_engine::project::checks::{CompiledCheck, compile_checks};
use questlake_engine::project::contract::EventContract;
use questlake_engine::settings::{IngestSettings, LandingCompression};
use questlake_engine::stores::Stores;
use questlake_engine::stores::hot::PhysicalKey;
use questlake_engine::stores::landing::segment::Compression;
use questlake_engine::stores::ledger::{Claim, ContentMark, Counts};
use tracing::instrument;

use self::dedup::owners::Patience;
use self::publish::MAX_QUARANTINED_BYTES;
use crate::decode::{DecodeLimits, Decoder, RawRecords, Rejection};
use crate::error::IngestError;

/// Takes micro-batches in. Cheap to clone; clones share decoders and stores.
#[derive(Clone)]
pub struct Ingester {
    pub(crate) stores: Stores,
    pub(crate) compression: Compression,
    contracts: Arc<Vec<Arc<EventContract>>>,
    checks: Arc<Vec<Vec<CompiledCheck>>>,
    decoders: Arc<Mutex<Vec<Decoder>>>,
    longest_line: usize,
    patience: Patience,
}

/// How far one partition moves with a batch.
#[derive(Debug, Clone)]
pub struct PartitionAdvance {
    /// The claim under which the records were read, at the position of the first of them.
    pub claim: Claim,
    /// Position behind the last of them.
    pub next_offset: i64,
    /// For a source whose identity is its content.
    pub content: Option<ContentMark>,
}

/// Where a replayed record comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplayOrigin {
    /// Its number in the quarantine.
    pub quarantine_id: i64,
    /// The physical key under which it came in first.
    pub key: PhysicalKey,
}

/// Records to take in, and the positions that they move.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The records.
    pub records: RawRecords,
    /// The partitions that they come from.
    pub advances: Vec<PartitionAdvance>,
    /// For a replay of the quarantine: the origin of each record. Else empty.
    pub origins: Vec<ReplayOrigin>,
}

/// What became of a batch.
#[derive(Debug, Clone, Default)]
pub struct BatchOutcome {
    /// Totals.
    pub counts: Counts,
    /// Records that went to quarantine.
    pub rejected: Vec<Rejection>,
    /// Indexes of the records that were duplicates, ascending.
    pub duplicates: Vec<u32>,
}

impl Ingester {
    /// An ingester for the events of these contracts.
    pub fn new(
        stores: Stores,
        contracts: &[Arc<EventContract>],
        settings: &IngestSettings,
    ) -> Result<Self, IngestError> {
        let mut checks = Vec::with_capacity(contracts.len());
        for contract in contracts {
            let compiled = compile_checks(contract).map_err(|mut errors| {
                // A loaded project's constraints compile; the first error says enough.
                IngestError::Check(Box::new(errors.swap_remove(0)))
            })?;
            checks.push(compiled);
        }
        let limits = DecodeLimits {
            max_record_bytes: settings.max_record.as_usize(),
            max_future: settings.max_future,
            ..DecodeLimits::default()
        };
        let decoders = (0..settings.decode_threads.max(1))
            .map(|_| Decoder::new(contracts.to_vec(), limits.clone()))
            .collect();
        Ok(Self {
            stores,
            compression: match settings.landing_compression {
                LandingCompression::None => Compression::None,
                LandingCompression::Lz4 => Compression::Lz4,
            },
            contracts: Arc::new(contracts.to_vec()),
            checks: Arc::new(checks),
            decoders: Arc::new(Mutex::new(decoders)),
            longest_line: settings.max_record.as_usize().max(MAX_QUARANTINED_BYTES) + 1,
            patience: Patience::default(),
        })
    }

    /// Bytes of a line that are read into memory. One that is longer is no record, and no more of it
    /// would be kept.
    pub fn longest_line(&self) -> usize {
        self.longest_line
    }

    /// Takes one batch in, from the first step to the last.
    #[instrument(target = "span", name = "ingest batch", skip_all,
        fields(records = batch.records.records.len()))]
    pub fn ingest(&self, batch: Batch) -> BoxFuture<'_, Result<BatchOutcome, IngestError>> {
        Box::pin(async move {
            let ingester = self.clone();
            let prepared = tokio::task::spawn_blocking(move || ingester.prepare(batch))
                .await
                .map_err(|error| aborted("decoding", &error))??;
            let deduplicated = self.deduplicate(prepared).await?;
            self.publish(deduplicated).await
        })
    }

    /// The stores that events land in.
    pub fn stores(&self) -> &Stores {
        &self.stores
    }
}

pub(crate) fn aborted(step: &'static str, error: &tokio::task::JoinError) -> IngestError {
    IngestError::Aborted { step, reason: error.to_string() }
}
