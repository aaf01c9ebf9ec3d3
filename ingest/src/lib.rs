//! How events get in: sources, decoding, deduplication, landing, quarantine, and the simulator.
//!
//! [`batch`] keeps the order of one micro-batch, which every source goes through; [`sources`] are
//! files, standard input, the HTTP collector and replays of the quarantine.

pub mod batch;
pub mod decode;
pub mod error;
pub mod simulate;
pub mod sources;
pub mod verify;
