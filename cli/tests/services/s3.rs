//! Landing and archive in a bucket: everything is there once; and for what is not in order each
//! command ends, names the bucket and says what is wrong. The run over TLS is beside those of the others.

use std::net::TcpListener;
use std::time::Duration;

use crate::dataset::Dataset;
use crate::inspect::Sent;
use crate::installation::{Installation, in_bucket};
use crate::sandbox::{Finished, Running, Sandbox};
use crate::services::{address, use_services};

/// Longest time for a command to give up: a request is made again for a minute, some commands need two.
const PATIENCE: Duration = Duration::from_secs(240);

const WRONG_SECRET: &str = "wrong-secret";

const LANDING: &str = "QUESTLAKE_STORES_LANDING";
const ARCHIVE: &str = "QUESTLAKE_STORES_ARCHIVE";

/// Settings of a command.
type Variables = Vec<(&'static str, String)>;

/// Takes events in in parts, with models and moves to the archive in between, and keeps its files.
#[test]
fn everything_is_in_the_bucket_once() {
    let _services = use_services();
    let installation = Installation::in_bucket(2);
    let dataset = Dataset::simulate(12, 6, 17);
    let sandbox = &installation.sandbox;
    let half = dataset.lines.len() / 2;
    for lines in [&dataset.lines[..half], &dataset.lines[half..]] {
        installation.topic.send_lines(lines);
        sandbox.succeed(&["ingest", "--drain"]);
        sandbox.etl();
        sandbox.archive(&[]);
    }
    installation.assert_exactly_once(&dataset, Sent::Once, "in a bucket");
    sandbox.archive(&["--optimize", "--vacuum", "--archive-vacuum-after", "0s"]);
    installation.assert_exactly_once(&dataset, Sent::Once, "optimized in a bucket");
    let status = sandbox.status();
    assert_eq!(status["accounting"]["adds_up"], true, "{status:#}");
    assert_eq!(status["archive"]["rows"], status["accounting"]["landed"], "{status:#}");
    assert_eq!(status["landing"]["segments"], 0, "{status:#}");
    let stores = status["stores"].as_array().unwrap();
    for name in ["landing", "archive"] {
        let store = stores.iter().find(|store| store["store"] == name).unwrap();
        assert_eq!(store["healthy"], true, "{status:#}");
        assert!(store["name"].as_str().unwrap().contains("s3://"), "{status:#}");
    }
    assert!(!status.to_string().contains(&secret()), "{status:#}");
}

/// Credentials, region and endpoint by the variables that other programs know too.
#[test]
fn what_the_url_does_not_say_comes_from_the_environment() {
    let _services = use_services();
    let bucket = address("QUESTLAKE_TEST_S3_URL");
    let (bare, _) = bucket.split_once('?').unwrap();
    let sandbox = Sandbox::new();
    // Its own folder has a name that nobody else has.
    let name = sandbox.path("").file_name().unwrap().to_str().unwrap().replace('.', "");
    let folder = in_bucket(bare, &name);
    let sandbox = sandbox.with_variables(&[
        (LANDING, format!("{folder}/landing")),
        (ARCHIVE, format!("{folder}/archive")),
        ("AWS_ACCESS_KEY_ID", option_of(&bucket, "access_key_id")),
        ("AWS_SECRET_ACCESS_KEY", secret()),
        ("AWS_REGION", option_of(&bucket, "region")),
        ("AWS_ENDPOINT_URL", option_of(&bucket, "endpoint")),
        ("AWS_ALLOW_HTTP", "true".to_owned()),
    ]);
    let dataset = Dataset::simulate(3, 2, 3);
    let events = sandbox.write("events.ndjson", dataset.bytes());
    sandbox.ingest(&[&events]);
    sandbox.etl();
    let report = sandbox.archive(&[]);
    assert!(report["pruned_segments"].as_u64().unwrap() > 0, "{report}");
    let rows = sandbox.query("SELECT count(*) AS events FROM events.envelope");
    assert_eq!(rows[0]["events"], dataset.truth.accounting.landed, "{rows:?}");
}

fn option_of(bucket: &str, wanted: &str) -> String {
    let (_, options) = bucket.split_once('?').unwrap();
    let found = options.split('&').find_map(|option| option.strip_prefix(&format!("{wanted}=")));
    found.unwrap().to_owned()
}

fn secret() -> String {
    option_of(&address("QUESTLAKE_TEST_S3_URL"), "secret_access_key")
}

/// The URL of a folder in a bucket, with another value of one option.
fn folder_with(bucket: &str, option: &str, value: &str) -> String {
    let known = option_of(bucket, option);
    let bucket = bucket.replacen(&format!("{option}={known}"), &format!("{option}={value}"), 1);
    in_bucket(&bucket, "mistakes")
}

/// A mistake in the settings, and what every command has to say of it.
struct Mistake {
    what: &'static str,
    url: String,
    variables: Variables,
    says: Vec<String>,
}

impl Mistake {
    fn new(what: &'static str, url: String, says: &[&str]) -> Self {
        let says = says.iter().map(|part| (*part).to_owned()).collect();
        Self { what, url, variables: Vec::new(), says }
    }
}

fn mistakes(silent: u16, gone: u16) -> Vec<Mistake> {
    let plain = address("QUESTLAKE_TEST_S3_URL");
    let with = |option: &str, value: &str| folder_with(&plain, option, value);
    let (location, options) = plain.split_once('?').unwrap();
    let (silent, gone) = (format!("http://127.0.0.1:{silent}"), format!("http://127.0.0.1:{gone}"));
    vec![
        Mistake::new(
            "another secret",
            with("secret_access_key", WRONG_SECRET),
            &["SignatureDoesNotMatch", "check access_key_id and secret_access_key"],
        ),
        Mistake::new(
            "an unknown key",
            with("access_key_id", "somebody"),
            &["InvalidAccessKeyId", "check access_key_id and secret_access_key"],
        ),
        Mistake::new(
            "another region",
            with("region", "eu-north-1"),
            &["AuthorizationHeaderMalformed", "check the bucket's region"],
        ),
        Mistake::new(
            "a bucket that is missing",
            in_bucket(&format!("{location}-that-nobody-has-made?{options}"), "mistakes"),
            &["NoSuchBucket", "make the bucket"],
        ),
        Mistake::new(
            "no encryption",
            with("allow_http", "false"),
            &["would not be encrypted", "allow_http=true"],
        ),
        Mistake::new(
            "nobody there",
            with("endpoint", &gone),
            &[gone.as_str(), "check that the store is up"],
        ),
        Mistake::new(
            "nobody who answers",
            with("endpoint", &silent),
            &[silent.as_str(), "check that the store is up"],
        ),
    ]
}

/// Such as are about who the server is, and who comes.
fn mistakes_of_identity(gone: u16) -> Vec<Mistake> {
    let (plain, tls) = (address("QUESTLAKE_TEST_S3_URL"), address("QUESTLAKE_TEST_S3_TLS_URL"));
    let by_another_name = option_of(&tls, "endpoint").replacen("localhost", "127.0.0.1", 1);
    let authority = |variable| vec![("SSL_CERT_FILE", address(variable))];
    let mut another_authority = Mistake::new(
        "another authority",
        in_bucket(&tls, "mistakes"),
        &["UnknownIssuer", "check that SSL_CERT_FILE"],
    );
    another_authority.variables = authority("QUESTLAKE_TEST_OTHER_CA");
    let mut another_name = Mistake::new(
        "another name",
        folder_with(&tls, "endpoint", &by_another_name),
        &["not valid for name \"127.0.0.1\"", "check that SSL_CERT_FILE"],
    );
    another_name.variables = authority("QUESTLAKE_TEST_CA");
    let keyless: Vec<&str> =
        plain.split('&').filter(|option| !option.contains("access_key")).collect();
    let mut no_credentials = Mistake::new(
        "no credentials",
        in_bucket(&keyless.join("&"), "mistakes"),
        &["set AWS_ACCESS_KEY_ID"],
    );
    // Nobody gives this machine a role.
    no_credentials.variables = vec![("AWS_METADATA_ENDPOINT", format!("http://127.0.0.1:{gone}"))];
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"] {
        no_credentials.variables.push((name, String::new()));
    }
    vec![another_authority, another_name, no_credentials]
}

#[test]
fn every_mistake_is_named() {
    let _services = use_services();
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let secrets = [secret(), WRONG_SECRET.to_owned()];
    let dataset = Dataset::simulate(3, 2, 3);
    let prepared = Sandbox::new();
    let events = prepared.write("events.ndjson", dataset.bytes());
    prepared.ingest(&[&events]);
    prepared.etl();
    let commands: [(&str, &'static str, &[&str]); 3] = [
        ("ingest", LANDING, &["ingest", "more.ndjson"]),
        ("archive", ARCHIVE, &["archive", "--archive-after", "0s", "--archive-grace", "0s"]),
        ("status", LANDING, &["status"]),
    ];
    let mut started = Vec::new();
    let mut all = mistakes(silent.local_addr().unwrap().port(), gone);
    all.extend(mistakes_of_identity(gone));
    for mistake in all {
        for (name, variable, arguments) in commands {
            let sandbox = Sandbox::copy_of(&prepared).with_variables(&mistake.variables);
            let sandbox = sandbox.with_variables(&[(variable, mistake.url.clone())]);
            sandbox.write("more.ndjson", Dataset::simulate(2, 2, 4).bytes());
            let running = Running::start(&mut sandbox.command(arguments));
            let what = format!("{}, {name}", mistake.what);
            // The sandbox stays as long as its command runs.
            started.push((what, mistake.says.clone(), running, sandbox));
        }
    }
    let mut unclear: Vec<(String, Finished)> = Vec::new();
    for (what, says, running, _sandbox) in started {
        let finished = running.finish_within(PATIENCE);
        let text = finished.text();
        let is_shown = secrets.iter().any(|secret| text.contains(secret));
        // `status` is a table, without the causes of a failure.
        let is_table = what.ends_with("status");
        let is_said =
            text.contains("s3://") && (is_table || says.iter().all(|part| text.contains(part)));
        if finished.status.success() || is_shown || !is_said {
            unclear.push((what, finished));
        }
    }
    assert!(unclear.is_empty(), "{unclear:#?}");
}
