//! The demo on servers.

use crate::installation::Installation;
use crate::services::use_services;

const DEMO: [&str; 8] =
    ["demo", "--services", "--players", "200", "--days", "10", "--exit", "--seed=7"];

#[test]
fn the_demo_on_servers_verifies_itself() {
    let _services = use_services();
    let installation = Installation::without_topic();
    let shown = installation.sandbox.succeed(&DEMO);
    for word in ["postgres://", "mongodb://", "hdfs://", "redis://", "Kafka", "Proof"] {
        assert!(shown.stdout.contains(word), "{word}: {shown:#?}");
    }
    assert!(!shown.text().contains("questlake:0"), "a password is shown: {shown:#?}");
    let status = installation.sandbox.status();
    assert_eq!(status["accounting"]["adds_up"], true, "{status}");
    assert!(status["accounting"]["landed"].as_u64().unwrap() > 3_000, "{status}");
    assert_eq!(status["kafka"]["lag"], 0, "{status}");
    // What is there now is nobody's to mix with.
    let refused = installation.sandbox.refuse(&DEMO);
    assert!(refused.stderr.contains("the stores hold"), "{refused:#?}");
}

#[test]
fn without_servers_the_demo_says_what_it_needs() {
    let sandbox = crate::sandbox::Sandbox::new();
    let refused = sandbox.refuse(&DEMO);
    assert!(refused.stderr.contains("kafka.brokers"), "{refused:#?}");
    assert!(refused.stderr.contains("make demo-services"), "{refused:#?}");
}
