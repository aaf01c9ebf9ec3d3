//! Records that a topic no longer has although they were never read. Nobody goes on behind them
//! without being told to.

/// Why records are missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// The topic has dropped its oldest records before they were read.
    Truncated,
    /// Other records stand where records have been read: the topic was deleted and made anew, or
    /// lost its end.
    Recreated,
}

impl GapReason {
    /// The name that is stored and shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Truncated => "truncated",
            Self::Recreated => "recreated",
        }
    }

    /// The reason of this name.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Truncated, Self::Recreated].into_iter().find(|reason| reason.name() == name)
    }
}

/// A gap in one partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// Topic.
    pub topic: String,
    /// Partition of the topic.
    pub partition: i32,
    /// The position at which it was found: the first record that was not read.
    pub from_offset: i64,
    /// First record that is there.
    pub to_offset: i64,
    /// Why.
    pub reason: GapReason,
    /// What was found, for a person.
    pub detail: String,
}

/// A gap as the ledger has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GapEntry {
    /// The gap as it was found last.
    pub gap: Gap,
    /// When it was found first (milliseconds since 1970, UTC).
    pub found_at: i64,
    /// When somebody decided to go on behind it.
    pub accepted_at: Option<i64>,
}
