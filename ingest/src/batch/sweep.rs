//! Clearing landing of what ended processes have left there: files that were never finished, and
//! sealed segments that no commit lists. Nobody reads either; they only take room.

use std::time::Duration;

use chrono::{TimeDelta, Utc};
use futures::future::BoxFuture;
use questlake_engine::stores::error::StoreResult;
use tracing::{info, warn};

use super::Ingester;
use super::publish::named_at;

/// Age from which a file that no commit lists is taken for abandoned. An ingester seals a segment
/// and commits it at once, and each step ends within its store's time-outs, which are minutes: a
/// day leaves room for clocks that differ.
const GRACE: Duration = Duration::from_secs(24 * 60 * 60);

/// Most segments that one sweep removes; the next one goes on.
const MAX_REMOVED: usize = 10_000;

/// Longest time of a sweep.
const SWEEP_TIME: Duration = Duration::from_secs(30);

impl Ingester {
    /// Removes abandoned files from landing. Events are taken in with or without it, so a failure
    /// is a warning.
    pub fn sweep_landing(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            match tokio::time::timeout(SWEEP_TIME, self.remove_abandoned()).await {
                Ok(Ok((0, 0))) => {}
                Ok(Ok((unfinished, orphans))) => info!(
                    unfinished,
                    orphans,
                    "removed {unfinished} unfinished files and {orphans} segments that no commit \
                 lists from landing"
                ),
                Ok(Err(error)) => {
                    warn!(%error, "abandoned files could not be removed from landing: {error}");
                }
                Err(_) => warn!(
                    "removing abandoned files from landing took longer than {} s; it goes on with the \
                 next start",
                    SWEEP_TIME.as_secs()
                ),
            }
        })
    }

    /// Numbers of unfinished files and of orphans that were removed.
    async fn remove_abandoned(&self) -> StoreResult<(u64, u64)> {
        let unfinished = self.stores.landing.remove_unfinished(GRACE).await?;
        let latest = Utc::now().naive_utc() - TimeDelta::from_std(GRACE).unwrap_or(TimeDelta::MAX);
        // The files first and the ledger afterwards: what is committed in between is listed.
        let files = self.stores.landing.list().await?;
        let old = files.into_iter().map(|(name, _)| name);
        let old = old.filter(|name| named_at(name).is_some_and(|time| time < latest)).collect();
        let mut orphans = 0;
        for name in self.stores.ledger.unlisted(old).await?.iter().take(MAX_REMOVED) {
            self.stores.landing.remove(name).await?;
            orphans += 1;
        }
        Ok((unfinished, orphans))
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::time::SystemTime;

    use bytes::Bytes;
    use questlake_engine::stores::ledger::{BatchCommit, SealedSegment};

    use super::*;
    use crate::batch::dedup::tests::{ingester, read_whole};
    use crate::batch::publish::segment_name;

    #[tokio::test]
    async fn what_is_old_and_listed_nowhere_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let ingester = ingester(folder.path());
        assert_eq!(read_whole(&ingester, "topic").await.landed, 1);
        let landing = &ingester.stores.landing;
        let committed = landing.list().await.unwrap().remove(0).0;
        let orphan = "2020-01-01/000000000000-0123456789abcdef.qls";
        let listed = "2020-01-02/235959999999-0123456789abcdef.qls";
        let foreign = "2020-01-01/mine.qls";
        let recent = segment_name().unwrap();
        for name in [orphan, listed, foreign, &recent] {
            landing.seal(name, vec![Bytes::from_static(b"rows")]).await.unwrap();
        }
        let segment = SealedSegment { name: listed.to_owned(), bytes: 4, sections: Vec::new() };
        let commit = BatchCommit { segment: Some(segment), ..BatchCommit::default() };
        ingester.stores.ledger.commit(commit).await.unwrap();
        let temporary = folder.path().join("data/landing/.tmp");
        for (name, age) in [("old", 2 * GRACE), ("new", GRACE / 2)] {
            let file = File::create(temporary.join(name)).unwrap();
            file.set_modified(SystemTime::now() - age).unwrap();
        }

        assert_eq!(ingester.remove_abandoned().await.unwrap(), (1, 1));
        let left: Vec<String> =
            landing.list().await.unwrap().into_iter().map(|(name, _)| name).collect();
        let mut expected = vec![listed, foreign, &recent, &committed];
        expected.sort_unstable();
        assert_eq!(left, expected);
        let unfinished: Vec<_> =
            fs::read_dir(temporary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(unfinished, ["new"]);
        assert_eq!(ingester.remove_abandoned().await.unwrap(), (0, 0));
    }
}
