//! Making keys, and proving them.
//!
//! A key is `qlk_<identifier>_<secret>`: the prefix lets scanners of code find keys that were published by
//! mistake, the identifier is how the key is known, and the secret has 256 bits of chance, so that a plain
//! SHA-256 of it can be kept: nobody guesses it, however fast they hash.

use questlake_engine::clock::now_millis;
use questlake_engine::stores::keys::{ApiKey, Scope};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// How every key begins.
pub const PREFIX: &str = "qlk_";

/// Letters of an identifier.
const ID_LENGTH: usize = 12;

/// Letters of a secret: 43 of 62 are 256 bits.
const SECRET_LENGTH: usize = 43;

const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";

/// The system gives no random bytes.
#[derive(Debug, thiserror::Error)]
#[error("the system gives no random bytes: {0}")]
pub struct RandomError(getrandom::Error);

/// A key that was just made, with its only copy of the secret.
pub struct NewKey {
    /// What is kept.
    pub key: ApiKey,
    /// What its holder sends.
    pub text: String,
}

impl NewKey {
    /// Makes a key. `expires_at` is in milliseconds since 1970, UTC.
    ///
    /// # Errors
    /// When the system gives no random bytes.
    pub fn generate(
        name: &str,
        mut scopes: Vec<Scope>,
        rate_limit: Option<u32>,
        expires_at: Option<i64>,
    ) -> Result<Self, RandomError> {
        scopes.sort_unstable();
        scopes.dedup();
        let (id, secret) = (random_letters(ID_LENGTH)?, random_letters(SECRET_LENGTH)?);
        let key = ApiKey {
            id: id.clone(),
            name: name.to_owned(),
            secret_hash: Sha256::digest(secret.as_bytes()).into(),
            scopes,
            rate_limit,
            created_at: now_millis(),
            expires_at,
            revoked_at: None,
        };
        Ok(Self { key, text: format!("{PREFIX}{id}_{secret}") })
    }
}

/// Letters that nobody can guess, each of the 62 as likely as the others.
fn random_letters(length: usize) -> Result<String, RandomError> {
    let mut text = String::with_capacity(length);
    let mut bytes = [0; 64];
    while text.len() < length {
        getrandom::fill(&mut bytes).map_err(RandomError)?;
        // Values from 248 on would make the first letters likelier.
        let letters = bytes.iter().filter(|byte| **byte < 248);
        let letters = letters.map(|byte| char::from(LETTERS[usize::from(byte % 62)]));
        text.extend(letters.take(length - text.len()));
    }
    Ok(text)
}

/// Identifier and secret of a key as it is sent.
pub(super) fn split_key(text: &str) -> Option<(&str, &str)> {
    let (id, secret) = text.strip_prefix(PREFIX)?.split_once('_')?;
    (id.len() == ID_LENGTH && secret.len() == SECRET_LENGTH).then_some((id, secret))
}

/// Whether a secret is the one with this hash. Takes the same time whatever it is.
pub(super) fn proves(secret: &str, hash: &[u8; 32]) -> bool {
    let given: [u8; 32] = Sha256::digest(secret.as_bytes()).into();
    given.ct_eq(hash).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_proven_by_their_secret_alone() {
        let scopes = vec![Scope::Query, Scope::Read, Scope::Query];
        let new = NewKey::generate("a", scopes, None, None).unwrap();
        assert_eq!(new.key.scopes, [Scope::Read, Scope::Query]);
        let (id, secret) = split_key(&new.text).unwrap();
        assert_eq!(id, new.key.id);
        assert!(proves(secret, &new.key.secret_hash));
        let other = NewKey::generate("a", vec![], None, None).unwrap();
        assert_ne!(other.key.id, new.key.id);
        assert!(!proves(secret, &other.key.secret_hash));
        assert!(!format!("{:?}", new.key).contains(secret));
    }

    #[test]
    fn all_letters_come() {
        let text = random_letters(20_000).unwrap();
        for letter in LETTERS {
            let count = text.bytes().filter(|byte| byte == letter).count();
            assert!((200..500).contains(&count), "{}: {count}", char::from(*letter));
        }
    }
}
