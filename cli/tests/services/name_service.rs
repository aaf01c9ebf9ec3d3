//! Landing and archive on a name service of two NameNodes, which die, hang and take turns meanwhile.

use std::net::TcpListener;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLockReadGuard};
use std::time::{Duration, Instant};

use crate::dataset::Dataset;
use crate::inspect::Sent;
use crate::installation::Installation;
use crate::sandbox::{Running, Sandbox, wait_for};
use crate::services::{address, service, use_services};

/// In the order of Hadoop's configuration.
const FIRST: &str = "nameservice-namenode-1";
const SECOND: &str = "nameservice-namenode-2";

/// Longest time for a command to give up.
const PATIENCE: Duration = Duration::from_secs(270);

/// Nobody but these tests uses the pair, so others go on meanwhile.
static PAIR: Mutex<()> = Mutex::new(());

/// Both NameNodes, while no other test uses them.
struct Pair {
    paused: Option<&'static str>,
    _alone: MutexGuard<'static, ()>,
    _services: RwLockReadGuard<'static, ()>,
}

impl Pair {
    /// Both run, and the first is active.
    fn take() -> Self {
        let alone = PAIR.lock().unwrap_or_else(PoisonError::into_inner);
        let services = use_services();
        service("start", "nameservice");
        service("activate", FIRST);
        Self { paused: None, _alone: alone, _services: services }
    }

    /// Lets a NameNode hang until the end of the test.
    fn pause(&mut self, unit: &'static str) {
        self.paused = Some(unit);
        service("pause", unit);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // What was active when it stopped must not go on as such, if another has taken its place.
        if let Some(unit) = self.paused {
            service("kill", unit);
            service("start", unit);
        }
    }
}

/// An installation whose files are on the name service.
fn installation(partitions: i32) -> Installation {
    let mut installation = Installation::new(partitions);
    let cluster = address("QUESTLAKE_TEST_NAMESERVICE_URL");
    let folder = format!("{cluster}/questlake-test/{}", installation.name);
    installation.sandbox = installation.sandbox.with_variables(&[
        ("HADOOP_CONF_DIR", address("HADOOP_CONF_DIR")),
        ("QUESTLAKE_STORES_LANDING", format!("{folder}/landing")),
        ("QUESTLAKE_STORES_ARCHIVE", format!("{folder}/archive")),
    ]);
    installation
}

/// An ingester reads, models run and events move to the archive; meanwhile the active NameNode dies, the
/// other takes its place, and gives it back when the first has come again.
#[test]
fn a_failover_in_the_middle_of_the_work_loses_nothing() {
    let _pair = Pair::take();
    let dataset = Dataset::simulate(40, 10, 67);
    let installation = installation(6);
    let (sandbox, topic) = (&installation.sandbox, &installation.topic);
    let ingester = topic.ingester(sandbox, &["--ingest-batch-records", "50"]);
    // Nothing as long as the ledger is not there.
    let consumed = || installation.try_accounting().map_or(0, |found| found.lines);
    let mut thirds = dataset.lines.chunks(dataset.lines.len().div_ceil(3));
    let mut next = || topic.send_lines(thirds.next().unwrap());
    let more = |what: &str, before: u64| wait_for(what, || (consumed() > before).then_some(()));
    let mut commands: Vec<Running> = Vec::new();
    let mut start = |arguments: &[&str]| {
        commands.push(Running::start(&mut sandbox.command(arguments)));
    };
    let move_to_archive = ["archive", "--archive-after", "0s", "--archive-grace", "0s"];

    next();
    more("the first batches", 0);
    sandbox.etl();
    start(&move_to_archive);
    service("kill", FIRST);
    next();
    let before = consumed();
    start(&["etl", "run"]);
    service("activate", SECOND);
    more("batches by way of the other NameNode", before);

    service("start", FIRST);
    start(&["etl", "run"]);
    service("activate", FIRST);
    next();
    wait_for("everything to be taken in", || {
        (consumed() == dataset.truth.accounting.lines).then_some(())
    });
    ingester.signal("TERM");
    let finished = ingester.finish();
    assert!(finished.status.success(), "{finished:#?}");
    for command in commands {
        // It may have failed, and said so.
        let finished = command.finish_within(PATIENCE);
        assert!(!finished.text().contains("panicked"), "{finished:#?}");
    }
    sandbox.etl();
    sandbox.archive(&[]);
    installation.assert_exactly_once(&dataset, Sent::Once, "failover");
}

/// The NameNode that stands first hangs: for every command anew, since each is a process of its own.
#[test]
fn a_name_node_that_hangs_keeps_no_command_from_its_work() {
    let mut pair = Pair::take();
    let dataset = Dataset::simulate(20, 6, 68);
    let installation = installation(1);
    let sandbox = &installation.sandbox;
    let [first, second] = <[Vec<u8>; 2]>::try_from(dataset.parts(2)).unwrap();
    let [first, second] = [("first.ndjson", first), ("second.ndjson", second)]
        .map(|(name, lines)| sandbox.write(name, lines));
    sandbox.ingest(&[&first]);
    // It was the active one until it stopped.
    pair.pause(FIRST);
    service("activate", SECOND);
    sandbox.ingest(&[&second]);
    sandbox.etl();
    sandbox.archive(&[]);
    assert_eq!(sandbox.status()["accounting"]["adds_up"], true);
    installation.assert_exactly_once(&dataset, Sent::Once, "a NameNode hangs");
}

/// Neither NameNode of a name service can be worked with: one is gone, and one hears and never answers.
#[test]
fn every_command_ends_when_no_name_node_is_active() {
    let sandbox = Sandbox::new();
    let [events, more] = [(71, "events.ndjson"), (72, "more.ndjson")]
        .map(|(seed, name)| sandbox.write(name, Dataset::simulate(5, 3, seed).bytes()));
    sandbox.ingest(&[&events]);
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let silent_address = silent.local_addr().unwrap();
    std::fs::create_dir(sandbox.path("hadoop")).unwrap();
    sandbox.write(
        "hadoop/hdfs-site.xml",
        format!(
            "<configuration>\
             <property><name>dfs.nameservices</name><value>games</value></property>\
             <property><name>dfs.ha.namenodes.games</name><value>one,two</value></property>\
             <property><name>dfs.namenode.rpc-address.games.one</name>\
             <value>{silent_address}</value></property>\
             <property><name>dfs.namenode.rpc-address.games.two</name>\
             <value>{gone}</value></property></configuration>"
        ),
    );
    let away = sandbox.with_variables(&[
        ("HADOOP_CONF_DIR", sandbox.path("hadoop").display().to_string()),
        ("QUESTLAKE_STORES_LANDING", "hdfs://games/landing".to_owned()),
    ]);
    let commands: [&[&str]; 4] = [
        &["ingest", more.to_str().unwrap()],
        &["etl", "run"],
        &["query", "SELECT count(*) FROM events.envelope"],
        &["status"],
    ];
    let mut started = Vec::new();
    for arguments in commands {
        let running = Running::start(&mut away.command(arguments));
        started.push((arguments, running, Instant::now()));
    }
    for (arguments, running, begun) in started {
        let finished = running.finish_within(PATIENCE);
        assert!(!finished.status.success(), "{arguments:?}: {finished:#?}");
        let text = finished.text();
        for part in ["hdfs://games", "no NameNode of games", "haadmin"] {
            assert!(text.contains(part), "{arguments:?}, {:?}: {finished:#?}", begun.elapsed());
        }
        for address in [gone, silent_address] {
            assert!(text.contains(&address.to_string()), "{arguments:?}: {finished:#?}");
        }
    }
}
