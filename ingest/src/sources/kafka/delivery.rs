//! Whether records have been acknowledged: one account for records that are answered for together.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::DeliveryResult;
use rdkafka::producer::ProducerContext;
use tokio::sync::oneshot;

use super::client::ClientLog;

/// Records that are under way together.
#[derive(Debug)]
pub(super) struct Delivery {
    /// Records that are not settled, and one for whoever still sends.
    left: AtomicUsize,
    failure: Mutex<Option<KafkaError>>,
    settled: Mutex<Option<oneshot::Sender<()>>>,
}

impl Delivery {
    /// An account, and what tells when all of it is settled.
    pub(super) fn open() -> (Arc<Self>, oneshot::Receiver<()>) {
        let (sender, settled) = oneshot::channel();
        let delivery = Self {
            left: AtomicUsize::new(1),
            failure: Mutex::new(None),
            settled: Mutex::new(Some(sender)),
        };
        (Arc::new(delivery), settled)
    }

    /// A record is about to be sent.
    pub(super) fn add(&self) {
        self.left.fetch_add(1, Ordering::Relaxed);
    }

    /// A record is acknowledged, or is given up.
    pub(super) fn settle(&self, failure: Option<KafkaError>) {
        if let Some(failure) = failure {
            self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(failure);
        }
        if self.left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let sender = self.settled.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(sender) = sender {
                // Nobody listens any more if it took too long.
                let _ = sender.send(());
            }
        }
    }

    /// No more records are sent.
    pub(super) fn close(&self) {
        self.settle(None);
    }

    /// The first failure so far.
    pub(super) fn failure(&self) -> Option<KafkaError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Receives the acknowledgements of a producer.
#[derive(Debug, Default)]
pub(super) struct Deliveries {
    pub(super) log: ClientLog,
}

impl ClientContext for Deliveries {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        self.log.line(level, facility, text);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.log.complain(&error, reason);
    }
}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Arc<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, delivery: Arc<Delivery>) {
        delivery.settle(result.as_ref().err().map(|(error, _)| error.clone()));
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::error::RDKafkaErrorCode;

    use super::*;

    #[test]
    fn an_account_is_settled_when_all_of_it_is() {
        let (delivery, mut settled) = Delivery::open();
        for _ in 0..3 {
            delivery.add();
        }
        let error = |code| KafkaError::MessageProduction(code);
        delivery.settle(None);
        delivery.settle(Some(error(RDKafkaErrorCode::MessageTimedOut)));
        delivery.close();
        assert!(settled.try_recv().is_err());
        delivery.settle(Some(error(RDKafkaErrorCode::QueueFull)));
        settled.try_recv().unwrap();
        assert_eq!(delivery.failure(), Some(error(RDKafkaErrorCode::MessageTimedOut)));
    }

    #[test]
    fn one_without_records_is_settled_when_it_is_closed() {
        let (delivery, mut settled) = Delivery::open();
        delivery.close();
        settled.try_recv().unwrap();
        assert_eq!(delivery.failure(), None);
    }
}
