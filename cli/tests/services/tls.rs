//! Servers over TLS, and Kafka with a name and a password: what is in order works, and for what is not
//! each command ends, names the server and says what is wrong.

use std::time::Duration;

use crate::collector::{Server, agent, post};
use crate::dataset::Dataset;
use crate::inspect::Sent;
use crate::installation::{Installation, in_bucket, with_database};
use crate::sandbox::{Finished, Running, Sandbox};
use crate::services::{address, use_services};

/// Longest time for a command to give up: MongoDB's is a minute.
const PATIENCE: Duration = Duration::from_secs(100);

const WRONG_PASSWORD: &str = "wrong-secret";

/// Settings of a command.
type Variables = Vec<(&'static str, String)>;

/// The authority that has signed the servers' certificate.
fn authority() -> String {
    address("QUESTLAKE_TEST_CA")
}

/// One that has signed nothing.
fn other_authority() -> String {
    address("QUESTLAKE_TEST_OTHER_CA")
}

/// The URL with options.
fn with_options(url: &str, options: &str) -> String {
    let joint = if url.contains('?') { '&' } else { '?' };
    format!("{url}{joint}{options}")
}

/// The same server by a name that is not in its certificate.
fn by_another_name(address: &str) -> String {
    address.replacen("localhost", "127.0.0.1", 1)
}

/// The brokers by a user's name and password. Nothing is said of their certificates.
fn kafka(brokers: String, password: String) -> Variables {
    vec![
        ("QUESTLAKE_KAFKA_BROKERS", brokers),
        ("QUESTLAKE_KAFKA_SECURITY", "sasl_ssl".to_owned()),
        ("QUESTLAKE_KAFKA_SASL_MECHANISM", address("QUESTLAKE_TEST_KAFKA_SASL_MECHANISM")),
        ("QUESTLAKE_KAFKA_SASL_USER", address("QUESTLAKE_TEST_KAFKA_USER")),
        ("QUESTLAKE_KAFKA_SASL_PASSWORD", password),
    ]
}

/// The servers of an installation over TLS, landing and archive in a bucket. Redis and the bucket are
/// known by the system's certificates alone, the others by this authority where there is one.
fn over_tls(installation: &Installation, authority: Option<&str>) -> Sandbox {
    let named =
        |option: &str| authority.map_or_else(String::new, |file| format!("&{option}={file}"));
    let server = |variable| with_database(&address(variable), &installation.name);
    let warehouse = format!("sslmode=verify-full{}", named("sslrootcert"));
    let hot = format!("tls=true{}", named("tlsCAFile"));
    let (bucket, name) = (address("QUESTLAKE_TEST_S3_TLS_URL"), &installation.name);
    let mut variables = kafka(
        address("QUESTLAKE_TEST_KAFKA_TLS_BROKERS"),
        address("QUESTLAKE_TEST_KAFKA_PASSWORD"),
    );
    if let Some(file) = authority {
        variables.push(("QUESTLAKE_KAFKA_CA_FILE", file.to_owned()));
    }
    variables.extend([
        (
            "QUESTLAKE_STORES_WAREHOUSE",
            with_options(&server("QUESTLAKE_TEST_POSTGRES_TLS_URL"), &warehouse),
        ),
        ("QUESTLAKE_STORES_HOT", with_options(&server("QUESTLAKE_TEST_MONGODB_TLS_URL"), &hot)),
        ("QUESTLAKE_STORES_LANDING", in_bucket(&bucket, &format!("{name}/landing"))),
        ("QUESTLAKE_STORES_ARCHIVE", in_bucket(&bucket, &format!("{name}/archive"))),
        ("QUESTLAKE_STORES_CACHE", address("QUESTLAKE_TEST_REDIS_TLS_URL")),
        ("SSL_CERT_FILE", self::authority()),
    ]);
    installation.sandbox.with_variables(&variables)
}

/// Asserts that every store and the brokers answer.
fn assert_all_answer(sandbox: &Sandbox) {
    let status = sandbox.status();
    let stores = status["stores"].as_array().unwrap();
    for name in ["warehouse", "hot", "landing", "archive", "cache", "kafka"] {
        let store = stores.iter().find(|store| store["store"] == name);
        assert!(store.is_some_and(|store| store["healthy"] == true), "{name}: {status:#}");
    }
}

#[test]
fn everything_is_taken_in_once_over_tls() {
    let _services = use_services();
    let dataset = Dataset::simulate(10, 4, 13);
    let mut installation = Installation::new(3);
    let by_the_system = over_tls(&installation, None);
    installation.sandbox = over_tls(&installation, Some(&authority()));
    let sandbox = &installation.sandbox;
    let server = Server::start(sandbox, &[]);
    let sent = post(&agent(), &server.url, &dataset.bytes(), None).unwrap();
    assert_eq!(sent.status, 200, "{sent:?}");
    assert!(server.stop("TERM").success());
    sandbox.succeed(&["ingest", "--drain"]);
    sandbox.etl();
    installation.assert_exactly_once(&dataset, Sent::Once, "over TLS");
    sandbox.archive(&[]);
    installation.assert_exactly_once(&dataset, Sent::Once, "archived over TLS");
    assert_all_answer(sandbox);
    assert_all_answer(&by_the_system);
}

/// A mistake in the settings of one server, and a command that needs it. Its other stores are embedded.
struct Mistake {
    what: &'static str,
    variables: Variables,
    arguments: &'static [&'static str],
    /// What it has to say.
    says: &'static [&'static str],
}

const ETL: &[&str] = &["etl", "run"];
const INGEST: &[&str] = &["ingest", "events.ndjson"];
const DRAIN: &[&str] = &["ingest", "--drain"];
/// Succeeds without a cache.
const STATUS: &[&str] = &["status"];

fn warehouse_mistakes() -> Vec<Mistake> {
    let url = address("QUESTLAKE_TEST_POSTGRES_TLS_URL");
    let warehouse = |url: &str, ca: &str| {
        let options = format!("sslmode=verify-full&sslrootcert={ca}");
        vec![("QUESTLAKE_STORES_WAREHOUSE", with_options(url, &options))]
    };
    vec![
        Mistake {
            what: "PostgreSQL, another authority",
            variables: warehouse(&url, &other_authority()),
            arguments: ETL,
            says: &["warehouse (postgres://", "UnknownIssuer", "check sslrootcert"],
        },
        Mistake {
            what: "PostgreSQL, another name",
            variables: warehouse(&by_another_name(&url), &authority()),
            arguments: ETL,
            says: &["warehouse (postgres://", "not valid for name \"127.0.0.1\""],
        },
    ]
}

fn hot_mistakes() -> Vec<Mistake> {
    let url = address("QUESTLAKE_TEST_MONGODB_TLS_URL");
    let hot = |url: &str, ca: &str| {
        vec![("QUESTLAKE_STORES_HOT", with_options(url, &format!("tls=true&tlsCAFile={ca}")))]
    };
    vec![
        Mistake {
            what: "MongoDB, another authority",
            variables: hot(&url, &other_authority()),
            arguments: INGEST,
            says: &["hot store (mongodb://", "UnknownIssuer", "check tlsCAFile"],
        },
        Mistake {
            what: "MongoDB, another name",
            variables: hot(&by_another_name(&url), &authority()),
            arguments: INGEST,
            says: &["hot store (mongodb://", "not valid for name \"127.0.0.1\""],
        },
    ]
}

fn cache_mistakes() -> Vec<Mistake> {
    let url = address("QUESTLAKE_TEST_REDIS_TLS_URL");
    let cache =
        |url: &str, ca| vec![("QUESTLAKE_STORES_CACHE", url.to_owned()), ("SSL_CERT_FILE", ca)];
    vec![
        Mistake {
            what: "Redis, another authority",
            variables: cache(&url, other_authority()),
            arguments: STATUS,
            says: &["cache (rediss://", "UnknownIssuer"],
        },
        Mistake {
            what: "Redis, another name",
            variables: cache(&by_another_name(&url), authority()),
            arguments: STATUS,
            says: &["cache (rediss://", "not valid for name \"127.0.0.1\""],
        },
    ]
}

fn kafka_mistakes() -> Vec<Mistake> {
    let brokers = address("QUESTLAKE_TEST_KAFKA_TLS_BROKERS");
    let password = address("QUESTLAKE_TEST_KAFKA_PASSWORD");
    let right = kafka(brokers.clone(), password.clone());
    let with = |variable, value: &str| [&right[..], &[(variable, value.to_owned())]].concat();
    let mut plain = with("QUESTLAKE_KAFKA_SECURITY", "plaintext");
    plain.retain(|(variable, _)| !variable.contains("_SASL_"));
    vec![
        Mistake {
            what: "Kafka, another authority",
            variables: with("QUESTLAKE_KAFKA_CA_FILE", &other_authority()),
            arguments: DRAIN,
            says: &["Kafka (localhost:", "certificate verify failed", "check kafka.ca_file"],
        },
        Mistake {
            what: "Kafka, another name",
            variables: kafka(by_another_name(&brokers), password),
            arguments: DRAIN,
            says: &["Kafka (127.0.0.1:", "certificate verify failed", "has its name"],
        },
        Mistake {
            what: "Kafka, another password",
            variables: with("QUESTLAKE_KAFKA_SASL_PASSWORD", WRONG_PASSWORD),
            arguments: DRAIN,
            says: &["Kafka (localhost:", "SASL authentication error", "check kafka.sasl_user"],
        },
        Mistake {
            what: "Kafka, no TLS",
            variables: plain,
            arguments: DRAIN,
            says: &["Kafka (localhost:", "Disconnected", "kafka.security is what they expect"],
        },
    ]
}

#[test]
fn every_mistake_is_named() {
    let _services = use_services();
    let secrets = [address("QUESTLAKE_TEST_KAFKA_PASSWORD"), WRONG_PASSWORD.to_owned()];
    let dataset = Dataset::simulate(3, 2, 3);
    let mut started = Vec::new();
    let mistakes = [warehouse_mistakes(), hot_mistakes(), cache_mistakes(), kafka_mistakes()];
    for mistake in mistakes.into_iter().flatten() {
        // A file that is named counts, not what the system trusts.
        let sandbox = Sandbox::new().with_variables(&[("SSL_CERT_FILE", authority())]);
        let sandbox = sandbox.with_variables(&mistake.variables);
        sandbox.write("events.ndjson", dataset.bytes());
        let running = Running::start(&mut sandbox.command(mistake.arguments));
        // The sandbox stays as long as its command runs.
        started.push((mistake, running, sandbox));
    }
    let mut unclear: Vec<(&str, Finished)> = Vec::new();
    for (mistake, running, _sandbox) in started {
        let finished = running.finish_within(PATIENCE);
        let text = finished.text();
        let is_shown = secrets.iter().any(|secret| text.contains(secret));
        let is_said = mistake.says.iter().all(|part| text.contains(part));
        let has_failed = !finished.status.success();
        if has_failed != (mistake.arguments != STATUS) || is_shown || !is_said {
            unclear.push((mistake.what, finished));
        }
    }
    assert!(unclear.is_empty(), "{unclear:#?}");
}
