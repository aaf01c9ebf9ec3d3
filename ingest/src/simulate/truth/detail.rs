//! What the counters have to know of an event beside its type, its time and its place.

use crate::simulate::catalog::{Currency, FlowReason, LevelResult};

/// What an event tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulate) enum Detail {
    /// Nothing that counts.
    None,
    /// The player is new.
    Registration,
    /// A step of the tutorial, counted from 1, whatever its outcome.
    TutorialStep { number: u8 },
    /// The beginning of an attempt. Its end, if there is one, follows before any other attempt.
    LevelStart { level: u32 },
    /// The end of an attempt; `attempt` counts the player's attempts at this level, from 1.
    LevelEnd { level: u32, attempt: u32, result: LevelResult, duration_ms: i64 },
    /// A currency comes in or goes out.
    Flow(Flow),
    /// A purchase: price × quantity in cents of a US dollar.
    Purchase { cents: i64 },
    /// An advertisement: millionths of a US dollar.
    Ad { micros: i64 },
    /// The player is shown a variant: index of the experiment, number of the variant.
    Exposure { experiment: usize, variant: usize },
    /// An error of the client.
    ClientError { fatal: bool },
}

/// An amount of a currency that comes in or goes out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulate) struct Flow {
    pub(in crate::simulate) currency: Currency,
    pub(in crate::simulate) reason: FlowReason,
    pub(in crate::simulate) amount: i64,
    /// What the player has afterwards.
    pub(in crate::simulate) balance: i64,
}
