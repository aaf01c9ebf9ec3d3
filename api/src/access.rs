//! Who may ask what: keys, their scopes, and how often.
//!
//! Where only this machine can call, no key is needed, and everything is allowed; a key that is given all
//! the same is looked at, so that clients can be tried out. Anywhere else nothing but the dashboard's own
//! files is answered without a key.
//!
//! Keys are read from the store once a second, so that one that is revoked ends within two; while the
//! store is away, the keys that are known go on for a minute.

pub mod keys;
mod rate;

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue, header};
use questlake_engine::clock::now_millis;
use questlake_engine::stores::keys::{ApiKey, KeyStore, Scope};

use crate::problem::{Kind, Problem};
use crate::remembered::Remembered;
use keys::{proves, split_key};
use rate::RateLimits;

/// How long keys that were read before are good while their store is away.
const PATIENCE: Duration = Duration::from_secs(60);

/// Header of a key, for clients that cannot send `Authorization`.
const KEY_HEADER: &str = "x-api-key";

/// Who asks.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// Somebody on this machine, without a key.
    Local,
    /// The holder of a key.
    Key(Arc<ApiKey>),
}

impl Caller {
    /// Whether this scope is among the caller's.
    pub(crate) fn may(&self, scope: Scope) -> bool {
        match self {
            Self::Local => true,
            Self::Key(key) => {
                key.scopes.contains(&scope)
                    // Whoever looks after the installation does not need a second key to look at it.
                    || (scope != Scope::Ingest && key.scopes.contains(&Scope::Admin))
            }
        }
    }

    /// Name of the key.
    pub(crate) fn name(&self) -> Option<&str> {
        match self {
            Self::Local => None,
            Self::Key(key) => Some(&key.name),
        }
    }
}

/// What a route needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    /// Nothing: it tells nothing.
    Nothing,
    /// Any key.
    AnyKey,
    /// A key with this scope.
    Scope(Scope),
}

/// Looks at the keys of requests.
pub(crate) struct Access {
    keys: Arc<Remembered<Vec<Arc<ApiKey>>>>,
    required: bool,
    rates: RateLimits,
}

impl Access {
    /// Access with the keys of a store. Without `required`, callers without a key may do everything.
    pub(crate) fn new(store: Arc<dyn KeyStore>, required: bool, rate_limit: Option<u32>) -> Self {
        let read = move || {
            let store = Arc::clone(&store);
            async move { Ok(store.list().await?.into_iter().map(Arc::new).collect()) }
        };
        Self { keys: Remembered::new(read, PATIENCE), required, rates: RateLimits::new(rate_limit) }
    }

    /// Whether callers need a key.
    pub(crate) fn is_required(&self) -> bool {
        self.required
    }

    /// Finds out who asks, and whether they may.
    pub(crate) async fn admit(&self, headers: &HeaderMap, needs: Needs) -> Result<Caller, Problem> {
        if needs == Needs::Nothing {
            return Ok(Caller::Local);
        }
        let Some(given) = given_key(headers)? else {
            if self.required {
                let detail = "send a key: Authorization: Bearer qlk_… (questlake key create)";
                return Err(Problem::new(Kind::NoKey, detail));
            }
            return Ok(Caller::Local);
        };
        let caller = Caller::Key(self.find(given).await?);
        // What is refused costs too.
        if let Caller::Key(key) = &caller {
            self.rates.take(key)?;
        }
        if let Needs::Scope(scope) = needs
            && !caller.may(scope)
        {
            let detail = format!("this needs a key with the scope `{}`", scope.name());
            return Err(Problem::new(Kind::NoScope, detail));
        }
        Ok(caller)
    }

    /// Whether a caller that was admitted would still be: its key may have been revoked meanwhile. A
    /// store that does not answer takes nothing away.
    pub(crate) async fn still_admits(&self, headers: &HeaderMap) -> bool {
        match given_key(headers) {
            Ok(Some(given)) => {
                !matches!(self.find(given).await, Err(problem) if problem.kind == Kind::NoKey)
            }
            _ => true,
        }
    }

    /// The key, if it is good. What is wrong with one that is not, nobody is told.
    async fn find(&self, given: &str) -> Result<Arc<ApiKey>, Problem> {
        let refused = || Problem::new(Kind::NoKey, "this key is not good, or no longer");
        let (id, secret) = split_key(given).ok_or_else(refused)?;
        let keys = self.keys.get().await?;
        let key = keys.iter().find(|key| key.id == id);
        // The same work whether there is such a key or not.
        let is_proven = proves(secret, key.map_or(&[0; 32], |key| &key.secret_hash));
        match key {
            Some(key) if is_proven && key.is_good(now_millis()) => Ok(Arc::clone(key)),
            _ => Err(refused()),
        }
    }
}

/// The key that a request brings.
fn given_key(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let unreadable = || Problem::new(Kind::NoKey, "the key is not readable");
    let text = |value: &HeaderValue| value.to_str().is_ok();
    if let Some(value) = headers.get(header::AUTHORIZATION) {
        let value = value.to_str().map_err(|_| unreadable())?;
        let (scheme, key) = value.split_once(' ').unwrap_or((value, ""));
        if !scheme.eq_ignore_ascii_case("bearer") {
            let detail = "write the key as Authorization: Bearer qlk_…";
            return Err(Problem::new(Kind::NoKey, detail));
        }
        return Ok(Some(key.trim()));
    }
    match headers.get(KEY_HEADER) {
        Some(value) if text(value) => Ok(value.to_str().ok()),
        Some(_) => Err(unreadable()),
        None => Ok(None),
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use questlake_engine::stores::error::StoreResult;

    use super::keys::NewKey;
    use super::*;

    /// Keys that nobody adds to.
    struct Fixed(Vec<ApiKey>);

    #[async_trait]
    impl KeyStore for Fixed {
        async fn add(&self, _key: &ApiKey) -> StoreResult<()> {
            Ok(())
        }

        async fn list(&self) -> StoreResult<Vec<ApiKey>> {
            Ok(self.0.clone())
        }

        async fn revoke(&self, _id: &str, _now: i64) -> StoreResult<bool> {
            Ok(false)
        }

        fn name(&self) -> String {
            "keys of a test".to_owned()
        }
    }

    fn headers(name: &'static str, value: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    }

    fn bearer(key: &str) -> HeaderMap {
        headers("authorization", &format!("Bearer {key}"))
    }

    async fn kind(access: &Access, headers: &HeaderMap, needs: Needs) -> Option<Kind> {
        access.admit(headers, needs).await.err().map(|problem| problem.kind)
    }

    #[tokio::test]
    async fn keys_open_what_their_scopes_say() {
        let make =
            |scopes: &[Scope]| NewKey::generate("test", scopes.to_vec(), None, None).unwrap();
        let (read, admin, gone) = (make(&[Scope::Read]), make(&[Scope::Admin]), make(&Scope::ALL));
        let mut late = make(&Scope::ALL);
        late.key.expires_at = Some(1);
        let mut revoked = gone.key.clone();
        revoked.revoked_at = Some(5);
        let keys = vec![read.key.clone(), admin.key.clone(), revoked, late.key.clone()];
        let access = Access::new(Arc::new(Fixed(keys)), true, None);
        let needs = Needs::Scope;

        assert_eq!(kind(&access, &bearer(&read.text), needs(Scope::Read)).await, None);
        assert_eq!(kind(&access, &headers("x-api-key", &read.text), Needs::AnyKey).await, None);
        let refused = kind(&access, &bearer(&read.text), needs(Scope::Query)).await;
        assert_eq!(refused, Some(Kind::NoScope));
        assert_eq!(kind(&access, &bearer(&admin.text), needs(Scope::Query)).await, None);
        let refused = kind(&access, &bearer(&admin.text), needs(Scope::Ingest)).await;
        assert_eq!(refused, Some(Kind::NoScope));
        for text in [
            gone.text.as_str(),
            &late.text,
            "",
            "qlk_",
            "qlk_x_y",
            &read.text[..read.text.len() - 1],
            &format!("{}x", read.text),
            &read.text.to_uppercase(),
        ] {
            let refused = kind(&access, &bearer(text), needs(Scope::Read)).await;
            assert_eq!(refused, Some(Kind::NoKey), "{text}");
        }
        assert_eq!(kind(&access, &HeaderMap::new(), Needs::AnyKey).await, Some(Kind::NoKey));
        assert_eq!(kind(&access, &HeaderMap::new(), Needs::Nothing).await, None);
        let basic = headers("authorization", "Basic cXVlc3Q6bGFrZQ==");
        assert_eq!(kind(&access, &basic, needs(Scope::Read)).await, Some(Kind::NoKey));
    }

    #[tokio::test]
    async fn on_this_machine_no_key_is_needed_and_a_wrong_one_refused() {
        let access = Access::new(Arc::new(Fixed(Vec::new())), false, None);
        let needs = Needs::Scope(Scope::Admin);
        assert_eq!(kind(&access, &HeaderMap::new(), needs).await, None);
        assert_eq!(kind(&access, &bearer("qlk_aaaaaaaaaaaa_b"), needs).await, Some(Kind::NoKey));
    }
}
