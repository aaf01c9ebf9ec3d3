//! The contract of every source that needs no server: files, standard input, HTTP.

use std::cell::Cell;
use std::path::PathBuf;

use crate::collector::{Server, agent, post};
use crate::inspect::Sent;
use crate::sandbox::Sandbox;
use crate::source_contract::{Source, crash_variable, installation, run_to_the_crash, suite};

/// Each time a file of its own.
struct Files {
    sandbox: Sandbox,
    written: Cell<usize>,
}

impl Files {
    fn write(&self, lines: &[Vec<u8>]) -> PathBuf {
        self.written.set(self.written.get() + 1);
        self.sandbox.write(&format!("{}.ndjson", self.written.get()), lines.concat())
    }
}

impl Source for Files {
    fn name(&self) -> &'static str {
        "files"
    }

    fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    fn after_a_crash(&self) -> Sent {
        Sent::Once
    }

    fn take_in(&self, lines: &[Vec<u8>]) {
        self.sandbox.ingest(&[&self.write(lines)]);
    }

    fn crash(&self, lines: &[Vec<u8>]) {
        let file = self.write(lines).display().to_string();
        run_to_the_crash(&self.sandbox, &["ingest".to_owned(), file], Vec::new());
    }

    fn recover(&self, lines: &[Vec<u8>]) {
        // Under another name: what counts is the content.
        self.take_in(lines);
    }
}

struct StandardInput(Sandbox);

impl Source for StandardInput {
    fn name(&self) -> &'static str {
        "standard input"
    }

    fn sandbox(&self) -> &Sandbox {
        &self.0
    }

    fn after_a_crash(&self) -> Sent {
        Sent::Again
    }

    fn take_in(&self, lines: &[Vec<u8>]) {
        let finished = self.0.run_with_input(&["ingest", "-"], &lines.concat());
        assert!(finished.status.success(), "{finished:#?}");
    }

    fn crash(&self, lines: &[Vec<u8>]) {
        run_to_the_crash(&self.0, &["ingest", "-"].map(str::to_owned), lines.concat());
    }

    fn recover(&self, lines: &[Vec<u8>]) {
        self.take_in(lines);
    }
}

struct Http(Sandbox);

impl Source for Http {
    fn name(&self) -> &'static str {
        "HTTP"
    }

    fn sandbox(&self) -> &Sandbox {
        &self.0
    }

    fn after_a_crash(&self) -> Sent {
        Sent::Again
    }

    fn take_in(&self, lines: &[Vec<u8>]) {
        let server = Server::start(&self.0, &[]);
        let answer = post(&agent(), &server.url, &lines.concat(), None).unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        assert!(server.stop("TERM").success());
    }

    fn crash(&self, lines: &[Vec<u8>]) {
        let server = Server::start_with(&self.0, &[], &[crash_variable()]);
        let answer = post(&agent(), &server.url, &lines.concat(), None);
        assert!(answer.is_err(), "{answer:?}");
    }

    fn recover(&self, lines: &[Vec<u8>]) {
        self.take_in(lines);
    }
}

#[test]
fn files_keep_the_contract() {
    suite(&Files { sandbox: installation(), written: Cell::new(0) });
}

#[test]
fn standard_input_keeps_the_contract() {
    suite(&StandardInput(installation()));
}

#[test]
fn http_keeps_the_contract() {
    suite(&Http(installation()));
}
