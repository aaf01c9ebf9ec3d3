//! Waiting for the owners of documents whose records are not committed.
//!
//! Copies of an event that come at the same moment to two processes meet each other's documents
//! before either is committed. To fence the other at once would be right and would cost it the batch
//! under way and its membership in the group, so it is given time to commit. Two that wait for each
//! other do so for different times, and whoever finds itself fenced fences nobody. A partition that
//! was fenced here and that nobody has claimed since has no reader, and is not waited for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use questlake_engine::stores::error::StoreResult;
use questlake_engine::stores::ledger::{Claim, Ledger, PartitionStatus};
use tokio::time::Instant;

/// Longest wait for a partition that does not move.
const LONGEST_STANDSTILL: Duration = Duration::from_secs(3);

/// Longest wait of one batch in all.
const LONGEST_WAIT: Duration = Duration::from_secs(15);

/// Pause between two looks at the positions, and looks between two at whether we are fenced.
const LOOK_PAUSE: Duration = Duration::from_millis(25);
const LOOKS_PER_FENCE_LOOK: u32 = 10;

/// Topic and number.
pub(super) type Partition = (Arc<str>, i32);

/// How long owners are waited for, and which of them are none. Clones share what they know.
#[derive(Debug, Clone)]
pub(crate) struct Patience {
    pub(super) standstill: Duration,
    longest: Duration,
    /// The epoch under which each partition was fenced here.
    fences: Arc<Mutex<HashMap<Partition, i64>>>,
}

impl Default for Patience {
    fn default() -> Self {
        let (standstill, longest) = (LONGEST_STANDSTILL, LONGEST_WAIT);
        Self { standstill, longest, fences: Arc::default() }
    }
}

impl Patience {
    fn fences(&self) -> MutexGuard<'_, HashMap<Partition, i64>> {
        self.fences.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// When the waits of a batch that begins now must have ended.
    pub(super) fn deadline(&self) -> Instant {
        Instant::now() + self.longest
    }

    /// A partition was fenced by this claim.
    pub(super) fn has_fenced(&self, claim: &Claim) {
        self.fences().insert((Arc::clone(&claim.topic), claim.partition), claim.epoch);
    }

    /// Waits until each partition is committed up to the offset given, or its reader lets nothing
    /// hear of itself, or one of `own` was claimed by others. Returns the positions.
    pub(super) async fn wait(
        &self,
        ledger: &dyn Ledger,
        ends: HashMap<Partition, i64>,
        own: &[&Claim],
        deadline: Instant,
    ) -> StoreResult<HashMap<Partition, i64>> {
        let standstill = jittered(self.standstill);
        let begun = Instant::now();
        let mut positions: HashMap<Partition, i64> = HashMap::new();
        for partition in ends.keys() {
            positions.insert(partition.clone(), position(ledger, partition).await?);
        }
        let deserted = self.deserted(ledger, &ends).await?;
        let mut waiting: Vec<(Partition, i64, Instant)> = ends
            .into_iter()
            .filter(|(partition, _)| !deserted.contains(partition))
            .map(|(partition, end)| (partition, end, begun))
            .collect();
        for look in 1_u32.. {
            let now = Instant::now();
            waiting.retain(|(partition, end, moved)| {
                positions[partition] < *end && now < deadline && now - *moved < standstill
            });
            if waiting.is_empty() {
                break;
            }
            if look % LOOKS_PER_FENCE_LOOK == 0 && taken_over(ledger, own).await?.is_some() {
                break;
            }
            tokio::time::sleep(LOOK_PAUSE).await;
            for (partition, _, moved) in &mut waiting {
                let position = position(ledger, partition).await?;
                if positions.insert(partition.clone(), position) != Some(position) {
                    *moved = Instant::now();
                }
            }
        }
        Ok(positions)
    }

    /// Those of the partitions that were fenced here and that nobody has claimed since.
    async fn deserted(
        &self,
        ledger: &dyn Ledger,
        ends: &HashMap<Partition, i64>,
    ) -> StoreResult<Vec<Partition>> {
        let is_fenced = ends.keys().any(|partition| self.fences().contains_key(partition));
        if !is_fenced {
            return Ok(Vec::new());
        }
        let statuses = ledger.partitions().await?;
        let mut fences = self.fences();
        fences.retain(|(topic, number), epoch| epoch_of(&statuses, topic, *number) == Some(*epoch));
        Ok(ends.keys().filter(|partition| fences.contains_key(*partition)).cloned().collect())
    }
}

/// The first of these claims that others have followed by one of their own.
pub(super) async fn taken_over<'a>(
    ledger: &dyn Ledger,
    claims: &[&'a Claim],
) -> StoreResult<Option<&'a Claim>> {
    let statuses = ledger.partitions().await?;
    let is_lost =
        |claim: &Claim| epoch_of(&statuses, &claim.topic, claim.partition) > Some(claim.epoch);
    Ok(claims.iter().copied().find(|claim| is_lost(claim)))
}

fn epoch_of(statuses: &[PartitionStatus], topic: &str, number: i32) -> Option<i64> {
    let mut claims = statuses.iter().map(|status| &status.claim);
    let found = claims.find(|claim| *claim.topic == *topic && claim.partition == number);
    found.map(|claim| claim.epoch)
}

async fn position(ledger: &dyn Ledger, (topic, number): &Partition) -> StoreResult<i64> {
    Ok(ledger.position(topic, *number).await?.unwrap_or(0))
}

/// Between half of it and all of it.
fn jittered(longest: Duration) -> Duration {
    // Without random numbers the wait is as good as it was.
    let random = getrandom::u32().unwrap_or(u32::MAX);
    longest.mul_f64(0.5 + 0.5 * f64::from(random) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use questlake_engine::stores::ledger::{BatchCommit, Counts, PositionAdvance};

    use super::super::tests::ingester;
    use super::*;

    const FOREVER: Duration = Duration::from_secs(3_600);

    fn patience(standstill: Duration) -> Patience {
        Patience { standstill, longest: FOREVER, ..Patience::default() }
    }

    fn ledger_in(folder: &tempfile::TempDir) -> Arc<dyn Ledger> {
        Arc::clone(&ingester(folder.path()).stores().ledger)
    }

    async fn commit(ledger: &dyn Ledger, claim: Claim, next_offset: i64) {
        let records = (next_offset - claim.next_offset) as u64;
        let counts = Counts { consumed: records, landed: records, ..Counts::default() };
        let advance = PositionAdvance { claim, next_offset, counts, content: None };
        let batch = BatchCommit { advances: vec![advance], ..BatchCommit::default() };
        ledger.commit(batch).await.unwrap();
    }

    #[tokio::test]
    async fn an_owner_that_commits_is_waited_for_and_one_that_does_not_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger_in(&folder);
        let partition: Partition = ("topic".into(), 3);
        let ends = HashMap::from([(partition.clone(), 5)]);
        let claim = ledger.claim("topic", 3).await.unwrap();
        let impatient = patience(Duration::from_millis(1));
        let deadline = impatient.deadline();
        let waited = impatient.wait(&*ledger, ends.clone(), &[], deadline).await.unwrap();
        assert_eq!(waited[&partition], 0);
        let patient = patience(FOREVER);
        // The time of a batch that waits for many is limited as well.
        let waited = patient.wait(&*ledger, ends.clone(), &[], Instant::now()).await.unwrap();
        assert_eq!(waited[&partition], 0);
        let (waited, ()) = tokio::join!(patient.wait(&*ledger, ends, &[], deadline), async {
            commit(&*ledger, claim.clone(), 4).await;
            commit(&*ledger, Claim { next_offset: 4, ..claim }, 9).await;
        });
        assert_eq!(waited.unwrap()[&partition], 9);
    }

    #[tokio::test]
    async fn who_is_fenced_meanwhile_waits_no_longer() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger_in(&folder);
        let ends = HashMap::from([(("topic".into(), 0), 5)]);
        let own = ledger.claim("topic", 1).await.unwrap();
        assert_eq!(taken_over(&*ledger, &[&own]).await.unwrap(), None);
        let patience = patience(FOREVER);
        let own_claims = [&own];
        let waited = patience.wait(&*ledger, ends, &own_claims, patience.deadline());
        let fenced = async { ledger.claim("topic", 1).await.unwrap() };
        let both = async { tokio::join!(waited, fenced) };
        let (waited, _) = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
        waited.unwrap();
        assert_eq!(taken_over(&*ledger, &[&own]).await.unwrap(), Some(&own));
    }

    #[tokio::test]
    async fn a_partition_without_a_reader_is_not_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let ledger = ledger_in(&folder);
        let ends = HashMap::from([(("topic".into(), 0), 5)]);
        let patience = patience(FOREVER);
        patience.has_fenced(&ledger.claim("topic", 0).await.unwrap());
        let waited = patience.wait(&*ledger, ends.clone(), &[], patience.deadline());
        tokio::time::timeout(Duration::from_secs(60), waited).await.unwrap().unwrap();
        // Somebody reads it again.
        ledger.claim("topic", 0).await.unwrap();
        let waited = patience.wait(&*ledger, ends, &[], patience.deadline());
        assert!(tokio::time::timeout(Duration::from_millis(200), waited).await.is_err());
    }
}
