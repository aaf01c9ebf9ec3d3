//! What goes wrong with HDFS, and what can be done about it.

use std::fmt;
use std::time::Duration;

use hdfs_native::HdfsError;

use super::super::error::Meaning;
use crate::stores::error::StoreErrorKind;

/// Why a call did not do what it was to do.
#[derive(Debug, thiserror::Error)]
pub(in crate::stores::objects) enum HdfsFailure {
    /// The client has reported it.
    #[error("{}", Shown(.0))]
    Client(#[from] HdfsError),
    /// None of the NameNodes of a name service can be worked with.
    #[error("no NameNode of {service} is active: {answers}")]
    NoneActive {
        /// The name service.
        service: String,
        /// What each of them has said.
        answers: String,
    },
    /// The client has not reported anything.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
    /// The client has panicked.
    #[error("the HDFS client has failed: {0}")]
    Panicked(tokio::task::JoinError),
    /// The threads of the client could not be started.
    #[error("the threads of the HDFS client could not be started: {0}")]
    Threads(std::io::Error),
    /// A local file of what is to be sent could not be written or read.
    #[error("what is to be sent could not be kept locally: {0}")]
    Spool(std::io::Error),
    /// Less is there than was asked for.
    #[error("{path} has {found} bytes where {wanted} were expected")]
    Short {
        /// The file.
        path: String,
        /// Its bytes.
        found: u64,
        /// Bytes that it should have, or have at least.
        wanted: u64,
    },
    /// A file that has just been written holds something else.
    #[error("{0} does not hold what was written to it")]
    Garbled(String),
    /// The temporary file went away before it was renamed.
    #[error("the temporary file of {0} is gone")]
    Vanished(String),
    /// Neither the rename nor its opposite was confirmed.
    #[error("it is not known whether {path} was written: {source}")]
    Unclear {
        /// The file.
        path: String,
        /// Why it could not be found out.
        source: Box<HdfsFailure>,
    },
}

/// Exceptions of Hadoop that are the same the next time.
const LASTING: &[&str] = &[
    "AccessControlException",
    "AuthorizationException",
    "FileAlreadyExistsException",
    "FileNotFoundException",
    "InvalidPathException",
    "InvalidToken",
    "ParentNotDirectoryException",
    "PathIsNotDirectoryException",
    "RpcNoSuchMethodException",
    "UnsupportedOperationException",
];

impl HdfsFailure {
    /// Whether the same call may succeed later.
    pub(super) fn is_transient(&self) -> bool {
        match self {
            Self::NoneActive { .. }
            | Self::TimedOut(_)
            | Self::Panicked(_)
            | Self::Garbled(_)
            | Self::Vanished(_) => true,
            failure if failure.is_about_kerberos() => false,
            Self::Threads(_) | Self::Spool(_) | Self::Short { .. } | Self::Unclear { .. } => false,
            Self::Client(error) => match error {
                HdfsError::IOError(_)
                | HdfsError::DataTransferError(_)
                | HdfsError::ChecksumError
                | HdfsError::OperationFailed(_)
                | HdfsError::BlocksNotFound(_)
                | HdfsError::InternalError(_)
                | HdfsError::InvalidRPCResponse(_) => true,
                // Safe mode, standby, too few DataNodes, and all that has no class of its own.
                HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _) => {
                    !LASTING.contains(&simple_name(class)) && !is_quota(class)
                }
                _ => false,
            },
        }
    }

    /// Whether the file, or the folder, is not there.
    pub(super) fn is_missing(&self) -> bool {
        match self {
            Self::Client(HdfsError::FileNotFound(_)) => true,
            Self::Client(HdfsError::RPCError(class, _)) => {
                simple_name(class) == "FileNotFoundException"
            }
            _ => false,
        }
    }

    /// Whether the name is taken.
    pub(super) fn is_taken(&self) -> bool {
        matches!(self, Self::Client(HdfsError::AlreadyExists(_)))
    }

    /// Whether the NameNode waits to become active.
    pub(super) fn is_standby(&self) -> bool {
        match self {
            Self::Client(HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _)) => {
                simple_name(class) == "StandbyException"
            }
            _ => false,
        }
    }

    /// Whether this side cannot prove who it is.
    fn is_about_kerberos(&self) -> bool {
        match self {
            Self::Client(
                HdfsError::SASLError(_) | HdfsError::GSSAPIError(..) | HdfsError::NoSASLMechanism,
            ) => true,
            // The client has one error for whatever has no other, and the library is not there.
            Self::Client(HdfsError::OperationFailed(text)) => text.contains("libgssapi"),
            _ => false,
        }
    }

    fn is_forbidden(&self) -> bool {
        match self {
            Self::Client(HdfsError::RPCError(class, _) | HdfsError::FatalRPCError(class, _)) => {
                matches!(simple_name(class), "AccessControlException" | "AuthorizationException")
            }
            _ => false,
        }
    }

    /// The kind of error, and what a person can do.
    pub(in crate::stores::objects) fn meaning(&self) -> Meaning {
        if self.is_missing() {
            return (StoreErrorKind::Corrupt, None);
        }
        if self.is_forbidden() {
            let advice = "check the owner and permissions of the folder on HDFS, and as whom \
                          Questlake comes: the Kerberos principal, else HADOOP_USER_NAME";
            return (StoreErrorKind::Unavailable, Some(advice));
        }
        if self.is_standby() || matches!(self, Self::NoneActive { .. }) {
            let advice = "check that one NameNode of the name service is active and can be reached \
                          from here: `hdfs haadmin -getAllServiceState` tells";
            return (StoreErrorKind::Unavailable, Some(advice));
        }
        if self.is_about_kerberos() {
            let advice = "check that there is a Kerberos ticket (klist), that libgssapi_krb5 is \
                          installed, and that HADOOP_CONF_DIR names the cluster's configuration";
            return (StoreErrorKind::Unavailable, Some(advice));
        }
        match self {
            Self::Short { .. } => (StoreErrorKind::Corrupt, None),
            Self::Spool(error) if error.kind() == std::io::ErrorKind::StorageFull => (
                StoreErrorKind::Full,
                Some("free some disk space where engine.spill_dir is, and run the command again"),
            ),
            Self::Spool(_) => {
                (StoreErrorKind::Unavailable, Some("check that engine.spill_dir can be written"))
            }
            Self::Client(HdfsError::RPCError(class, _)) if is_quota(class) => {
                (StoreErrorKind::Full, Some("raise the quota of the folder on HDFS"))
            }
            Self::Client(
                HdfsError::InvalidArgument(_)
                | HdfsError::UrlParseError(_)
                | HdfsError::XmlParseError(_)
                | HdfsError::InvalidPath(_),
            ) => (
                StoreErrorKind::Incompatible,
                Some(
                    "name a NameNode with its port (8020 is usual), or a name service that the \
                      files in HADOOP_CONF_DIR describe",
                ),
            ),
            Self::Client(
                HdfsError::UnsupportedFeature(_)
                | HdfsError::UnsupportedErasureCodingPolicy(_)
                | HdfsError::IsADirectoryError(_),
            ) => (StoreErrorKind::Incompatible, None),
            Self::Unclear { .. } => (
                StoreErrorKind::Unavailable,
                Some(
                    "check that HDFS is up, and run the command again: what was written twice is \
                      told apart",
                ),
            ),
            _ => (
                StoreErrorKind::Unavailable,
                Some("check that the NameNode and enough DataNodes are up and can be reached"),
            ),
        }
    }

    /// The same for users of the `object_store` interface.
    pub(super) fn about(self, path: &str) -> object_store::Error {
        let path = path.to_owned();
        if self.is_missing() {
            object_store::Error::NotFound { path, source: Box::new(self) }
        } else if self.is_taken() {
            object_store::Error::AlreadyExists { path, source: Box::new(self) }
        } else if self.is_forbidden() {
            object_store::Error::PermissionDenied { path, source: Box::new(self) }
        } else {
            object_store::Error::Generic { store: "HDFS", source: Box::new(self) }
        }
    }
}

/// The client's error without the stack trace that the NameNode sends along.
struct Shown<'a>(&'a HdfsError);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            HdfsError::RPCError(class, text) | HdfsError::FatalRPCError(class, text) => {
                let first = text.lines().next().unwrap_or_default().trim();
                let first = first.strip_prefix(class.as_str()).unwrap_or(first);
                let first = first.trim_start_matches([':', ' ']);
                write!(formatter, "{}: {first}", simple_name(class))
            }
            other => write!(formatter, "{other}"),
        }
    }
}

/// The name of a Java class without its package, and without the class around it.
fn simple_name(class: &str) -> &str {
    class.rsplit(['.', '$']).next().unwrap_or(class)
}

fn is_quota(class: &str) -> bool {
    simple_name(class).contains("Quota")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(class: &str) -> HdfsFailure {
        let text = format!("{class}: No room.\n\tat org.apache.hadoop.Some.thing(Some.java:1)");
        HdfsError::RPCError(class.to_owned(), text).into()
    }

    #[test]
    fn what_may_pass_is_told_from_what_lasts() {
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        for transient in [
            HdfsError::IOError(reset).into(),
            HdfsFailure::TimedOut(Duration::from_secs(1)),
            remote("org.apache.hadoop.hdfs.server.namenode.SafeModeException"),
            remote("org.apache.hadoop.ipc.StandbyException"),
            HdfsFailure::NoneActive { service: "games".into(), answers: "nn1: standby".into() },
            remote("org.apache.hadoop.ipc.RetriableException"),
            remote("java.io.IOException"),
        ] {
            assert!(transient.is_transient(), "{transient}");
            assert_eq!(transient.meaning().0, StoreErrorKind::Unavailable, "{transient}");
        }
        for (lasting, kind) in [
            (remote("java.io.FileNotFoundException"), StoreErrorKind::Corrupt),
            (
                remote("org.apache.hadoop.security.AccessControlException"),
                StoreErrorKind::Unavailable,
            ),
            (
                remote("org.apache.hadoop.hdfs.protocol.DSQuotaExceededException"),
                StoreErrorKind::Full,
            ),
            (HdfsError::NoSASLMechanism.into(), StoreErrorKind::Unavailable),
            (
                HdfsError::OperationFailed("Failed to load libgssapi_krb".into()).into(),
                StoreErrorKind::Unavailable,
            ),
            (HdfsError::InvalidArgument("none".into()).into(), StoreErrorKind::Incompatible),
        ] {
            assert!(!lasting.is_transient(), "{lasting}");
            assert_eq!(lasting.meaning().0, kind, "{lasting}");
        }
    }

    #[test]
    fn where_no_name_node_is_active_it_is_told_how_to_see_it() {
        let none = HdfsFailure::NoneActive { service: "games".into(), answers: String::new() };
        for failure in [remote("org.apache.hadoop.ipc.StandbyException"), none] {
            assert!(failure.meaning().1.unwrap().contains("haadmin"), "{failure}");
        }
    }

    #[test]
    fn errors_of_the_name_node_are_one_line() {
        let failure = remote("org.apache.hadoop.hdfs.protocol.DSQuotaExceededException");
        assert_eq!(failure.to_string(), "DSQuotaExceededException: No room.");
        let failure = HdfsFailure::from(HdfsError::RPCError("a.B".into(), "Text".into()));
        assert_eq!(failure.to_string(), "B: Text");
    }

    #[test]
    fn the_interface_tells_missing_and_taken() {
        let missing = HdfsFailure::from(HdfsError::FileNotFound("/a".into()));
        assert!(matches!(missing.about("/a"), object_store::Error::NotFound { .. }));
        let taken = HdfsFailure::from(HdfsError::AlreadyExists("/a".into()));
        assert!(matches!(taken.about("/a"), object_store::Error::AlreadyExists { .. }));
    }
}
