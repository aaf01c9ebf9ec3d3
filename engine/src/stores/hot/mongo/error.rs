//! Errors of the driver and of the server, by what a caller can do.

use mongodb::error::ErrorKind;

use crate::stores::error::{StoreError, StoreErrorKind};

/// A write that hit a unique index: `DuplicateKey`, and what older servers called it.
const DUPLICATE_KEY: [i32; 3] = [11000, 11001, 12582];

/// What the server says of a document that it will not take however often it is sent: malformed,
/// too large, refused by a rule of the collection or by an index that cannot hold its values.
const REFUSED_DOCUMENT: &[i32] = &[
    2,     // BadValue
    9,     // FailedToParse
    14,    // TypeMismatch
    17,    // ProtocolError, for a document beyond the limits of BSON
    22,    // InvalidBSON
    52,    // DollarPrefixedFieldName
    53,    // InvalidIdField
    56,    // EmptyFieldName
    57,    // DottedFieldName
    61,    // ShardKeyNotFound
    121,   // DocumentValidationFailure
    10334, // BSONObjectTooLarge
    16755, // Can't extract geo keys
    17280, // KeyTooLong
];

/// What passes by itself: elections, shutdowns, time-outs, conflicts between writers.
const PASSING: &[i32] = &[
    1,     // InternalError: how FerretDB says that SQLite is busy
    6,     // HostUnreachable
    7,     // HostNotFound
    24,    // LockTimeout
    43,    // CursorNotFound
    46,    // LockBusy
    50,    // MaxTimeMSExpired
    64,    // WriteConcernTimeout
    89,    // NetworkTimeout
    91,    // ShutdownInProgress
    100,   // UnsatisfiableWriteConcern
    112,   // WriteConflict
    133,   // FailedToSatisfyReadPreference
    134,   // ReadConcernMajorityNotAvailableYet
    175,   // QueryPlanKilled
    189,   // PrimarySteppedDown
    202,   // NetworkInterfaceExceededTimeLimit
    262,   // ExceededTimeLimit
    391,   // ReauthenticationRequired
    462,   // IngressRequestRateLimitExceeded
    9001,  // SocketException
    10058, // NotWritablePrimary, of old
    10107, // NotWritablePrimary
    11600, // InterruptedAtShutdown
    11601, // Interrupted
    11602, // InterruptedDueToReplStateChange
    13435, // NotPrimaryNoSecondaryOk
    13436, // NotPrimaryOrSecondary
];

/// Whether a write hit a unique index.
pub(super) fn is_duplicate(code: i32) -> bool {
    DUPLICATE_KEY.contains(&code)
}

/// Whether a write failed because of the document itself.
pub(super) fn is_refusal(code: i32) -> bool {
    REFUSED_DOCUMENT.contains(&code)
}

/// An error that the driver gives.
pub(super) fn driver_error(
    store: &str,
    operation: &str,
    error: mongodb::error::Error,
) -> StoreError {
    if let ErrorKind::Command(command) = &*error.kind {
        return server_error(store, operation, command.code, &command.message);
    }
    let (kind, advice) = match &*error.kind {
        ErrorKind::ServerSelection { message, .. } if message.contains("peer certificate") => (
            StoreErrorKind::Unavailable,
            Some("check tlsCAFile in its URL, and that the server's certificate has its name"),
        ),
        ErrorKind::Io(_)
        | ErrorKind::ConnectionPoolCleared { .. }
        | ErrorKind::ServerSelection { .. }
        | ErrorKind::DnsResolve { .. } => (
            StoreErrorKind::Unavailable,
            Some("check that MongoDB runs and can be reached, and host, port and TLS in its URL"),
        ),
        // A server that is about to go, or cannot ask others, refuses whoever logs in.
        ErrorKind::Authentication { .. } if is_passing_refusal(&error) => {
            (StoreErrorKind::Unavailable, None)
        }
        ErrorKind::Authentication { .. } => {
            (StoreErrorKind::Internal, Some("check user, password and authSource in its URL"))
        }
        ErrorKind::InvalidTlsConfig { .. } => {
            (StoreErrorKind::Internal, Some("check the files that its URL names for TLS"))
        }
        ErrorKind::InvalidArgument { .. } => (StoreErrorKind::Incompatible, None),
        ErrorKind::IncompatibleServer { .. } => {
            (StoreErrorKind::Incompatible, Some("use MongoDB 6, 7 or 8"))
        }
        ErrorKind::Bson(_) => (
            StoreErrorKind::Corrupt,
            Some(
                "its collection `events` holds what Questlake did not write; give Questlake a \
                 database of its own",
            ),
        ),
        _ => (StoreErrorKind::Internal, None),
    };
    // The driver's own text is a dump of its fields; its kind says the same in words.
    with_advice(StoreError::new(store, operation, kind, error.kind), advice)
}

/// Whether the server has refused a login for a cause that passes: the driver keeps its answer.
fn is_passing_refusal(error: &mongodb::error::Error) -> bool {
    use mongodb::error::Error as DriverError;
    let answer = std::error::Error::source(error).and_then(|source| {
        let boxed = source.downcast_ref::<Box<DriverError>>().map(|boxed| &**boxed);
        boxed.or_else(|| source.downcast_ref::<DriverError>())
    });
    answer.is_some_and(|answer| match &*answer.kind {
        ErrorKind::Command(command) => PASSING.contains(&command.code),
        _ => false,
    })
}

/// An error that the server gives, for a command or for one write of it.
pub(super) fn server_error(store: &str, operation: &str, code: i32, message: &str) -> StoreError {
    let (kind, advice) = match code {
        _ if PASSING.contains(&code) => (StoreErrorKind::Unavailable, None),
        13 => (StoreErrorKind::Internal, Some("give its user the role readWrite on the database")),
        18 => (StoreErrorKind::Internal, Some("check user, password and authSource in its URL")),
        14031 => (StoreErrorKind::Full, Some("give the server more room, then try again")),
        _ => (StoreErrorKind::Internal, None),
    };
    let error = StoreError::new(store, operation, kind, format!("{message} (code {code})"));
    with_advice(error, advice)
}

fn with_advice(error: StoreError, advice: Option<&str>) -> StoreError {
    match advice {
        Some(advice) => error.with_advice(advice),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_is_tried_again_and_what_refuses_a_document_is_not() {
        let kind = |code| server_error("hot store", "insert events", code, "no").kind;
        assert_eq!(kind(10107), StoreErrorKind::Unavailable);
        assert_eq!(kind(64), StoreErrorKind::Unavailable);
        assert_eq!(kind(14031), StoreErrorKind::Full);
        assert_eq!(kind(4711), StoreErrorKind::Internal);
        for code in REFUSED_DOCUMENT {
            assert!(!PASSING.contains(code) && !is_duplicate(*code), "{code}");
        }
    }

    #[test]
    fn an_error_says_what_to_do() {
        let refused = std::io::Error::from(std::io::ErrorKind::ConnectionRefused);
        let error = driver_error("hot store (mongodb://h)", "count events", refused.into());
        assert_eq!(error.kind, StoreErrorKind::Unavailable);
        let text = error.to_string();
        assert!(text.starts_with("hot store (mongodb://h): could not count events: "), "{text}");
        assert!(text.contains("check that MongoDB runs"), "{text}");
    }
}
