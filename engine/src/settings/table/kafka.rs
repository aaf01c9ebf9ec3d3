//! The settings of the Kafka cluster that events come over.

use std::time::Duration;

use super::{SettingKind, SettingSpec};

/// From one tenth of a second to half an hour: time-outs that Kafka's clients take.
const TIMEOUT: SettingKind =
    SettingKind::Duration { least: Duration::from_millis(100), most: Duration::from_secs(30 * 60) };

pub(super) const SETTINGS: &[SettingSpec] = &[
    SettingSpec {
        name: "kafka.brokers",
        kind: SettingKind::Addresses,
        default: "",
        help: "Brokers to begin with; without any, events come in without Kafka",
        example: "kafka-1:9092,kafka-2:9092",
    },
    SettingSpec {
        name: "kafka.topic",
        kind: SettingKind::Name,
        default: "events",
        help: "Topic of the events",
        example: "game.events",
    },
    SettingSpec {
        name: "kafka.group",
        kind: SettingKind::Name,
        default: "questlake",
        help: "Consumer group in which the processes that ingest share the partitions",
        example: "questlake-eu",
    },
    SettingSpec {
        name: "kafka.partitions",
        kind: SettingKind::Count { least: 1, most: 10_000 },
        default: "6",
        help: "Partitions of the topic if it is to be created: as many processes can ingest at a time",
        example: "24",
    },
    SettingSpec {
        name: "kafka.replication",
        kind: SettingKind::Count { least: 0, most: 100 },
        default: "0",
        help: "Copies of the topic if it is to be created; 0 stands for 3, or one on each broker \
               where there are fewer",
        example: "3",
    },
    SettingSpec {
        name: "kafka.assignor",
        kind: SettingKind::Choice { words: &["cooperative-sticky", "range"] },
        default: "cooperative-sticky",
        help: "How the group shares partitions out; the same for all of its members",
        example: "range",
    },
    SettingSpec {
        name: "kafka.compression",
        kind: SettingKind::Choice { words: &["none", "gzip", "snappy", "lz4", "zstd"] },
        default: "lz4",
        help: "Compression of the records that are sent",
        example: "zstd",
    },
    SettingSpec {
        name: "kafka.security",
        kind: SettingKind::Choice { words: &["plaintext", "ssl", "sasl_plaintext", "sasl_ssl"] },
        default: "plaintext",
        help: "How brokers are spoken to: encrypted, with a name and password, or both",
        example: "ssl",
    },
    SettingSpec {
        name: "kafka.sasl_mechanism",
        kind: SettingKind::Choice { words: &["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] },
        default: "SCRAM-SHA-512",
        help: "How name and password are proven",
        example: "PLAIN",
    },
    SettingSpec {
        name: "kafka.sasl_user",
        kind: SettingKind::Text,
        default: "",
        help: "Name that Questlake has for the brokers",
        example: "questlake",
    },
    SettingSpec {
        name: "kafka.sasl_password",
        kind: SettingKind::Secret,
        default: "",
        help: "File with the password that goes with the name",
        example: "",
    },
    SettingSpec {
        name: "kafka.ca_file",
        kind: SettingKind::File,
        default: "",
        help: "Certificates (PEM) by which brokers are known; without it those of the system",
        example: "/etc/questlake/kafka-ca.pem",
    },
    SettingSpec {
        name: "kafka.cert_file",
        kind: SettingKind::File,
        default: "",
        help: "Certificate (PEM) by which the brokers know Questlake",
        example: "/etc/questlake/kafka-client.pem",
    },
    SettingSpec {
        name: "kafka.key_file",
        kind: SettingKind::File,
        default: "",
        help: "Private key (PEM) of that certificate",
        example: "/etc/questlake/kafka-client.key",
    },
    SettingSpec {
        name: "kafka.key_password",
        kind: SettingKind::Secret,
        default: "",
        help: "File with the password of the private key",
        example: "",
    },
    SettingSpec {
        name: "kafka.request_timeout",
        kind: TIMEOUT,
        default: "10s",
        help: "Longest wait for an answer of the brokers",
        example: "5s",
    },
    SettingSpec {
        name: "kafka.delivery_timeout",
        kind: TIMEOUT,
        default: "20s",
        help: "Longest time in which a record must have been acknowledged by all copies in sync",
        example: "10s",
    },
    SettingSpec {
        name: "kafka.session_timeout",
        kind: SettingKind::Duration {
            least: Duration::from_secs(1),
            most: Duration::from_secs(30 * 60),
        },
        default: "45s",
        help: "Silence after which the partitions of a process go to the others",
        example: "10s",
    },
    SettingSpec {
        name: "kafka.poll_timeout",
        kind: SettingKind::Duration {
            least: Duration::from_secs(10),
            most: Duration::from_secs(24 * 60 * 60),
        },
        default: "5m",
        help: "Time without a look at Kafka after which a process that lives counts as stuck",
        example: "10m",
    },
];
