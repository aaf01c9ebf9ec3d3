//! Landing on a name service: two NameNodes, of which one is active. They die, hang and take turns.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use questlake_engine::stores::error::{StoreError, StoreErrorKind};
use questlake_engine::stores::landing::Landing;
use questlake_engine::stores::landing::objects::ObjectLanding;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;

use super::hdfs::{self, address, new_folder, open_at};

/// In the order of Hadoop's configuration.
const FIRST: &str = "nameservice-namenode-1";
const SECOND: &str = "nameservice-namenode-2";

/// Longest time of a call while one NameNode hangs that need not be asked: far below the time for
/// which the client would wait for it.
const SOON: Duration = Duration::from_secs(10);

/// Longest time of a call that has to find out that a NameNode hangs.
const PATIENCE: Duration = Duration::from_secs(90);

static PAIR: Mutex<()> = Mutex::const_new(());

/// Both NameNodes, while no other test uses them.
struct Pair {
    paused: Option<&'static str>,
    _alone: MutexGuard<'static, ()>,
}

impl Pair {
    /// Both run, and the first is active.
    async fn take() -> Self {
        let alone = PAIR.lock().await;
        // Told before anything is asked of a cluster that is not there.
        address("HADOOP_CONF_DIR");
        let pair = Self { paused: None, _alone: alone };
        pair.have("start", "nameservice");
        pair.have("activate", FIRST);
        pair
    }

    fn have(&self, what: &str, unit: &str) {
        assert!(run(what, unit), "scripts/services.sh {what} {unit} failed");
    }

    /// Lets a NameNode hang, until the end of the test at most.
    fn pause(&mut self, unit: &'static str) {
        self.paused = Some(unit);
        self.have("pause", unit);
    }

    /// Only where no other has become active meanwhile.
    fn resume(&mut self, unit: &'static str) {
        self.have("resume", unit);
        self.paused = None;
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // One that was active when it stopped would go on as such: it has to end first, as fencing on
        // a cluster sees to. Whether that works is seen by the next test.
        if let Some(unit) = self.paused {
            run("kill", unit);
        }
        run("start", "nameservice");
    }
}

fn run(what: &str, unit: &str) -> bool {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let status = Command::new(root.join("scripts/services.sh"))
        .args([what, unit])
        .stdout(Stdio::null())
        .status();
    status.is_ok_and(|status| status.success())
}

fn cluster() -> String {
    address("QUESTLAKE_TEST_NAMESERVICE_URL")
}

fn open(folder: &str) -> ObjectLanding {
    open_at(&cluster(), folder)
}

/// A process that seals one segment after the other.
struct Writer {
    written: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    task: JoinHandle<Vec<String>>,
}

/// What a segment holds: more than one packet of the pipeline, and no other has the same.
fn content_of(name: &str) -> Bytes {
    Bytes::from(format!("{name} ").repeat(10_000))
}

impl Writer {
    fn start(folder: &str, day: u32) -> Self {
        let (written, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (count, end, store) = (Arc::clone(&written), Arc::clone(&is_over), open(folder));
        let task = tokio::spawn(async move {
            let mut names = Vec::new();
            while !end.load(Ordering::SeqCst) {
                let name = format!("2026-01-{day:02}/{:06}.qls", names.len());
                store.seal(&name, vec![content_of(&name)]).await.unwrap();
                names.push(name);
                count.fetch_add(1, Ordering::SeqCst);
            }
            names
        });
        Self { written, is_over, task }
    }

    /// Waits until it has sealed a few more.
    async fn goes_on(&self) {
        let wanted = self.written.load(Ordering::SeqCst) + 5;
        let deadline = Instant::now() + PATIENCE;
        while self.written.load(Ordering::SeqCst) < wanted {
            assert!(!self.task.is_finished(), "a segment could not be sealed");
            assert!(Instant::now() < deadline, "waited in vain for a segment");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// The names of all that it has sealed.
    async fn finish(self) -> Vec<String> {
        self.is_over.store(true, Ordering::SeqCst);
        self.task.await.unwrap()
    }
}

async fn go_on(writers: &[Writer]) {
    for writer in writers {
        writer.goes_on().await;
    }
}

/// Asserts that just these segments are in the folder, whole.
async fn assert_all_there(folder: &str, names: &[String]) {
    let store = open(folder);
    let expected: Vec<(String, u64)> =
        names.iter().map(|name| (name.clone(), content_of(name).len() as u64)).collect();
    assert_eq!(store.list().await.unwrap(), expected);
    for (name, length) in expected {
        let read = store.read(&name, 0..length).await.unwrap();
        assert!(read[..] == content_of(&name)[..], "{name} holds something else");
    }
}

/// Writes, reads, lists and removes a segment; no call may take longer than [`SOON`].
async fn works_soon(store: &ObjectLanding) {
    async fn soon<T>(call: impl Future<Output = Result<T, StoreError>>) -> T {
        let begun = Instant::now();
        let result = call.await.unwrap();
        assert!(begun.elapsed() < SOON, "{:?}", begun.elapsed());
        result
    }
    let name = "2026-02-01/a.qls";
    soon(store.seal(name, vec![Bytes::from_static(b"segment")])).await;
    assert_eq!(&soon(store.read(name, 0..7)).await[..], b"segment");
    assert_eq!(soon(store.list()).await, [(name.to_owned(), 7)]);
    soon(store.remove(name)).await;
    assert_eq!(soon(store.list()).await, []);
}

/// Reads where no NameNode can be worked with; expects an error in time that says what is wrong.
async fn read_in_vain(store: &ObjectLanding) -> String {
    let begun = Instant::now();
    let error = store.read("2026-02-01/a.qls", 0..1).await.unwrap_err();
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    let text = error.to_string();
    for part in
        [cluster().as_str(), "no NameNode of", "nn1 (127.0.0.1:", "nn2 (127.0.0.1:", "haadmin"]
    {
        assert!(text.contains(part), "{part}: {text}");
    }
    text
}

#[tokio::test(flavor = "multi_thread")]
async fn landing_store() {
    let _pair = Pair::take().await;
    hdfs::suite(&cluster()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_or_twice_when_the_active_name_node_dies() {
    let pair = Pair::take().await;
    let folder = new_folder();
    let writers = [Writer::start(&folder, 1), Writer::start(&folder, 2)];
    go_on(&writers).await;
    pair.have("kill", FIRST);
    pair.have("activate", SECOND);
    go_on(&writers).await;
    // It comes back as the standby, and takes over as a cluster's operator would have it.
    pair.have("start", FIRST);
    pair.have("activate", FIRST);
    go_on(&writers).await;
    let mut names = Vec::new();
    for writer in writers {
        names.extend(writer.finish().await);
    }
    assert_all_there(&folder, &names).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_stands_first_is_passed_over() {
    let pair = Pair::take().await;
    pair.have("activate", SECOND);
    works_soon(&open(&new_folder())).await;
    hdfs::suite(&cluster()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_hangs_keeps_nobody_waiting() {
    let mut pair = Pair::take().await;
    pair.have("activate", SECOND);
    let known = open(&new_folder());
    works_soon(&known).await;
    pair.pause(FIRST);
    works_soon(&known).await;
    works_soon(&open(&new_folder())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_active_one_hangs_the_other_takes_its_place() {
    let mut pair = Pair::take().await;
    let folder = new_folder();
    let writer = Writer::start(&folder, 1);
    writer.goes_on().await;
    pair.pause(FIRST);
    pair.have("activate", SECOND);
    writer.goes_on().await;
    // Whoever comes now meets the one that hangs at the first place of the list, and passes by.
    works_soon(&open(&new_folder())).await;
    let names = writer.finish().await;
    assert_all_there(&folder, &names).await;
}

/// Takes as long as reading is tried again.
#[tokio::test(flavor = "multi_thread")]
async fn where_none_is_active_every_call_ends_and_says_so() {
    let mut pair = Pair::take().await;
    let known = open(&new_folder());
    works_soon(&known).await;
    pair.pause(FIRST);
    let fresh = open(&new_folder());
    let (of_known, of_fresh) = tokio::join!(read_in_vain(&known), read_in_vain(&fresh));
    for text in [of_known, of_fresh] {
        assert!(text.contains("): standby"), "{text}");
        assert!(text.contains("): no answer within"), "{text}");
    }
    pair.resume(FIRST);
    works_soon(&known).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_both_are_away_every_call_ends_and_names_them() {
    let pair = Pair::take().await;
    let fresh = open(&new_folder());
    let known = open(&new_folder());
    works_soon(&known).await;
    pair.have("kill", FIRST);
    pair.have("kill", SECOND);
    read_in_vain(&fresh).await;
    let error = known.read("2026-02-01/a.qls", 0..1).await.unwrap_err();
    assert_eq!(error.kind, StoreErrorKind::Unavailable, "{error}");
    assert!(error.to_string().contains(&cluster()), "{error}");
    pair.have("start", "nameservice");
    works_soon(&known).await;
    works_soon(&fresh).await;
}
