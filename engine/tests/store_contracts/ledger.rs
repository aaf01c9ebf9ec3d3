//! What every ledger does, seen by two processes.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use questlake_engine::stores::archive::DayDigest;
use questlake_engine::stores::hot::PhysicalKey;
use questlake_engine::stores::landing::segment::Section;
use questlake_engine::stores::ledger::archived::{ArchiveCommit, ArchiveState};
use questlake_engine::stores::ledger::gap::{Gap, GapReason};
use questlake_engine::stores::ledger::{
    BatchCommit, Claim, ContentMark, Counts, Ledger, PositionAdvance, QuarantineFilter,
    QuarantineState, QuarantinedRecord, ReplayOutcome, SealedSegment,
};

pub(crate) fn counts(landed: u64, duplicates: u64, quarantined: u64) -> Counts {
    Counts { consumed: landed + duplicates + quarantined, landed, duplicates, quarantined }
}

pub(crate) fn advance(claim: &Claim, next_offset: i64, counts: Counts) -> PositionAdvance {
    let content = Some(ContentMark { head_hash: 7, prefix_hash: u128::MAX });
    PositionAdvance { claim: claim.clone(), next_offset, counts, content }
}

pub(crate) fn segment(name: &str) -> SealedSegment {
    let section = |event_type: &str, offset, days: &[(i32, u64)]| Section {
        event_type: event_type.to_owned(),
        contract_version: u64::MAX,
        offset,
        length: 100,
        checksum: u64::MAX - 1,
        rows_by_date: days.iter().copied().collect::<BTreeMap<_, _>>(),
    };
    SealedSegment {
        name: name.to_owned(),
        bytes: 1000,
        sections: vec![
            section("purchase", 64, &[(20_000, 5), (20_001, 1)]),
            section("ad_impression", 192, &[(20_000, 2)]),
        ],
    }
}

fn record(offset: i64, reason: &str) -> QuarantinedRecord {
    QuarantinedRecord {
        key: PhysicalKey { topic: "t".into(), partition: 0, offset },
        raw: vec![0, 255, b'x'],
        reason: reason.to_owned(),
        detail: "what is wrong".to_owned(),
        event_type: (offset == 4).then(|| "purchase".to_owned()),
        contract_version: Some(u64::MAX),
    }
}

pub(crate) async fn suite(ledger: &dyn Ledger, other: &dyn Ledger) {
    claims_are_fenced(ledger, other).await;
    commits_are_whole(ledger).await;
    quarantine_is_kept(ledger).await;
    commits_are_numbered_as_they_become_visible(ledger, other).await;
    moves_to_the_archive(ledger, other).await;
    gaps_are_kept_and_passed_only_by_a_claim(ledger, other).await;
}

/// Ingesters commit side by side; whoever reads meanwhile never sees a number before a smaller one.
async fn commits_are_numbered_as_they_become_visible(ledger: &dyn Ledger, other: &dyn Ledger) {
    const INGESTERS: i32 = 4;
    const COMMITS: i64 = 15;
    let before = ledger.latest_sequence().await.unwrap();
    let all_written = join_all((0..INGESTERS).map(|partition| {
        ingest(if partition % 2 == 0 { ledger } else { other }, partition, COMMITS)
    }));
    let done = AtomicBool::new(false);
    let writing = async {
        all_written.await;
        done.store(true, Ordering::Release);
    };
    let reading = async {
        let mut seen = before;
        loop {
            let was_done = done.load(Ordering::Acquire);
            let latest = other.latest_sequence().await.unwrap();
            let listed = other.segments(before, latest).await.unwrap();
            let numbers: Vec<i64> = listed.iter().map(|entry| entry.sequence).collect();
            assert_eq!(numbers, (before + 1..=latest).collect::<Vec<_>>());
            assert!(latest >= seen);
            seen = latest;
            if was_done {
                return seen;
            }
        }
    };
    let ((), seen) = tokio::join!(writing, reading);
    assert_eq!(seen, before + i64::from(INGESTERS) * COMMITS);
}

async fn ingest(ledger: &dyn Ledger, partition: i32, commits: i64) {
    let mut claim = ledger.claim("beside", partition).await.unwrap();
    for number in 0..commits {
        let batch = BatchCommit {
            segment: Some(segment(&format!("beside-{partition}-{number}"))),
            advances: vec![advance(&claim, number + 1, counts(1, 0, 0))],
            ..BatchCommit::default()
        };
        ledger.commit(batch).await.unwrap();
        claim.next_offset = number + 1;
    }
}

async fn moves_to_the_archive(ledger: &dyn Ledger, other: &dyn Ledger) {
    assert_eq!(ledger.archive_state().await.unwrap(), ArchiveState::default());
    assert_eq!(ledger.begin_archive(1).await.unwrap(), 1);
    // A move that has not ended is gone on with.
    assert_eq!(other.begin_archive(2).await.unwrap(), 1);
    assert_eq!(other.archive_state().await.unwrap().under_way, Some(1));
    let digest = |rows, key_sum| DayDigest { rows, key_sum };
    let moved = |after, through, version, digest| ArchiveCommit {
        after,
        through,
        tables: [("purchase".to_owned(), (version, [(20_000, digest)].into()))].into(),
    };
    let first = moved(0, 1, 3, digest(5, u128::MAX));
    ledger.commit_archive(first.clone()).await.unwrap();
    assert!(other.commit_archive(first).await.unwrap_err().is_fenced());
    // From then on its rows are in the archive and nowhere else.
    let latest = ledger.latest_sequence().await.unwrap();
    let history = other.history(None).await.unwrap();
    assert_eq!((history.archive.through, history.archive.under_way), (1, None));
    assert_eq!(history.segments.len() as i64, latest - 1);
    assert_eq!(history.segments[0].sequence, 2);
    assert_eq!(ledger.begin_archive(2).await.unwrap(), 2);
    ledger.commit_archive(moved(1, 2, 4, digest(1, 2))).await.unwrap();
    let state = ledger.archive_state().await.unwrap();
    let table = &state.tables["purchase"];
    assert_eq!((table.version, table.transaction, table.caught_up_at), (4, 2, 0));
    assert_eq!(table.days[&20_000], digest(6, 1), "digests are added up, and wrap");
    assert!(ledger.set_archive_version("purchase", 2, 7, true).await.unwrap());
    assert!(!ledger.set_archive_version("purchase", 1, 9, true).await.unwrap());
    let table = ledger.archive_state().await.unwrap().tables["purchase"].clone();
    assert_eq!(table.version, 7);
    assert!(table.caught_up_at > 0);
    // Only what is in the archive is forgotten.
    let archived = ledger.archived_segments(i64::MAX / 1_000_000).await.unwrap();
    assert_eq!(archived.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [1, 2]);
    assert!(ledger.oldest_segment_at().await.unwrap().is_some());
    let committed_at = ledger.committed_at(latest).await.unwrap();
    assert!(committed_at >= ledger.oldest_segment_at().await.unwrap());
    assert_eq!(other.committed_at(i64::MAX).await.unwrap(), committed_at);
    assert_eq!(other.committed_at(0).await.unwrap(), None);
    ledger.forget_segments(vec![1, 2, 3]).await.unwrap();
    assert_eq!(ledger.archived_segments(i64::MAX / 1_000_000).await.unwrap(), []);
    assert_eq!(ledger.segments(0, 3).await.unwrap().len(), 1);
    assert_eq!(ledger.latest_sequence().await.unwrap(), latest);
}

async fn gaps_are_kept_and_passed_only_by_a_claim(ledger: &dyn Ledger, other: &dyn Ledger) {
    let before = ledger.claim("gap", 3).await.unwrap();
    let gap = Gap {
        topic: "gap".to_owned(),
        partition: 3,
        from_offset: 0,
        to_offset: 7,
        reason: GapReason::Truncated,
        detail: "begins at 7".to_owned(),
    };
    ledger.record_gap(gap.clone()).await.unwrap();
    let found = other.gaps().await.unwrap();
    assert_eq!((found.len(), &found[0].gap, found[0].accepted_at), (1, &gap, None));
    // Found again, it has grown.
    let grown = Gap { to_offset: 9, detail: "begins at 9".to_owned(), ..gap };
    other.record_gap(grown.clone()).await.unwrap();
    let again = ledger.gaps().await.unwrap();
    assert_eq!((again.len(), &again[0].gap), (1, &grown));
    assert_eq!(again[0].found_at, found[0].found_at);
    // Another reason is another gap.
    let recreated = Gap { reason: GapReason::Recreated, to_offset: 0, ..grown.clone() };
    ledger.record_gap(recreated).await.unwrap();
    let claim = other.claim("gap", 3).await.unwrap();
    assert!(ledger.accept_gap(&before, grown.clone()).await.unwrap_err().is_fenced());
    assert!(ledger.gaps().await.unwrap().iter().all(|entry| entry.accepted_at.is_none()));
    ledger.accept_gap(&claim, grown.clone()).await.unwrap();
    assert_eq!(ledger.position("gap", 3).await.unwrap(), Some(9));
    assert!(ledger.accept_gap(&claim, grown.clone()).await.unwrap_err().is_fenced());
    ledger.record_gap(grown).await.unwrap();
    let gaps = ledger.gaps().await.unwrap();
    let accepted = |reason| {
        let entry = gaps.iter().find(|entry| entry.gap.reason == reason).unwrap();
        entry.accepted_at.is_some()
    };
    assert!(accepted(GapReason::Truncated) && !accepted(GapReason::Recreated));
    let partitions = ledger.partitions().await.unwrap();
    let moved = partitions.iter().find(|partition| &*partition.claim.topic == "gap").unwrap();
    assert_eq!(moved.counts, Counts::default());
    assert!(moved.updated_at > 0);
}

async fn claims_are_fenced(ledger: &dyn Ledger, other: &dyn Ledger) {
    let old = ledger.claim("t", 0).await.unwrap();
    assert_eq!((old.epoch, old.next_offset), (1, 0));
    let new = other.claim("t", 0).await.unwrap();
    assert_eq!((new.epoch, new.next_offset), (2, 0));
    // The zombie's commit writes nothing, not even its segment.
    let zombie = BatchCommit {
        segment: Some(segment("zombie")),
        advances: vec![advance(&old, 5, counts(5, 0, 0))],
        ..BatchCommit::default()
    };
    assert!(ledger.commit(zombie).await.unwrap_err().is_fenced());
    assert_eq!(ledger.latest_sequence().await.unwrap(), 0);
    assert_eq!(ledger.position("t", 0).await.unwrap(), Some(0));
    assert_eq!(ledger.position("t", 1).await.unwrap(), None);
    // The right epoch at the wrong position is refused too: a batch cannot be committed twice.
    let commit =
        BatchCommit { advances: vec![advance(&new, 3, counts(2, 1, 0))], ..BatchCommit::default() };
    other.commit(commit.clone()).await.unwrap();
    assert!(other.commit(commit).await.unwrap_err().is_fenced());
    assert_eq!(ledger.position("t", 0).await.unwrap(), Some(3));
}

async fn commits_are_whole(ledger: &dyn Ledger) {
    let claim = ledger.claim("t", 0).await.unwrap();
    let another = ledger.claim("t", 1).await.unwrap();
    let mut stale = another.clone();
    stale.next_offset = 99;
    // One partition that cannot move keeps the other from moving.
    let torn = BatchCommit {
        segment: Some(segment("torn")),
        advances: vec![advance(&claim, 4, counts(1, 0, 0)), advance(&stale, 100, counts(1, 0, 0))],
        quarantined: vec![record(9, "torn")],
        ..BatchCommit::default()
    };
    assert!(ledger.commit(torn).await.is_err());
    assert_eq!(ledger.position("t", 0).await.unwrap(), Some(3));
    let whole = BatchCommit {
        segment: Some(segment("one")),
        advances: vec![advance(&claim, 6, counts(1, 0, 2)), advance(&another, 8, counts(7, 1, 0))],
        quarantined: vec![record(4, "missing_field"), record(5, "malformed_json")],
        ..BatchCommit::default()
    };
    let first = ledger.commit(whole).await.unwrap();
    let mut next = another;
    next.next_offset = 8;
    let later = BatchCommit {
        segment: Some(segment("two")),
        advances: vec![advance(&next, 9, counts(1, 0, 0))],
        ..BatchCommit::default()
    };
    let second = ledger.commit(later).await.unwrap();
    assert!(second > first);
    assert_eq!(ledger.latest_sequence().await.unwrap(), second);
    let entries = ledger.segments(0, second).await.unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].segment, segment("one"));
    assert_eq!(ledger.segments(first, second).await.unwrap()[0].segment.name, "two");
    assert_eq!(ledger.segments(0, first).await.unwrap().len(), 1);
    let sections = segment("one").sections.into_iter();
    let versions = sections.map(|section| (section.event_type, section.contract_version)).collect();
    assert_eq!(ledger.contract_versions(0, second).await.unwrap(), versions);
    assert_eq!(ledger.contract_versions(second, second).await.unwrap().len(), 0);
    let names = ["zombie", "one", "torn", "two"].map(str::to_owned).to_vec();
    assert_eq!(ledger.unlisted(names).await.unwrap(), ["zombie", "torn"]);
    let partitions = ledger.partitions().await.unwrap();
    assert_eq!(partitions.len(), 2);
    assert_eq!(partitions[0].counts, counts(3, 1, 2));
    assert_eq!(partitions[0].content.as_ref().map(|mark| mark.prefix_hash), Some(u128::MAX));
    assert!(partitions.iter().all(|partition| partition.counts.adds_up()));
}

async fn quarantine_is_kept(ledger: &dyn Ledger) {
    let all = QuarantineFilter { limit: 10, ..QuarantineFilter::default() };
    let entries = ledger.quarantine(&all).await.unwrap();
    assert_eq!(entries.len(), 2);
    assert_eq!(entries[0].record, record(4, "missing_field"));
    let by_type = QuarantineFilter { event_type: Some("purchase".into()), ..all.clone() };
    assert_eq!(ledger.quarantine(&by_type).await.unwrap().len(), 1);
    let by_reason = QuarantineFilter { reason: Some("malformed_json".into()), ..all.clone() };
    assert_eq!(ledger.quarantine(&by_reason).await.unwrap()[0].id, entries[1].id);
    // A replay closes a record once.
    let claim = ledger.claim("replay", 0).await.unwrap();
    let outcome = |quarantine_id, refused: Option<&str>| ReplayOutcome {
        quarantine_id,
        refused: refused.map(|reason| (reason.to_owned(), "again".to_owned())),
    };
    let replay = BatchCommit {
        advances: vec![advance(&claim, 2, counts(1, 0, 1))],
        replays: vec![outcome(entries[0].id, None), outcome(entries[1].id, Some("wrong_type"))],
        ..BatchCommit::default()
    };
    ledger.commit(replay).await.unwrap();
    let mut next = claim;
    next.next_offset = 2;
    let twice = BatchCommit {
        advances: vec![advance(&next, 3, counts(1, 0, 0))],
        replays: vec![outcome(entries[0].id, None)],
        ..BatchCommit::default()
    };
    assert!(ledger.commit(twice).await.unwrap_err().is_fenced());
    assert_eq!(ledger.position("replay", 0).await.unwrap(), Some(2));
    let open = ledger.quarantine(&all).await.unwrap();
    assert_eq!(open.len(), 1);
    assert_eq!((open[0].record.reason.as_str(), open[0].attempts), ("wrong_type", 1));
    let with_replayed = QuarantineFilter { include_replayed: true, ..all };
    let states: Vec<QuarantineState> =
        ledger.quarantine(&with_replayed).await.unwrap().iter().map(|entry| entry.state).collect();
    assert_eq!(states, [QuarantineState::Replayed, QuarantineState::Open]);
    let groups = ledger.snapshot().await.unwrap().quarantine;
    assert_eq!(groups.iter().map(|group| (group.open, group.replayed)).max(), Some((1, 0)));
}
