//! `questlake serve` under test, and a client that sends again what was not answered.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ExitStatus};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;
use ureq::Agent;

use crate::sandbox::{Sandbox, wait_for};

/// A server of its own process. Dropping it kills the process.
pub(crate) struct Server {
    child: Child,
    /// Where it listens.
    pub(crate) url: String,
    /// Lines of its log and its output that nobody has looked at.
    said: mpsc::Receiver<String>,
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) retry_after: Option<String>,
    pub(crate) body: Value,
}

impl Server {
    /// Starts the server at any free port, and waits until it listens.
    pub(crate) fn start(sandbox: &Sandbox, flags: &[&str]) -> Self {
        Self::start_with(sandbox, flags, &[])
    }

    /// The same with some environment variables.
    pub(crate) fn start_with(
        sandbox: &Sandbox,
        flags: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let mut arguments = vec!["serve"];
        if !flags.contains(&"--collector-listen") {
            arguments.extend(["--collector-listen", "127.0.0.1:0"]);
        }
        arguments.extend(flags);
        let mut child =
            sandbox.command(&arguments).envs(variables.iter().copied()).spawn().unwrap();
        let (sender, receiver) = mpsc::channel();
        watch(child.stdout.take().unwrap(), sender.clone());
        watch(child.stderr.take().unwrap(), sender);
        let mut seen = Vec::new();
        let url = loop {
            match receiver.recv_timeout(Duration::from_secs(60)) {
                Ok(line) => {
                    // The log says it too, in other words.
                    if let Some(address) = line.strip_prefix("listening on http://") {
                        break format!("http://{}", address.trim());
                    }
                    seen.push(line);
                }
                Err(error) => {
                    let _ = child.kill();
                    panic!("the server does not listen ({error}): {seen:#?}");
                }
            }
        };
        Self { child, url, said: receiver }
    }

    /// Memory of the process in bytes, as the system counts it.
    pub(crate) fn resident_bytes(&self) -> u64 {
        let path = format!("/proc/{}/status", self.child.id());
        let status = std::fs::read_to_string(path).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Ends the process as a failing machine would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks the process to end, and waits until it has.
    pub(crate) fn stop(self, signal: &str) -> ExitStatus {
        self.stop_and_hear(signal).0
    }

    /// The same, and what it said since it listens.
    pub(crate) fn stop_and_hear(mut self, signal: &str) -> (ExitStatus, Vec<String>) {
        let pid = self.child.id().to_string();
        let status =
            std::process::Command::new("kill").args([format!("-{signal}"), pid]).status().unwrap();
        assert!(status.success());
        let status = wait_for("the end of the server", || self.child.try_wait().unwrap());
        // Both ends of its pipes are closed, so the lines have an end.
        (status, self.said.iter().collect())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself, which is just as well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Hands lines on. Reads to the end, so that the process never waits for its reader.
fn watch(pipe: impl Read + Send + 'static, sender: mpsc::Sender<String>) {
    std::thread::spawn(move || {
        for line in BufReader::new(pipe).lines() {
            let Ok(line) = line else { break };
            let _ = sender.send(line);
        }
    });
}

/// An HTTP client that takes every status for an answer.
pub(crate) fn agent() -> Agent {
    Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(Duration::from_secs(60)))
        .build()
        .into()
}

/// Posts events.
pub(crate) fn post(
    agent: &Agent,
    url: &str,
    body: &[u8],
    encoding: Option<&str>,
) -> Result<Answer, ureq::Error> {
    let mut request = agent.post(format!("{url}/v1/events"));
    if let Some(encoding) = encoding {
        request = request.header("content-encoding", encoding);
    }
    let response = request.header("content-type", "application/json").send(body)?;
    read_answer(response)
}

/// Gets a resource.
pub(crate) fn get(agent: &Agent, url: &str, path: &str) -> Result<Answer, ureq::Error> {
    read_answer(agent.get(format!("{url}{path}")).call()?)
}

fn read_answer(mut response: ureq::http::Response<ureq::Body>) -> Result<Answer, ureq::Error> {
    let status = response.status().as_u16();
    let header = response.headers().get("retry-after");
    let retry_after = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let text = response.body_mut().read_to_string()?;
    let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
    Ok(Answer { status, retry_after, body })
}
