//! Which stores answer: all asked at once, each by itself, so that one that hangs says nothing about
//! another.

use std::fmt::Display;
use std::time::Duration;

use futures::future::{BoxFuture, join_all};

use super::StoreStatus;
use crate::pipeline::Engine;
use crate::stores::error::StoreResult;

/// A question that costs a store next to nothing.
type Question<'a> = BoxFuture<'a, Option<String>>;

impl Engine {
    /// Whether each store answers; waits no longer than `patience` for any of them. What the stores
    /// hold is not looked at.
    pub fn reach(&self, patience: Duration) -> BoxFuture<'_, Vec<StoreStatus>> {
        let stores = &self.stores;
        let hot: Question<'_> = Box::pin(async { fault(stores.hot.ask().await) });
        let landing: Question<'_> = Box::pin(async { fault(stores.landing.ask().await) });
        let archive: Question<'_> =
            Box::pin(async { fault(stores.archive.has_table("none").await) });
        // The ledger and the warehouse are in one database. It is to say itself what is wrong.
        let database: Question<'_> =
            Box::pin(async move { fault(stores.ledger.ask(patience.mul_f64(0.9)).await) });
        let cache: Question<'_> = Box::pin(stores.cache.fault());
        let questions = [
            (vec![("hot", stores.hot.name())], hot),
            (vec![("landing", stores.landing.name())], landing),
            (vec![("archive", stores.archive.name().to_owned())], archive),
            (
                vec![("ledger", stores.ledger.name()), ("warehouse", stores.warehouse.name())],
                database,
            ),
            (vec![("cache", stores.cache.name())], cache),
        ];
        let asked = questions.map(|(those, question)| async move {
            let detail = within(patience, question).await;
            those
                .into_iter()
                .map(move |(store, name)| StoreStatus::new(store, name, detail.clone()))
        });
        Box::pin(async move { join_all(asked).await.into_iter().flatten().collect() })
    }
}

impl StoreStatus {
    /// The state of a store that is asked something, and waited for no longer than `patience`.
    pub async fn asked<T, E: Display>(
        store: &'static str,
        name: String,
        patience: Duration,
        question: impl Future<Output = Result<T, E>>,
    ) -> Self {
        let answer = async { question.await.err().map(|error| error.to_string()) };
        Self::new(store, name, within(patience, answer).await)
    }
}

fn fault<T>(answer: StoreResult<T>) -> Option<String> {
    answer.err().map(|error| error.to_string())
}

/// What is wrong, if anything is, or that there was no answer in this time.
async fn within(
    patience: Duration,
    question: impl Future<Output = Option<String>>,
) -> Option<String> {
    match tokio::time::timeout(patience, question).await {
        Ok(fault) => fault,
        Err(_) => Some(format!("no answer within {} s", patience.as_secs_f64())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn silence_is_no_answer() {
        let patience = Duration::from_millis(1);
        let ask = |question: BoxFuture<'static, Result<(), &'static str>>| {
            StoreStatus::asked("hot", "hot store".to_owned(), patience, question)
        };
        let silent = ask(Box::pin(std::future::pending())).await;
        assert_eq!(silent.detail.as_deref(), Some("no answer within 0.001 s"));
        let broken = ask(Box::pin(std::future::ready(Err("broken")))).await;
        assert_eq!(broken.detail.as_deref(), Some("broken"));
        let well = ask(Box::pin(std::future::ready(Ok(())))).await;
        assert_eq!((silent.healthy, broken.healthy, well.healthy), (false, false, true));
    }
}
