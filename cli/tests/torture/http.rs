//! The collector is killed while clients post. They send again what was not answered.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::collector::{Server, agent, post};
use crate::dataset::Dataset;
use crate::effort;
use crate::inspect::{Sent, assert_exactly_once};
use crate::random::Random;
use crate::sandbox::Sandbox;

const CLIENTS: usize = 2;

/// Lines in one request.
const LINES_PER_REQUEST: usize = 40;

/// Longest time for which a client waits for the next server.
const PATIENCE: Duration = Duration::from_secs(60);

/// What clients and killer share.
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    /// Requests that nobody works on.
    waiting: VecDeque<Vec<u8>>,
    /// Requests that got their answer.
    answered: usize,
    /// Where the server listens; nowhere while it is dead.
    server: Option<String>,
}

#[test]
fn every_event_that_a_client_posts_lands_once_though_the_collector_is_killed() {
    let effort = effort();
    let (rounds, kills) = if effort.full { (10, 10) } else { (1, 4) };
    for seed in effort.first_seed..effort.first_seed + rounds {
        eprintln!("seed {seed}");
        run_round(seed, kills);
    }
}

fn run_round(seed: u64, kills: usize) {
    let mut random = Random::new(seed);
    let dataset = Dataset::simulate(40, 10, seed);
    let sandbox = Sandbox::new();
    let waiting: VecDeque<Vec<u8>> =
        dataset.lines.chunks(LINES_PER_REQUEST).map(<[Vec<u8>]>::concat).collect();
    let requests = waiting.len();
    let shared = Arc::new(Shared {
        state: Mutex::new(State { waiting, answered: 0, server: None }),
        changed: Condvar::new(),
    });
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.post_all())
        })
        .collect();
    let mut server = None;
    for number in 0..=kills {
        let mut running = Server::start(&sandbox, &["--ingest-batch-records", "200"]);
        shared.set_server(Some(running.url.clone()));
        if number == kills {
            server = Some(running);
            break;
        }
        // The kill comes some time after a share of the requests has been answered.
        let goal = requests * (number + 1) / (kills + 2);
        shared.wait_for_answers(goal);
        std::thread::sleep(random.shorter_than(Duration::from_millis(20)));
        shared.set_server(None);
        running.kill();
    }
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(shared.state.lock().unwrap().answered, requests);
    let status = server.unwrap().stop("TERM");
    assert!(status.success(), "{status}");
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Again, &format!("seed {seed}"));
}

/// Two servers share the data. What the second had queued when it died lands when the first one's
/// successor starts, though no client sends it again.
#[test]
fn what_a_dead_server_had_queued_lands_without_its_client() {
    let dataset = Dataset::simulate(10, 4, 3);
    let sandbox = Sandbox::new();
    let first = Server::start(&sandbox, &[]);
    let failpoints = [("QUESTLAKE_FAILPOINTS", "spool.after_write=abort@1")];
    let second = Server::start_with(&sandbox, &[], &failpoints);
    let answer = post(&agent(), &second.url, &dataset.bytes(), None);
    assert!(answer.is_err(), "{answer:?}");
    assert!(first.stop("TERM").success());
    let successor = Server::start(&sandbox, &[]);
    assert!(successor.stop("TERM").success());
    sandbox.etl();
    assert_exactly_once(&sandbox, &dataset, Sent::Once, "queued by a dead server");
}

impl Shared {
    /// Posts until every request has been answered.
    fn post_all(&self) {
        let agent = agent();
        while let Some((body, url)) = self.next_request() {
            match post(&agent, &url, &body, None) {
                Ok(answer) if answer.status == 200 => {
                    self.state.lock().unwrap().answered += 1;
                }
                // Refused for now, or the server died: the same events go again.
                Ok(answer) => {
                    assert!(matches!(answer.status, 429 | 503), "{answer:?}");
                    self.state.lock().unwrap().waiting.push_front(body);
                }
                Err(_) => self.state.lock().unwrap().waiting.push_front(body),
            }
            self.changed.notify_all();
        }
    }

    /// The next request and where to send it, as soon as there is a server.
    fn next_request(&self) -> Option<(Vec<u8>, String)> {
        let state = self.state.lock().unwrap();
        let (mut state, timeout) = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| {
                state.server.is_none() && !state.waiting.is_empty()
            })
            .unwrap();
        assert!(!timeout.timed_out(), "the server does not come back");
        let body = state.waiting.pop_front()?;
        let url = state.server.clone().unwrap();
        Some((body, url))
    }

    fn set_server(&self, server: Option<String>) {
        self.state.lock().unwrap().server = server;
        self.changed.notify_all();
    }

    fn wait_for_answers(&self, goal: usize) {
        let state = self.state.lock().unwrap();
        let (_state, timeout) = self
            .changed
            .wait_timeout_while(state, PATIENCE, |state| state.answered < goal)
            .unwrap();
        assert!(!timeout.timed_out(), "the server does not answer");
    }
}
