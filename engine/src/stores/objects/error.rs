//! What a failure of an object store means for a caller.

use std::error::Error;

use object_store::Error as ObjectStoreError;

use super::hdfs::HdfsFailure;
use super::s3;
use crate::stores::error::{StoreError, StoreErrorKind};

/// A kind of error, and what a person can do.
pub(in crate::stores) type Meaning = (StoreErrorKind, Option<&'static str>);

const UNREACHABLE: &str = "check that the store is up and can be reached from here";
const FORBIDDEN: &str = "check who may read and write there, and as whom Questlake comes";

/// What an error says by itself, without its causes; nothing if it leaves that to its causes.
pub(in crate::stores) fn meaning_of(error: &(dyn Error + 'static)) -> Option<Meaning> {
    if let Some(failure) = error.downcast_ref::<HdfsFailure>() {
        return Some(failure.meaning());
    }
    let error = error.downcast_ref::<ObjectStoreError>()?;
    if let Some(meaning) = s3::meaning_of(error) {
        return Some(meaning);
    }
    let meaning = match error {
        ObjectStoreError::NotFound { .. } => (StoreErrorKind::Corrupt, None),
        ObjectStoreError::PermissionDenied { .. } | ObjectStoreError::Unauthenticated { .. } => {
            (StoreErrorKind::Unavailable, Some(FORBIDDEN))
        }
        // Below it lie errors of the network, which say nothing about files.
        ObjectStoreError::Generic { store: "S3", .. } => {
            (StoreErrorKind::Unavailable, Some(UNREACHABLE))
        }
        ObjectStoreError::UnknownConfigurationKey { .. }
        | ObjectStoreError::NotSupported { .. }
        | ObjectStoreError::NotImplemented { .. }
        | ObjectStoreError::InvalidPath { .. } => (StoreErrorKind::Incompatible, None),
        _ => return None,
    };
    Some(meaning)
}

/// An error of the store `name` while doing `operation`.
pub(in crate::stores) fn store_error(
    name: &str,
    operation: impl Into<String>,
    error: ObjectStoreError,
) -> StoreError {
    let mut meaning = None;
    let mut cause: Option<&(dyn Error + 'static)> = Some(&error);
    while let Some(error) = cause {
        meaning = meaning_of(error);
        if meaning.is_some() {
            break;
        }
        cause = error.source();
    }
    let (kind, advice) = meaning.unwrap_or((StoreErrorKind::Unavailable, Some(UNREACHABLE)));
    let failure = StoreError::new(name, operation, kind, error);
    match advice {
        Some(advice) => failure.with_advice(advice),
        None => failure,
    }
}
