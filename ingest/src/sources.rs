//! Where events come from.
//!
//! | source | physical key | after a crash |
//! |---|---|---|
//! | [`mod@file`] | the content's identity, 0, byte offset | goes on at the committed byte |
//! | [`kafka`] | topic, partition, offset | goes on at the ledger's position, in any process of the group |
//! | [`queue`] (HTTP, standard input, replays) | the queue, its slot, record number | queued records are taken in first |
//!
//! A source hands its records to [`batch`](crate::batch) under a claim of their partition, and
//! under the same physical keys each time.

pub mod body;
pub mod collector;
pub mod content;
pub mod file;
pub mod intake;
pub mod kafka;
pub mod queue;
mod read_body;
pub mod replay;
pub mod spool;
pub mod stdin;
