//! What all clients of the cluster have in common: how brokers are reached, where log lines go, and
//! what errors mean.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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

/// Least time between two lines that say that no broker answers.
const ALL_DOWN_PAUSE: Duration = Duration::from_secs(30);

/// How the client calls its log lines of connections that failed.
const FAILED_CONNECTION: &str = "FAIL";

/// Time for which a complaint may be the cause of an error. The client repeats itself after half of it.
const COMPLAINT_TIME: Duration = Duration::from_secs(60);

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
    memory: Mutex<Memory>,
}

#[derive(Debug, Default)]
struct Memory {
    /// What was told last.
    told: Option<String>,
    /// What was wrong last, and when.
    complaint: Option<(Instant, String)>,
}

impl Memory {
    /// Whether a complaint is another than the one before.
    fn is_news(&mut self, reason: &str) -> bool {
        if self.told.as_deref() == Some(reason) {
            return false;
        }
        self.told = Some(reason.to_owned());
        true
    }
}

/// When it was told last that no broker answers, by whichever client of this process: each of them
/// says so after each attempt, with other numbers each time.
static ALL_DOWN_TOLD: Mutex<Option<Instant>> = Mutex::new(None);

/// Whether it is time to tell it again; if so, it counts as told.
fn tells_again(told: &mut Option<Instant>) -> bool {
    if told.is_some_and(|when| when.elapsed() < ALL_DOWN_PAUSE) {
        return false;
    }
    *told = Some(Instant::now());
    true
}

impl ClientLog {
    /// A log line of the client.
    pub(super) fn line(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        if facility == FAILED_CONNECTION {
            // Some of these come as a line alone, such as what follows when only one side speaks TLS. In
            // front stands the client's thread.
            self.remember(text.split_once("]: ").map_or(text, |(_, reason)| reason));
        }
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
        let code = error.rdkafka_error_code();
        // That all records of a partition were read is no complaint.
        if code == Some(RDKafkaErrorCode::PartitionEOF) {
            return;
        }
        if code == Some(RDKafkaErrorCode::AllBrokersDown) {
            // How many brokers are down says less than why: it is not what is remembered.
            let mut told = ALL_DOWN_TOLD.lock().unwrap_or_else(PoisonError::into_inner);
            if tells_again(&mut told) {
                warn!("Kafka client: {reason}");
            }
            return;
        }
        self.remember(reason);
        if !self.memory().is_news(reason) {
            return;
        }
        // That a connection ended is daily business until nobody answers any more.
        match code {
            Some(RDKafkaErrorCode::BrokerTransportFailure) => debug!("Kafka client: {reason}"),
            _ => warn!("Kafka client: {reason}"),
        }
    }

    /// The latest complaint, if it is not of long ago.
    pub(super) fn complaint(&self) -> Option<String> {
        let complaint = self.memory().complaint.clone();
        complaint.filter(|(when, _)| when.elapsed() < COMPLAINT_TIME).map(|(_, reason)| reason)
    }

    fn remember(&self, reason: &str) {
        self.memory().complaint = Some((Instant::now(), reason.to_owned()));
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
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
    let (kind, mut advice) = match error {
        KafkaError::ClientCreation(_) => (
            StoreErrorKind::Internal,
            Some("check the files of kafka.ca_file, kafka.cert_file and kafka.key_file"),
        ),
        _ => code.map_or((StoreErrorKind::Internal, None), judge),
    };
    if let Some(complaint) = complaint.filter(|complaint| !complaint.contains(&text)) {
        if kind == StoreErrorKind::Unavailable {
            advice = advice_on(&complaint).or(advice);
        }
        text = format!("{text} ({complaint})");
    }
    let error = StoreError::new(name, operation, kind, text);
    match advice {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

/// What a person can do about a broker that cannot be reached, by what the client complains of.
fn advice_on(complaint: &str) -> Option<&'static str> {
    let says = |part: &str| complaint.contains(part);
    if says("certificate verify failed") {
        return Some(
            "check kafka.ca_file, and that the broker's certificate has its name as in kafka.brokers",
        );
    }
    if says("SASL authentication error") || says("SASL mechanism") {
        return Some("check kafka.sasl_user, kafka.sasl_password and kafka.sasl_mechanism");
    }
    if says("Disconnected") {
        return Some(
            "check that the brokers run, and that kafka.security is what they expect at this port",
        );
    }
    None
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
    fn an_error_says_what_the_client_complained_of_last() {
        let log = ClientLog::default();
        let failed =
            "[thrd:sasl_ssl://a:9093/bootstrap]: sasl_ssl://a:9093/bootstrap: Disconnected";
        log.line(RDKafkaLogLevel::Info, "FAIL", failed);
        log.line(RDKafkaLogLevel::Info, "FETCH", "[thrd:a:9093/1]: something else");
        assert_eq!(log.complaint().unwrap(), "sasl_ssl://a:9093/bootstrap: Disconnected");
        let error = KafkaError::MetadataFetch(RDKafkaErrorCode::BrokerTransportFailure);
        let text = kafka_error("Kafka (a:9093)", "look", &error, log.complaint()).to_string();
        assert!(text.contains("kafka.security is what they expect"), "{text}");
        let complain = |code, reason| log.complain(&KafkaError::Global(code), reason);
        complain(
            RDKafkaErrorCode::Authentication,
            "a:9093/bootstrap: SASL authentication error: no",
        );
        complain(RDKafkaErrorCode::AllBrokersDown, "1/1 brokers are down");
        complain(RDKafkaErrorCode::PartitionEOF, "reached end of partition");
        let text = kafka_error("Kafka (a:9093)", "look", &error, log.complaint()).to_string();
        assert!(text.contains("SASL authentication error: no"), "{text}");
        assert!(text.contains("check kafka.sasl_user"), "{text}");
    }

    #[test]
    fn what_is_known_is_not_told_again() {
        let mut memory = Memory::default();
        assert!(memory.is_news("a:9092: Connection refused"));
        assert!(!memory.is_news("a:9092: Connection refused"));
        assert!(memory.is_news("b:9092: Connection refused"));
        let mut told = None;
        assert!(tells_again(&mut told) && !tells_again(&mut told));
        told = Instant::now().checked_sub(ALL_DOWN_PAUSE * 2);
        assert!(tells_again(&mut told));
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
