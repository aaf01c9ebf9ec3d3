//! The demo, and the simulator behind it.

use std::fs;

use crate::sandbox::Sandbox;

#[test]
fn the_demo_verifies_itself() {
    let sandbox = Sandbox::new();
    let demo = ["demo", "--players", "300", "--days", "10", "--seed", "7", "--exit"];
    sandbox.succeed(&demo);
    // Where the demo keeps its data by itself is its own affair; here it was told.
    let status = sandbox.status();
    assert_eq!(status["accounting"]["adds_up"], true, "{status}");
    assert!(status["accounting"]["landed"].as_u64().unwrap() > 5_000, "{status}");
    let models = status["models"].as_array().unwrap();
    assert!(models.len() >= 10, "{status}");
    assert!(models.iter().all(|model| model["behind_commits"] == 0), "{status}");
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_gives_others() {
    let sandbox = Sandbox::new();
    let simulate = |name: &str, seed: &str| {
        let events = sandbox.path(&format!("{name}.ndjson"));
        let truth = sandbox.path(&format!("{name}.json"));
        let mut arguments = vec!["simulate", "--players", "80", "--days", "6", "--seed", seed];
        arguments.extend(["--faults", "typical", "--output", events.to_str().unwrap()]);
        arguments.extend(["--truth", truth.to_str().unwrap()]);
        sandbox.succeed(&arguments);
        (fs::read(events).unwrap(), fs::read(truth).unwrap())
    };
    let first = simulate("first", "11");
    assert!(first.0.len() > 100_000);
    assert!(first == simulate("second", "11"));
    assert!(first.0 != simulate("other", "12").0);
}

#[test]
fn events_go_to_standard_output_and_nothing_else_does() {
    let sandbox = Sandbox::new();
    let arguments = ["simulate", "--players", "20", "--days", "3", "--seed", "5", "--output", "-"];
    let simulated = sandbox.succeed(&arguments);
    assert!(simulated.stdout.lines().count() > 100);
    for line in simulated.stdout.lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(event["event_id"].is_string(), "{line}");
    }
}

#[test]
fn days_that_are_not_over_are_refused() {
    let sandbox = Sandbox::new();
    let output = sandbox.path("events.ndjson");
    let simulate = ["simulate", "--players", "5", "--output", output.to_str().unwrap()];
    let future = ["--start", "2026-01-01", "--days", "3000"];
    let refused = sandbox.refuse(&[simulate.as_slice(), &future].concat());
    assert!(refused.text().contains("--days can be"), "{refused:#?}");
    let future = ["--start", "2999-01-01", "--days", "1"];
    let refused = sandbox.refuse(&[simulate.as_slice(), &future].concat());
    assert!(refused.text().contains("begin before"), "{refused:#?}");
    assert!(!output.exists());
    let demo = ["demo", "--start", "2026-01-01", "--players", "5", "--days", "3000", "--exit"];
    let refused = sandbox.refuse(&demo);
    assert!(refused.text().contains("--days can be"), "{refused:#?}");
    assert!(!sandbox.data().exists());
}
