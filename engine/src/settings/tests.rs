use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::layers::gather;
use super::render::render;
use super::typed::validate;
use super::*;

/// Options as from a current folder with this settings file, if any.
struct Given {
    folder: tempfile::TempDir,
    options: LoadOptions,
}

fn given(file: Option<&str>) -> Given {
    let folder = tempfile::tempdir().unwrap();
    if let Some(text) = file {
        std::fs::write(folder.path().join(SETTINGS_FILE), text).unwrap();
    }
    let options =
        LoadOptions { current_dir: folder.path().to_path_buf(), ..LoadOptions::default() };
    Given { folder, options }
}

impl Given {
    fn variable(mut self, name: &str, value: &str) -> Self {
        self.options.environment.push((name.to_string(), value.to_string()));
        self
    }

    fn flag(mut self, name: &str, value: &str) -> Self {
        self.options.flags.push((name.to_string(), value.to_string()));
        self
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn load(&self) -> Settings {
        Settings::load(self.options.clone()).unwrap()
    }

    fn mistakes(&self) -> Vec<String> {
        let errors = Settings::load(self.options.clone()).unwrap_err().errors;
        errors.iter().map(ToString::to_string).collect()
    }

    fn mistake(&self) -> String {
        let mistakes = self.mistakes();
        assert_eq!(mistakes.len(), 1, "{mistakes:#?}");
        mistakes[0].clone()
    }
}

#[test]
fn without_configuration_everything_is_embedded_under_data() {
    let given = given(None);
    let settings = given.load();
    assert_eq!(settings.data, given.path("data"));
    assert_eq!(settings.project, given.folder.path());
    assert_eq!(settings.stores.hot, StoreUrl::Sqlite(given.path("data/hot.db")));
    assert_eq!(settings.stores.warehouse, StoreUrl::Sqlite(given.path("data/warehouse.db")));
    assert_eq!(settings.stores.landing, StoreUrl::File(given.path("data/landing")));
    assert_eq!(settings.ingest.batch_records, 100_000);
    assert_eq!(settings.ingest.batch_bytes.bytes(), 64 << 20);
    assert_eq!(settings.ingest.batch_wait, Duration::from_millis(200));
    assert_eq!(settings.ingest.max_record.bytes(), 1 << 20);
    assert_eq!(settings.ingest.max_future, Duration::from_secs(24 * 3600));
    assert_eq!(settings.ingest.queue_bytes.bytes(), 128 << 20);
    assert!(settings.ingest.decode_threads >= 1);
    assert_eq!(settings.ingest.landing_compression, LandingCompression::None);
    assert_eq!(settings.collector.listen, "127.0.0.1:8080");
    assert_eq!(settings.collector.body_limit.bytes(), 32 << 20);
    assert_eq!(settings.collector.request_timeout, Duration::from_secs(30));
    assert_eq!(settings.engine.memory_limit.bytes(), 512 << 20);
    assert!(settings.engine.threads >= 1);
    assert_eq!(settings.engine.spill_dir, given.path("data/spill"));
    assert_eq!(settings.engine.model_parallelism, None);
    assert_eq!(settings.engine.timeout, None);
    assert_eq!(settings.stores.cache, StoreUrl::Memory);
    assert_eq!(settings.cache.memory_limit.bytes(), 64 << 20);
    assert_eq!(settings.cache.tables_limit.bytes(), 64 << 20);
    assert_eq!(settings.cache.timeout, Duration::from_millis(250));
    assert_eq!(settings.log.level, LogLevel::Info);
    assert_eq!(settings.log.format, LogFormat::Text);
    assert_eq!(settings.file, None);
}

#[test]
fn every_setting_reaches_its_field() {
    let settings = given(Some(
        r#"
        data = "d"
        project = "p"
        [stores]
        hot = "sqlite://h.db"
        warehouse = "sqlite:///w.db"
        landing = "file://l"
        [ingest]
        batch_records = 1_000
        batch_bytes = 65536
        batch_wait = "1s"
        max_record = "2KiB"
        max_future = "1h"
        queue_bytes = 0x2000000
        "#,
    ))
    .flag("ingest.decode_threads", "3")
    .flag("ingest.landing_compression", "lz4")
    .flag("collector.listen", "[::1]:0")
    .flag("collector.body_limit", "1MiB")
    .flag("collector.request_timeout", "5s")
    .flag("engine.memory_limit", "1GiB")
    .flag("engine.threads", "5")
    .flag("engine.spill_dir", "/spill")
    .flag("engine.model_parallelism", "2")
    .flag("engine.timeout", "10m")
    .flag("stores.cache", "rediss://:p@redis/1")
    .flag("cache.memory_limit", "1MiB")
    .flag("cache.tables_limit", "2MiB")
    .flag("cache.timeout", "1s")
    .flag("log.level", "TRACE")
    .flag("log.format", "json")
    .load();
    assert!(settings.data.ends_with("d"));
    assert!(settings.project.ends_with("p"));
    assert_eq!(settings.stores.hot, StoreUrl::Sqlite(settings.data.join("h.db")));
    assert_eq!(settings.stores.warehouse, StoreUrl::Sqlite("/w.db".into()));
    assert_eq!(settings.stores.landing, StoreUrl::File(settings.data.join("l")));
    assert_eq!(settings.ingest.batch_records, 1_000);
    assert_eq!(settings.ingest.batch_bytes.bytes(), 65_536);
    assert_eq!(settings.ingest.batch_wait, Duration::from_secs(1));
    assert_eq!(settings.ingest.max_record.bytes(), 2_048);
    assert_eq!(settings.ingest.max_future, Duration::from_secs(3_600));
    assert_eq!(settings.ingest.queue_bytes.bytes(), 0x0200_0000);
    assert_eq!(settings.ingest.decode_threads, 3);
    assert_eq!(settings.ingest.landing_compression, LandingCompression::Lz4);
    assert_eq!(settings.collector.listen, "[::1]:0");
    assert_eq!(settings.collector.body_limit.bytes(), 1 << 20);
    assert_eq!(settings.collector.request_timeout, Duration::from_secs(5));
    assert_eq!(settings.engine.memory_limit.bytes(), 1 << 30);
    assert_eq!(settings.engine.threads, 5);
    assert_eq!(settings.engine.spill_dir, Path::new("/spill"));
    assert_eq!(settings.engine.model_parallelism, NonZeroUsize::new(2));
    assert_eq!(settings.engine.timeout, Some(Duration::from_secs(600)));
    assert_eq!(settings.stores.cache, StoreUrl::Redis(ServerUrl::new("rediss://:p@redis/1")));
    assert_eq!(settings.cache.memory_limit.bytes(), 1 << 20);
    assert_eq!(settings.cache.tables_limit.bytes(), 2 << 20);
    assert_eq!(settings.cache.timeout, Duration::from_secs(1));
    assert_eq!(settings.log.level, LogLevel::Trace);
    assert_eq!(settings.log.format, LogFormat::Json);
}

#[test]
fn every_log_level_is_read() {
    for word in ["off", "error", "warn", "info", "debug", "trace"] {
        assert_eq!(given(None).flag("log.level", word).load().log.level.as_str(), word);
    }
}

#[test]
fn flags_win_over_variables_and_those_over_the_file() {
    let file = "[engine]\nmemory_limit = \"100MiB\"\nthreads = 7\ntimeout = \"1m\"\n";
    let settings = given(Some(file))
        .variable("QUESTLAKE_ENGINE_MEMORY_LIMIT", "200MiB")
        .variable("QUESTLAKE_ENGINE_THREADS", "8")
        .variable("QUESTLAKE_INGEST_BATCH_WAIT", "")
        .variable("HOME", "/root")
        .flag("engine.memory_limit", "300MiB")
        .load();
    assert_eq!(settings.engine.memory_limit.bytes(), 300 << 20);
    assert_eq!(settings.engine.threads, 8);
    assert_eq!(settings.engine.timeout, Some(Duration::from_secs(60)));
    let rendered = settings.render();
    let origin = |key: &str| {
        let line = rendered.lines().find(|line| line.starts_with(&format!("{key} = "))).unwrap();
        line.split_once("  # ").unwrap().1.to_string()
    };
    assert_eq!(origin("memory_limit"), "--engine-memory-limit");
    assert_eq!(origin("threads"), "QUESTLAKE_ENGINE_THREADS");
    assert_eq!(origin("timeout"), "questlake.toml:4");
    assert_eq!(origin("batch_wait"), "default");
}

#[test]
fn relative_paths_start_where_they_are_written() {
    let mut given = given(None);
    std::fs::create_dir_all(given.path("etc")).unwrap();
    let text = "data = \"../store\"\nproject = \"game\"\n";
    std::fs::write(given.path("etc/questlake.toml"), text).unwrap();
    given.options.file = Some("etc/questlake.toml".into());
    let settings = given.load();
    assert_eq!(settings.data, given.path("etc/../store"));
    assert_eq!(settings.project, given.path("etc/game"));
    assert_eq!(settings.stores.hot, StoreUrl::Sqlite(given.path("etc/../store/hot.db")));
    assert_eq!(settings.file, Some(given.path("etc/questlake.toml")));
    let given = given.flag("data", "./mine").variable("QUESTLAKE_PROJECT", "other");
    let settings = given.load();
    assert_eq!(settings.data, given.path("mine"));
    assert_eq!(settings.project, given.path("other"));
    assert!(settings.render().contains("# --data\n"));
}

#[test]
fn a_projects_own_file_and_data_are_found() {
    let given = given(Some("[engine]\nthreads = 1\n")).flag("project", "game");
    std::fs::create_dir(given.path("game")).unwrap();
    let without_file = given.load();
    assert_eq!(without_file.file, None);
    assert_eq!(without_file.data, given.path("game/data"));
    std::fs::write(given.path("game/questlake.toml"), "[engine]\nthreads = 9\n").unwrap();
    let with_file = given.load();
    assert_eq!(with_file.engine.threads, 9);
    assert_eq!(with_file.project, given.path("game"));
    assert_eq!(with_file.data, without_file.data);
}

#[test]
fn a_variable_can_name_the_file() {
    let given = given(None).variable("QUESTLAKE_CONFIG", "other.toml");
    assert!(given.mistake().starts_with("QUESTLAKE_CONFIG: cannot read `"), "{}", given.mistake());
    std::fs::write(given.path("other.toml"), "[engine]\nthreads = 9\n").unwrap();
    assert_eq!(given.load().engine.threads, 9);
}

#[test]
fn a_named_file_must_exist() {
    let mut given = given(None);
    given.options.file = Some("missing.toml".into());
    let mistake = given.mistake();
    assert!(mistake.starts_with("--config: cannot read `"), "{mistake}");
    assert!(mistake.contains("missing.toml"), "{mistake}");
}

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    let file = "dat = \"x\"\n\n[engine]\nmemory_limt = \"1GiB\"\nbatch_wait = \"1s\"\n\n[engin]\nthreads = 2\n\n[nonsense]\n";
    let given = given(Some(file))
        .variable("QUESTLAKE_ENGINE_MEMORY_LIMITS", "1GiB")
        .variable("QUESTLAKE_LOG", "debug")
        .variable("QUESTLAKE_FAILPOINTS", "x")
        .variable("QUESTLAKE_WEATHER", "fine");
    assert_eq!(
        given.mistakes(),
        [
            "questlake.toml:1:1: there is no setting `dat`; did you mean `data`?",
            "questlake.toml:4:1: there is no setting `engine.memory_limt`; did you mean `engine.memory_limit`?",
            "questlake.toml:5:1: there is no setting `engine.batch_wait`; did you mean `ingest.batch_wait`?",
            "questlake.toml:8:1: there is no setting `engin.threads`; did you mean `engine.threads`?",
            "questlake.toml:10:2: there is no setting `nonsense`",
            "QUESTLAKE_ENGINE_MEMORY_LIMITS: there is no setting `QUESTLAKE_ENGINE_MEMORY_LIMITS`; did you mean `QUESTLAKE_ENGINE_MEMORY_LIMIT`?",
            "QUESTLAKE_WEATHER: there is no setting `QUESTLAKE_WEATHER`",
        ]
    );
}

#[test]
fn all_mistakes_of_all_layers_are_reported_at_once() {
    let file = "data = 5\nengine = 3\n[ingest]\nbatch_records = \"many\"\nbatch_wait = [1]\n[stores]\nhot = \"kafka://user:secret@host/db\"\n[log.level]\nx = 1\n";
    let given = given(Some(file))
        .variable("QUESTLAKE_ENGINE_THREADS", "-1")
        .flag("ingest.max_future", "1000d")
        .flag("collector.listen", "postgres://user:secret@host:99999");
    let mistakes = given.mistakes();
    assert_eq!(
        mistakes,
        [
            "questlake.toml:2:10: `engine` is an integer, but should be a section: [engine]",
            "questlake.toml:1:8: `data` is an integer, but should be a string such as \"/var/lib/questlake\"",
            "questlake.toml:5:14: `ingest.batch_wait` is an array, but should be a string such as \"200ms\"",
            "questlake.toml:8:1: `log.level` is a table, but should be a string such as \"debug\"",
            "questlake.toml:7:7: `stores.hot`: store `kafka://user:***@host/db` is not supported by this build; supported: sqlite://, mongodb://, mongodb+srv://",
            "questlake.toml:4:17: `ingest.batch_records` cannot be `many`: it must be a whole number from 1 to 10000000 (for example `100000`)",
            "--ingest-max-future: `ingest.max_future` cannot be `1000d`: it must be from 0 to 366d (for example `24h`)",
            "--collector-listen: `collector.listen` cannot be `postgres://user:***@host:99999`: `99999` is not a port (for example `0.0.0.0:8080`)",
            "QUESTLAKE_ENGINE_THREADS: `engine.threads` cannot be `-1`: it must be a whole number from 0 to 1024 (for example `4`)",
        ]
    );
    let all = Settings::load(given.options.clone()).unwrap_err().to_string();
    assert!(all.starts_with("9 mistakes in the settings:\n  questlake.toml:2:10: "), "{all}");
}

#[test]
fn broken_toml_is_reported_by_line_and_column_without_its_text() {
    let mistakes =
        given(Some("data = \"a\"\nhot = \"mongodb://u:secret@h\" x\n[broken\n")).mistakes();
    assert!(mistakes.len() >= 2, "{mistakes:#?}");
    assert!(mistakes[0].starts_with("questlake.toml:2:"), "{mistakes:#?}");
    assert!(!mistakes.concat().contains("secret"), "{mistakes:#?}");
    let mistake = given(Some("data = \"a\"\ndata = \"b\"\n")).mistake();
    assert!(mistake.starts_with("questlake.toml:2:1: "), "{mistake}");
}

#[test]
fn columns_count_characters() {
    let mistake = given(Some("[ingest]\n\"ä\" = 1\n")).mistake();
    assert!(mistake.starts_with("questlake.toml:2:1: there is no setting `ingest.ä`"), "{mistake}");
    let mistake = given(Some("ingest = { \"ä\" = 1 , batch_wait = 5 }\n"));
    assert!(mistake.mistakes()[1].starts_with("questlake.toml:1:35: "), "{:?}", mistake.mistakes());
}

#[test]
fn contradictions_are_refused() {
    let given = given(None).flag("ingest.queue_bytes", "16MiB");
    assert_eq!(
        given.mistakes(),
        [
            "`ingest.batch_bytes` (64MiB) cannot be larger than `ingest.queue_bytes` (16MiB): a full micro-batch must fit into the queue",
            "`collector.body_limit` (32MiB) cannot be larger than `ingest.queue_bytes` (16MiB): the largest request must fit into the queue",
        ]
    );
}

#[test]
fn what_is_rendered_can_be_used_again() {
    let given = given(Some("data = \"da\\\"ta \\\\ ü\"\n[ingest]\nmax_future = \"90m\"\n"))
        .flag("ingest.decode_threads", "3");
    let rendered = given.load().render();
    assert!(rendered.contains("max_future = \"1h30m\""), "{rendered}");
    let rendered_again = tests::given(Some(&rendered)).load().render();
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap().trim().to_string()).collect()
    };
    assert_eq!(values(&rendered), values(&rendered_again));
    let from_file = |line: &&str| line.contains(" = ") && !line.contains("# questlake.toml:");
    assert_eq!(rendered_again.lines().find(from_file), None);
}

/// The file in the root of the repository says what is so anyway.
#[test]
fn the_commented_file_has_every_setting_with_its_default() {
    let commented = include_str!("../../../questlake.toml");
    let given = given(Some(commented));
    let by_default = given.load().render();
    assert!(!by_default.contains("# questlake.toml:"), "{by_default}");
    let in_full: Vec<&str> = commented.lines().filter_map(|line| line.strip_prefix("# ")).collect();
    let in_full = in_full.into_iter().filter(|line| line.starts_with('[') || line.contains(" = "));
    let in_full = in_full.collect::<Vec<_>>().join("\n");
    std::fs::write(given.path(SETTINGS_FILE), in_full).unwrap();
    let in_full = given.load().render();
    let values = |text: &str| -> Vec<String> {
        let value = |line: &str| line.split("  # ").next().unwrap().trim().replace("/.\"", "\"");
        text.lines().map(value).collect()
    };
    assert_eq!(values(&by_default), values(&in_full));
    let from_file = |line: &&str| line.contains(" = ") && !line.contains("# questlake.toml:");
    assert_eq!(in_full.lines().find(from_file), None);
}

#[test]
fn names_are_unique_and_defaults_and_examples_valid() {
    let table = settings_table();
    for (index, spec) in table.iter().enumerate() {
        for other in &table[..index] {
            assert_ne!(spec.environment_variable(), other.environment_variable());
            assert_ne!(spec.flag(), other.flag());
        }
        let example = given(None);
        let example = match spec.kind {
            // A flag names the file that holds the secret.
            SettingKind::Secret => {
                std::fs::write(example.path("secret"), "hunter2").unwrap();
                example.flag(&spec.flag_setting(), "secret")
            }
            _ => example.flag(spec.name, spec.example),
        };
        assert!(example.load().render().contains(&format!("# --{}\n", spec.flag())));
        assert!(!spec.help.ends_with('.'));
    }
}

#[test]
fn the_urls_of_servers_are_shown_without_their_passwords() {
    let given = given(None).variable("QUESTLAKE_STORES_HOT", "mongodb://anna:s3cret@db/game");
    let settings = given.load();
    assert_eq!(
        settings.stores.hot,
        StoreUrl::MongoDb(ServerUrl::new("mongodb://anna:s3cret@db/game"))
    );
    let shown = format!("{}{settings:?}", settings.render());
    assert!(shown.contains("mongodb://anna:***@db/game"), "{shown}");
    assert!(!shown.contains("s3cret"), "{shown}");
}

#[test]
fn kafka_is_there_when_brokers_are_named() {
    assert!(given(None).load().kafka.is_none());
    let given = given(Some(
        "[kafka]\nbrokers = \"a:9092, [::1]:9093\"\nassignor = \"range\"\nca_file = \"ca.pem\"\n",
    ))
    .flag("kafka.security", "SASL_SSL")
    .flag("kafka.sasl_user", "me")
    .flag("kafka.replication", "2")
    .variable("QUESTLAKE_KAFKA_SASL_PASSWORD", "hunter2");
    std::fs::write(given.path("ca.pem"), "").unwrap();
    let settings = given.load();
    assert!(!settings.render().contains("hunter2"));
    let kafka = settings.kafka.unwrap();
    assert_eq!(kafka.name(), "Kafka (a:9092,[::1]:9093)");
    assert_eq!((kafka.topic.as_str(), kafka.group.as_str()), ("events", "questlake"));
    assert_eq!((kafka.partitions, kafka.replication), (6, Some(2)));
    assert_eq!(kafka.assignor, KafkaAssignor::Range);
    assert_eq!((kafka.security.protocol, kafka.compression), ("sasl_ssl", "lz4"));
    assert_eq!(kafka.security.ca_file, Some(given.path("ca.pem")));
    assert_eq!(kafka.security.cert_file, None);
    assert_eq!(kafka.security.sasl_password.as_ref().map(Secret::reveal), Some("hunter2"));
    assert!(!format!("{kafka:?}").contains("hunter2"));
    assert_eq!(kafka.session_timeout, Duration::from_secs(45));
}

#[test]
fn what_kafka_cannot_be_is_refused() {
    let mistake = given(None).flag("kafka.brokers", "a:9092,b").mistake();
    assert!(mistake.contains("cannot be `a:9092,b`: `b`: a port is missing"), "{mistake}");
    let mistake = given(None).flag("kafka.topic", "a/b").mistake();
    assert!(mistake.contains("it must be a name of 1 to 249 letters"), "{mistake}");
    let mistake = given(None).flag("kafka.topic", "http").mistake();
    assert!(mistake.contains("an embedded queue has that name"), "{mistake}");
    let with_certificate =
        given(None).flag("kafka.security", "sasl_ssl").flag("kafka.cert_file", "c.pem");
    std::fs::write(with_certificate.path("c.pem"), "").unwrap();
    assert_eq!(
        with_certificate.mistakes(),
        [
            "`kafka.security` (sasl_ssl) needs `kafka.sasl_user`: set the name to log in with",
            "`kafka.security` (sasl_ssl) needs `kafka.sasl_password`: set \
             QUESTLAKE_KAFKA_SASL_PASSWORD, or name a file with `kafka.sasl_password_file`",
            "`kafka.security` (sasl_ssl) needs `kafka.key_file`: name the private key of the \
             certificate",
        ]
    );
    let missing = given(None)
        .flag("kafka.brokers", "a:9092")
        .flag("kafka.security", "ssl")
        .flag("kafka.ca_file", "none.pem");
    let mistake = missing.mistake();
    assert!(mistake.contains("none.pem`: it cannot be read: No such file"), "{mistake}");
}

#[test]
fn what_would_protect_and_does_not_is_refused() {
    let kafka = || given(None).flag("kafka.brokers", "a:9092");
    let plain = kafka()
        .flag("kafka.ca_file", "ca.pem")
        .flag("kafka.sasl_user", "me")
        .variable("QUESTLAKE_KAFKA_SASL_PASSWORD", "hunter2");
    let mistakes = plain.mistakes();
    assert_eq!(mistakes.len(), 3, "{mistakes:?}");
    for (mistake, name) in mistakes.iter().zip(["ca_file", "sasl_user", "sasl_password"]) {
        assert!(mistake.contains(&format!("kafka.{name}")), "{mistake}");
        assert!(mistake.contains("no effect with kafka.security `plaintext`"), "{mistake}");
        assert!(!mistake.contains("hunter2"), "{mistake}");
    }
    let encrypted = kafka().flag("kafka.security", "ssl").flag("kafka.sasl_user", "me");
    let mistake = encrypted.mistake();
    assert!(mistake.contains("set that to `sasl_ssl`"), "{mistake}");
}

/// What Kubernetes tells a container of the service `questlake`.
#[test]
fn variables_of_a_service_are_no_settings() {
    for name in [
        "QUESTLAKE_SERVICE_HOST",
        "QUESTLAKE_SERVICE_PORT_HTTP",
        "QUESTLAKE_PORT",
        "QUESTLAKE_PORT_8080_TCP_ADDR",
    ] {
        given(None).variable(name, "tcp://10.0.0.1:8080").load();
    }
}

/// A table with a secret.
const SECRETIVE: &[SettingSpec] = &[SettingSpec {
    name: "warehouse.password",
    kind: SettingKind::Secret,
    default: "",
    help: "Password",
    example: "",
}];

/// What is rendered for the secret, the secret itself, and the mistakes.
fn load_secret(given: &Given) -> (String, Option<String>, Vec<String>) {
    let (raw, mut errors) = gather(SECRETIVE, &given.options);
    let in_force = validate(SECRETIVE, &raw, &given.options.current_dir, &mut errors);
    assert!(!format!("{in_force:?}").contains("hunter2"));
    let secret = in_force.first().and_then(|entry| match &entry.value {
        values::SettingValue::Secret { secret, .. } => secret.as_ref(),
        _ => None,
    });
    let secret = secret.map(|secret| secret.reveal().to_string());
    (render(&in_force), secret, errors.iter().map(ToString::to_string).collect())
}

#[test]
fn secrets_come_from_the_environment_or_a_file_and_are_not_shown() {
    let (rendered, secret, mistakes) = load_secret(&given(None));
    assert_eq!((secret, mistakes.len()), (None, 0));
    assert_eq!(rendered, "\n[warehouse]\n# password: secret, not shown  # default\n");

    let from_variable = given(None).variable("QUESTLAKE_WAREHOUSE_PASSWORD", " hunter2 ");
    let (rendered, secret, mistakes) = load_secret(&from_variable);
    assert_eq!((secret.as_deref(), mistakes.len()), (Some(" hunter2 "), 0));
    assert!(rendered.ends_with("# QUESTLAKE_WAREHOUSE_PASSWORD\n") && !rendered.contains("hunter"));

    let from_file = given(Some("[warehouse]\npassword_file = \"pw\"\n"));
    std::fs::write(from_file.path("pw"), "hunter2\n").unwrap();
    let (rendered, secret, mistakes) = load_secret(&from_file);
    assert_eq!((secret.as_deref(), mistakes.len()), (Some("hunter2"), 0));
    assert!(rendered.ends_with("# questlake.toml:2\n") && !rendered.contains("hunter"));
    // What is rendered can be used again, from another folder too.
    let (_, secret, mistakes) = load_secret(&given(Some(&rendered)));
    assert_eq!((secret.as_deref(), mistakes.len()), (Some("hunter2"), 0), "{rendered}");

    let nothing = given(Some("[warehouse]\npassword_file = \"\"\n"));
    let (_, secret, mistakes) = load_secret(&nothing);
    assert_eq!((secret, mistakes.len()), (None, 0));

    let missing = given(None).variable("QUESTLAKE_WAREHOUSE_PASSWORD_FILE", "pw");
    let (_, _, mistakes) = load_secret(&missing);
    assert!(mistakes[0].starts_with("QUESTLAKE_WAREHOUSE_PASSWORD_FILE: cannot read `"));
}

#[test]
fn misplaced_and_doubled_secrets_are_refused() {
    let in_file = given(Some("[warehouse]\npassword = \"hunter2\"\n"));
    let as_flag = given(None).flag("warehouse.password", "hunter2");
    for given in [in_file, as_flag] {
        let (_, _, mistakes) = load_secret(&given);
        assert!(mistakes[0].contains("is a secret: set QUESTLAKE_WAREHOUSE_PASSWORD"));
        assert!(!mistakes.concat().contains("hunter2"));
    }
    let twice = given(None)
        .variable("QUESTLAKE_WAREHOUSE_PASSWORD", "hunter2")
        .variable("QUESTLAKE_WAREHOUSE_PASSWORD_FILE", "pw");
    let (_, _, mistakes) = load_secret(&twice);
    assert!(mistakes[0].contains("QUESTLAKE_WAREHOUSE_PASSWORD sets it as well"), "{mistakes:?}");
    assert!(!mistakes.concat().contains("hunter2"));
    assert_eq!(SECRETIVE[0].flag(), "warehouse-password-file");
}
