//! The typed settings of Kafka, and what cannot be among them.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use super::error::SettingError;
use super::store_url::MASK;
use super::typed::{InForce, Values};
use super::values::Secret;

/// Names that the embedded queues have in the ledger: a topic of such a name would share their
/// positions.
const QUEUE_NAMES: &[&str] = &["http", "replay", "stdin"];

/// The Kafka cluster that events come over.
#[derive(Debug, Clone)]
pub struct KafkaSettings {
    /// Hosts and ports of brokers, at least one.
    pub brokers: Vec<String>,
    /// Topic of the events.
    pub topic: String,
    /// Consumer group.
    pub group: String,
    /// Partitions of the topic if it is to be created, at least 1.
    pub partitions: u16,
    /// Copies of the topic if it is to be created; absent where the size of the cluster decides.
    pub replication: Option<u16>,
    /// How the group shares partitions out.
    pub assignor: KafkaAssignor,
    /// Compression of records that are sent: `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub compression: &'static str,
    /// How brokers are spoken to.
    pub security: KafkaSecurity,
    /// Longest wait for an answer.
    pub request_timeout: Duration,
    /// Longest time until a record is acknowledged.
    pub delivery_timeout: Duration,
    /// Silence after which a member has left its group.
    pub session_timeout: Duration,
    /// Time without a look at Kafka after which a member counts as stuck.
    pub poll_timeout: Duration,
}

/// How a consumer group shares partitions out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KafkaAssignor {
    /// Only the partitions that change hands stop.
    CooperativeSticky,
    /// All partitions stop, and are shared out anew.
    Range,
}

impl KafkaAssignor {
    /// Its name in Kafka.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::CooperativeSticky => "cooperative-sticky",
            Self::Range => "range",
        }
    }
}

/// How brokers are spoken to.
#[derive(Debug, Clone)]
pub struct KafkaSecurity {
    /// `plaintext`, `ssl`, `sasl_plaintext` or `sasl_ssl`.
    pub protocol: &'static str,
    /// `PLAIN`, `SCRAM-SHA-256` or `SCRAM-SHA-512`.
    pub sasl_mechanism: &'static str,
    /// Name for SASL.
    pub sasl_user: String,
    /// Password for SASL.
    pub sasl_password: Option<Secret>,
    /// Certificates by which brokers are known; absent for those of the system.
    pub ca_file: Option<PathBuf>,
    /// Certificate of this client.
    pub cert_file: Option<PathBuf>,
    /// Private key of that certificate.
    pub key_file: Option<PathBuf>,
    /// Password of the private key.
    pub key_password: Option<Secret>,
}

impl KafkaSecurity {
    /// Whether a name and a password are asked for.
    pub fn uses_sasl(&self) -> bool {
        self.protocol.starts_with("sasl")
    }

    /// Whether the connection is encrypted.
    pub fn uses_tls(&self) -> bool {
        self.protocol.ends_with("ssl")
    }

    /// The files that are used for that, by the names of their settings.
    fn files(&self) -> [(&'static str, &Option<PathBuf>); 3] {
        [
            ("kafka.ca_file", &self.ca_file),
            ("kafka.cert_file", &self.cert_file),
            ("kafka.key_file", &self.key_file),
        ]
    }
}

impl KafkaSettings {
    /// The cluster, unless no broker is named.
    pub(super) fn from_values(values: &Values<'_>) -> Option<Self> {
        let brokers = values.addresses("kafka.brokers");
        if brokers.is_empty() {
            return None;
        }
        let count = |name| u16::try_from(values.count(name)).unwrap_or(u16::MAX);
        Some(Self {
            brokers,
            topic: values.text("kafka.topic"),
            group: values.text("kafka.group"),
            partitions: count("kafka.partitions"),
            replication: Some(count("kafka.replication")).filter(|copies| *copies > 0),
            assignor: match values.word("kafka.assignor") {
                "range" => KafkaAssignor::Range,
                _ => KafkaAssignor::CooperativeSticky,
            },
            compression: values.word("kafka.compression"),
            security: security(values),
            request_timeout: values.duration("kafka.request_timeout"),
            delivery_timeout: values.duration("kafka.delivery_timeout"),
            session_timeout: values.duration("kafka.session_timeout"),
            poll_timeout: values.duration("kafka.poll_timeout"),
        })
    }

    /// How messages name the cluster.
    pub fn name(&self) -> String {
        format!("Kafka ({})", self.brokers.join(","))
    }
}

fn security(values: &Values<'_>) -> KafkaSecurity {
    KafkaSecurity {
        protocol: values.word("kafka.security"),
        sasl_mechanism: values.word("kafka.sasl_mechanism"),
        sasl_user: values.text("kafka.sasl_user"),
        sasl_password: values.secret("kafka.sasl_password"),
        ca_file: values.file("kafka.ca_file"),
        cert_file: values.file("kafka.cert_file"),
        key_file: values.file("kafka.key_file"),
        key_password: values.secret("kafka.key_password"),
    }
}

/// What is wrong with valid values beside each other.
pub(super) fn mistakes(in_force: &[InForce], values: &Values<'_>) -> Vec<SettingError> {
    let mut mistakes = Vec::new();
    let topic = values.text("kafka.topic");
    let is_dots = topic == "." || topic == "..";
    if is_dots || QUEUE_NAMES.contains(&topic.as_str()) {
        let entry = in_force.iter().find(|entry| entry.spec.name == "kafka.topic");
        let reason = if is_dots {
            "Kafka has no topic of that name"
        } else {
            "an embedded queue has that name; choose another"
        };
        mistakes.extend(entry.map(|entry| SettingError::Invalid {
            origin: entry.origin.clone(),
            name: "kafka.topic".to_string(),
            value: topic,
            reason: reason.to_string(),
        }));
    }
    let security = security(values);
    let mut need = |is_missing: bool, needed: &'static str, reason: &str| {
        if is_missing {
            mistakes.push(SettingError::Incomplete {
                name: "kafka.security",
                value: security.protocol.to_string(),
                needed,
                reason: reason.to_string(),
            });
        }
    };
    if security.uses_sasl() {
        need(security.sasl_user.is_empty(), "kafka.sasl_user", "set the name to log in with");
        need(
            security.sasl_password.is_none(),
            "kafka.sasl_password",
            "set QUESTLAKE_KAFKA_SASL_PASSWORD, or name a file with `kafka.sasl_password_file`",
        );
    }
    if security.uses_tls() && security.cert_file.is_some() {
        need(
            security.key_file.is_none(),
            "kafka.key_file",
            "name the private key of the certificate",
        );
    }
    if !values.addresses("kafka.brokers").is_empty() {
        mistakes.extend(unused(in_force, &security));
        mistakes.extend(unreadable(in_force, &security));
    }
    mistakes
}

/// Settings that have no effect with `kafka.security` as it is: whoever has set one believes that
/// the connection is encrypted, or that the brokers know who calls.
fn unused(in_force: &[InForce], security: &KafkaSecurity) -> Vec<SettingError> {
    let protocol = security.protocol;
    let mut found = Vec::new();
    let mut refuse = |name: &str, value: String, wanted: &str| {
        let origin = in_force.iter().find(|entry| entry.spec.name == name);
        found.extend(origin.map(|entry| SettingError::Invalid {
            origin: entry.origin.clone(),
            name: name.to_owned(),
            value,
            reason: format!(
                "it has no effect with kafka.security `{protocol}`; set that to {wanted}"
            ),
        }));
    };
    if !security.uses_tls() {
        for (name, file) in security.files() {
            if let Some(file) = file {
                refuse(name, file.display().to_string(), "`ssl` or `sasl_ssl`");
            }
        }
    }
    if !security.uses_sasl() {
        let wanted = "`sasl_ssl` or `sasl_plaintext`";
        if !security.sasl_user.is_empty() {
            refuse("kafka.sasl_user", security.sasl_user.clone(), wanted);
        }
        if security.sasl_password.is_some() {
            refuse("kafka.sasl_password", MASK.to_owned(), wanted);
        }
    }
    found
}

/// Files that cannot be read: the client would say no more than that something is wrong with one of
/// them.
fn unreadable(in_force: &[InForce], security: &KafkaSecurity) -> Vec<SettingError> {
    if !security.uses_tls() {
        return Vec::new();
    }
    let mistake = |(name, file): (&str, &Option<PathBuf>)| {
        let file = file.as_ref()?;
        let error = File::open(file).err()?;
        let entry = in_force.iter().find(|entry| entry.spec.name == name)?;
        Some(SettingError::Invalid {
            origin: entry.origin.clone(),
            name: name.to_owned(),
            value: file.display().to_string(),
            reason: format!("it cannot be read: {error}"),
        })
    };
    security.files().into_iter().filter_map(mistake).collect()
}
