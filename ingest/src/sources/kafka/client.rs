//! What all clients of the cluster have in common: how brokers are reached, where log lines go, and
//! what errors mean.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use questlake_engine::settings::KafkaSettings;
use questlake_engine::stores::error::{StoreError, StoreErrorKind};
use rdkafka::client::ClientContext;
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use tracing::{debug, error, info, trace, warn};

/// Name by which brokers know this program in their logs and quotas.
const CLIENT_ID: &str = "questlake";

/// Longest wait between two attempts to reach a broker.
const RECONNECT_WAIT: Duration = Duration::from_secs(2);

/// Least time for a connection to be set up that the client takes.
const LEAST_SETUP: Duration = Duration::from_secs(1);

/// Longest wait for an answer that the client takes.
pub(super) const MOST_SOCKET_TIME: Duration = Duration::from_secs(300);

/// Settings of every client.
pub(super) fn common_config(settings: &KafkaSettings) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", settings.brokers.join(","))
        .set("client.id", CLIENT_ID)
        .set("socket.timeout.ms", millis(settings.request_timeout.min(MOST_SOCKET_TIME)))
        .set(
            "socket.connection.setup.timeout.ms",
            millis(settings.request_timeout.max(LEAST_SETUP)),
        )
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.max.ms", millis(RECONNECT_WAIT))
        // A topic comes into being with the partitions that the settings say, or not at all.
        .set("allow.auto.create.topics", "false")
        .set_log_level(RDKafkaLogLevel::Info);
    let security = &settings.security;
    config.set("security.protocol", security.protocol);
    if security.uses_sasl() {
        config.set("sasl.mechanism", security.sasl_mechanism);
        config.set("sasl.username", security.sasl_user.as_str());
        if let Some(password) = &security.sasl_password {
            config.set("sasl.password", password.reveal());
        }
    }
    if security.uses_tls() {
        for (name, file) in [
            ("ssl.ca.location", &security.ca_file),
            ("ssl.certificate.location", &security.cert_file),
            ("ssl.key.location", &security.key_file),
        ] {
            if let Some(file) = file {
                config.set(name, file.to_string_lossy());
            }
        }
        if let Some(password) = &security.key_password {
            config.set("ssl.key.password", password.reveal());
        }
    }
    config
}

/// A length of time as the client takes it: milliseconds, at least one.
pub(super) fn millis(duration: Duration) -> String {
    duration.as_millis().max(1).to_string()
}

/// Receives what a client has to say, and remembers its latest complaint: an error that reaches a
/// caller says only that something could not be done, and the complaint says why.
#[derive(Debug, Default)]
pub(super) struct ClientLog {
    complaint: Mutex<Option<String>>,
}

impl ClientLog {
    /// A log line of the client.
    pub(super) fn line(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        match level {
            RDKafkaLogLevel::Emerg
            | RDKafkaLogLevel::Alert
            | RDKafkaLogLevel::Critical
            | RDKafkaLogLevel::Error => error!("Kafka client: {facility}: {text}"),
            RDKafkaLogLevel::Warning => warn!("Kafka client: {facility}: {text}"),
            RDKafkaLogLevel::Notice => info!("Kafka client: {facility}: {text}"),
            // Lost connections, among others, which are complaints as well.
            RDKafkaLogLevel::Info => debug!("Kafka client: {facility}: {text}"),
            RDKafkaLogLevel::Debug => trace!("Kafka client: {facility}: {text}"),
        }
    }

    /// A complaint of the client, which goes on by itself. Told when it is another than before.
    pub(super) fn complain(&self, error: &KafkaError, reason: &str) {
        let mut complaint = self.complaint.lock().unwrap_or_else(PoisonError::into_inner);
        if complaint.as_deref() == Some(reason) {
            return;
        }
        // That a connection ended is daily business until nobody answers any more.
        match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::BrokerTransportFailure) => debug!("Kafka client: {reason}"),
            _ => warn!("Kafka client: {reason}"),
        }
        *complaint = Some(reason.to_owned());
    }

    /// The latest complaint.
    pub(super) fn complaint(&self) -> Option<String> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for ClientLog {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.line(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.complain(&error, reason);
    }
}

/// An error of the cluster `name`, with what the client has complained of.
pub(super) fn kafka_error(
    name: &str,
    operation: &str,
    error: &KafkaError,
    complaint: Option<String>,
) -> StoreError {
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    // The code's own text, without the name of the call that it was returned by.
    let mut text = code.map_or_else(|| error.to_string(), |code| code.to_string());
    if let KafkaError::ClientConfig(_, description, key, _) = error {
        text = format!("{key}: {description}");
    }
    if let Some(complaint) = complaint.filter(|complaint| !complaint.contains(&text)) {
        text = format!("{text} ({complaint})");
    }
    let (kind, advice) = code.map_or((StoreErrorKind::Internal, None), judge);
    let error = StoreError::new(name, operation, kind, text);
    match advice {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

/// What a caller can do about an error, and what a person can.
fn judge(code: RDKafkaErrorCode) -> (StoreErrorKind, Option<&'static str>) {
    use RDKafkaErrorCode as Code;
    match code {
        Code::BrokerTransportFailure
        | Code::AllBrokersDown
        | Code::Resolve
        | Code::OperationTimedOut
        | Code::RequestTimedOut
        | Code::MessageTimedOut
        | Code::TimedOutQueue
        | Code::NetworkException => (
            StoreErrorKind::Unavailable,
            Some("check that the brokers run and that kafka.brokers and kafka.security are right"),
        ),
        Code::Authentication
        | Code::SaslAuthenticationFailed
        | Code::UnsupportedSASLMechanism
        | Code::IllegalSASLState
        | Code::SSL => (
            StoreErrorKind::Internal,
            Some("check kafka.security, kafka.sasl_*, kafka.ca_file and kafka.cert_file"),
        ),
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed => (
            StoreErrorKind::Internal,
            Some("allow it to the user by an access control list of the cluster"),
        ),
        Code::InconsistentGroupProtocol => (
            StoreErrorKind::Internal,
            Some("the members of a group need the same kafka.assignor; stop them all to change it"),
        ),
        Code::InvalidSessionTimeout => (
            StoreErrorKind::Internal,
            Some("keep kafka.session_timeout within the brokers' group.*.session.timeout.ms"),
        ),
        Code::InvalidReplicationFactor | Code::InvalidPartitions | Code::PolicyViolation => (
            StoreErrorKind::Internal,
            Some("set kafka.partitions and kafka.replication, or create the topic yourself"),
        ),
        Code::BadMessage | Code::BadCompression | Code::InvalidMessage => (
            StoreErrorKind::Corrupt,
            Some("check the disks of the brokers; what stands in the topic is damaged"),
        ),
        Code::MessageSizeTooLarge | Code::MessageBatchTooLarge | Code::InvalidMessageSize => (
            StoreErrorKind::InvalidData,
            Some("raise max.message.bytes of the topic, or send smaller records"),
        ),
        _ => (StoreErrorKind::Unavailable, None),
    }
}

/// Whether an error that comes instead of a record only says that the client is busy with the
/// cluster. Any other may stand for records that were passed over.
pub(super) fn is_passing(code: RDKafkaErrorCode) -> bool {
    use RDKafkaErrorCode as Code;
    matches!(
        code,
        Code::BrokerTransportFailure
            | Code::AllBrokersDown
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::NetworkException
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::BrokerNotAvailable
            | Code::ReplicaNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::CoordinatorNotAvailable
            | Code::NotCoordinator
            | Code::RebalanceInProgress
            | Code::WaitingForCoordinator
            | Code::OffsetNotAvailable
            | Code::Retry
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_says_who_what_why_and_what_to_do() {
        let error = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);
        let complaint = Some("a:9092/bootstrap: Connect failed: Connection refused".to_owned());
        let error = kafka_error("Kafka (a:9092)", "describe the topic events", &error, complaint);
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        let text = error.to_string();
        assert!(
            text.starts_with("Kafka (a:9092): could not describe the topic events: "),
            "{text}"
        );
        assert!(text.contains("Connection refused"), "{text}");
        assert!(text.contains("kafka.brokers"), "{text}");
    }

    #[test]
    fn what_passes_is_told_from_what_must_not_be_passed_over() {
        assert!(is_passing(RDKafkaErrorCode::AllBrokersDown));
        for code in [
            RDKafkaErrorCode::BadMessage,
            RDKafkaErrorCode::BadCompression,
            RDKafkaErrorCode::AutoOffsetReset,
            RDKafkaErrorCode::UnknownTopicOrPartition,
            RDKafkaErrorCode::TopicAuthorizationFailed,
        ] {
            assert!(!is_passing(code), "{code:?}");
        }
    }

    #[test]
    fn damage_and_refusals_are_told_apart() {
        let kind = |code| judge(code).0;
        assert_eq!(kind(RDKafkaErrorCode::BadMessage), StoreErrorKind::Corrupt);
        assert_eq!(kind(RDKafkaErrorCode::SaslAuthenticationFailed), StoreErrorKind::Internal);
        assert_eq!(kind(RDKafkaErrorCode::NotEnoughReplicas), StoreErrorKind::Unavailable);
    }
}
