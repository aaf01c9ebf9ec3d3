//! Where partitions that have come begin: claims, watermarks, and what both say together.

use std::future::Future;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use questlake_engine::stores::error::{StoreError, StoreErrorKind, StoreResult};
use questlake_engine::stores::ledger::gap::{Gap, GapReason};
use questlake_engine::stores::ledger::{BatchCommit, Claim, ContentMark, Counts, PositionAdvance};
use rdkafka::consumer::BaseConsumer;
use rdkafka::error::KafkaError;
use tracing::warn;

use super::super::shape::Shape;
use super::super::start::{Known, Start, made_anew, start};
use super::super::topic::{left, watermarks};
use super::Group;
use crate::error::IngestError;

/// Longest time in which all partitions that come must be claimed and looked at.
pub(in super::super) const BEGIN_TIME: Duration = Duration::from_secs(60);

/// A partition that may be read.
pub(super) struct Begun {
    /// The claim, at the committed position.
    pub(super) claim: Claim,
    /// Where reading begins.
    pub(super) offset: i64,
    /// What the record there must be, if it is read for that alone.
    pub(super) verify: Option<ContentMark>,
}

/// What becomes of partitions that come.
#[derive(Default)]
pub(super) struct Beginning {
    pub(super) begun: Vec<Begun>,
    /// Those without a leader, which are not read.
    pub(super) left_out: Vec<i32>,
}

/// A partition whose topic no longer has what comes next.
struct Broken {
    claim: Claim,
    gap: Gap,
}

impl Group {
    /// Claims the partitions that have a leader and finds out where each of them begins.
    pub(super) fn begin(
        &self,
        consumer: &BaseConsumer<Self>,
        partitions: &[i32],
    ) -> Result<Beginning, IngestError> {
        let deadline = Instant::now() + BEGIN_TIME;
        if partitions.is_empty() {
            return Ok(Beginning::default());
        }
        let topic = &self.settings.topic;
        let failed = |error: &KafkaError| self.error("read its positions", error);
        let timeout = || left(deadline).min(self.settings.request_timeout);
        let shape = Shape::ask_settled(consumer, topic, timeout()).map_err(|e| failed(&e))?;
        let leaderless = shape.leaderless;
        // Whether a partition was read tells the new topic from the old one, leader or not.
        let was_changed = self.topic_changed.load(Ordering::Acquire);
        let (mut left_out, claimed): (Vec<i32>, Vec<i32>) =
            partitions.iter().partition(|partition| leaderless.contains(partition) && !was_changed);
        let claims = self.in_time(deadline, "claim partitions", self.claim_all(&claimed))?;
        // It counts for the positions as they are now, and not for those of the new topic.
        let has_changed = self.topic_changed.load(Ordering::Acquire);
        let mut begun = Vec::with_capacity(claims.len());
        let mut new = Vec::new();
        let mut broken = Vec::new();
        for (claim, known) in claims {
            self.pulse.beat();
            if leaderless.contains(&claim.partition) {
                match made_anew(topic, claim.partition, &known) {
                    Some(gap) => broken.push(Broken { claim, gap }),
                    None => left_out.push(claim.partition),
                }
                continue;
            }
            let topic_has = watermarks(consumer, topic, claim.partition, timeout())
                .map_err(|error| failed(&error))?;
            match start(topic, claim.partition, &known, topic_has, has_changed) {
                Ok(Start::At { offset, verify }) => begun.push(Begun { claim, offset, verify }),
                Ok(Start::First(offset)) => new.push(Begun { claim, offset, verify: None }),
                Err(gap) => broken.push(Broken { claim, gap }),
            }
        }
        self.in_time(deadline, "commit where partitions begin", self.fix(&mut new))?;
        begun.append(&mut new);
        begun.append(&mut self.pass_gaps(broken, deadline)?);
        // A change that was seen since ends this membership, and the next compares all that comes.
        if was_changed {
            self.topic_changed.store(false, Ordering::Release);
        }
        if !left_out.is_empty() {
            warn!(
                topic,
                partitions = ?left_out,
                "the partitions {left_out:?} of {topic} have no leader; the others are read meanwhile"
            );
        }
        Ok(Beginning { begun, left_out })
    }

    /// Waits for the ledger. Its calls end by themselves; this is for the sum of them.
    fn in_time<T>(
        &self,
        deadline: Instant,
        operation: &str,
        work: impl Future<Output = StoreResult<T>>,
    ) -> Result<T, IngestError> {
        let timed = async { tokio::time::timeout(left(deadline), work).await };
        match self.runtime.block_on(timed) {
            Ok(result) => Ok(result?),
            Err(_) => {
                let text = format!("not done within {} s", BEGIN_TIME.as_secs());
                let kind = StoreErrorKind::Unavailable;
                Err(StoreError::new(self.ledger.name(), operation, kind, text).into())
            }
        }
    }

    async fn claim_all(&self, partitions: &[i32]) -> StoreResult<Vec<(Claim, Known)>> {
        let mut claims = Vec::with_capacity(partitions.len());
        for partition in partitions {
            self.pulse.beat();
            claims.push(self.ledger.claim(&self.settings.topic, *partition).await?);
        }
        // After the claims: from then on nobody else moves them.
        let statuses = self.ledger.partitions().await?;
        let known = |claim: &Claim| {
            let is_same =
                |other: &Claim| (&other.topic, other.partition) == (&claim.topic, claim.partition);
            statuses.iter().find(|status| is_same(&status.claim)).map(Known::of)
        };
        Ok(claims
            .into_iter()
            .map(|claim| {
                let known = known(&claim).unwrap_or_default();
                (claim, known)
            })
            .collect())
    }

    /// Commits where partitions begin of which nothing was read yet.
    async fn fix(&self, new: &mut [Begun]) -> StoreResult<()> {
        if new.is_empty() {
            return Ok(());
        }
        let advances = new
            .iter()
            .map(|partition| PositionAdvance {
                claim: partition.claim.clone(),
                next_offset: partition.offset,
                counts: Counts::default(),
                content: None,
            })
            .collect();
        self.ledger.commit(BatchCommit { advances, ..BatchCommit::default() }).await?;
        for partition in new {
            partition.claim.next_offset = partition.offset;
        }
        Ok(())
    }

    /// Goes on behind gaps if it was told to, or else lists them.
    ///
    /// # Errors
    /// The first gap that nobody has accepted.
    fn pass_gaps(&self, broken: Vec<Broken>, deadline: Instant) -> Result<Vec<Begun>, IngestError> {
        let mut begun = Vec::new();
        let mut refused = None;
        for Broken { mut claim, gap } in broken {
            if self.accept_gaps && gap.reason == GapReason::Truncated {
                let passing = self.ledger.accept_gap(&claim, gap.clone());
                self.in_time(deadline, "go on behind a gap", passing)?;
                warn!(
                    topic = gap.topic,
                    partition = gap.partition,
                    "{}/{}: records {} to {} are given up for lost",
                    gap.topic,
                    gap.partition,
                    gap.from_offset,
                    gap.to_offset - 1
                );
                claim.next_offset = gap.to_offset;
                begun.push(Begun { offset: gap.to_offset, claim, verify: None });
            } else {
                self.in_time(deadline, "list a gap", self.ledger.record_gap(gap.clone()))?;
                refused.get_or_insert(gap);
            }
        }
        match refused {
            Some(gap) => Err(IngestError::Gap(Box::new(gap))),
            None => Ok(begun),
        }
    }
}
