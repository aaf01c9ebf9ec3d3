//! What goes wrong between a game client and the pipeline, on request.
//!
//! Faults draw from a stream of their own: the same seed tells the same story with and without
//! them, but for the clocks that are wrong.

use serde::{Deserialize, Serialize};

use super::catalog::GAME;
use super::player::PlayerId;
use super::random::Random;
use super::writer::{DateText, write_event_id, write_hex};
use super::{DAY_MS, SimulateError};

/// How many of the events suffer from which fault: shares between 0 and 1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct FaultRates {
    /// Sent again, byte for byte: at once, or up to half a day later.
    pub duplicates: f64,
    /// Written up to ten days after their time.
    pub late: f64,
    /// Written up to five minutes after their time, behind later events.
    pub out_of_order: f64,
    /// With a time that is wrong by up to twelve hours, since the client's clock is.
    pub skewed: f64,
    /// Followed by an additional line that does not fit its contract.
    pub malformed: f64,
}

impl FaultRates {
    /// What a live game sees on an ordinary day, a little exaggerated.
    pub fn typical() -> Self {
        Self { duplicates: 0.01, late: 0.01, out_of_order: 0.02, skewed: 0.003, malformed: 0.002 }
    }

    /// # Errors
    /// If a share does not lie between 0 and 1.
    pub(super) fn check(&self) -> Result<(), SimulateError> {
        let rates = [
            ("duplicates", self.duplicates),
            ("late", self.late),
            ("out_of_order", self.out_of_order),
            ("skewed", self.skewed),
            ("malformed", self.malformed),
        ];
        for (name, rate) in rates {
            if !(0.0..=1.0).contains(&rate) {
                return Err(SimulateError::Options(format!(
                    "the share of {name} events must lie between 0 and 1, not be {rate}"
                )));
            }
        }
        Ok(())
    }
}

const LONGEST_DISORDER_MS: u32 = 5 * 60_000;
const LONGEST_DELAY_MS: u32 = 10 * DAY_MS as u32;
const LONGEST_RESEND_MS: u32 = DAY_MS as u32 / 2;

/// Decides on faults.
#[derive(Debug)]
pub(super) struct FaultInjector {
    rates: FaultRates,
    random: Random,
    scratch: Vec<u8>,
}

impl FaultInjector {
    pub(super) fn new(rates: FaultRates, random: Random) -> Self {
        Self { rates, random, scratch: Vec::new() }
    }

    fn strikes(&mut self, rate: f64) -> bool {
        rate > 0.0 && self.random.chance(rate)
    }

    /// Whether the client's clock is wrong for this event.
    pub(super) fn skews(&mut self) -> bool {
        self.strikes(self.rates.skewed)
    }

    /// Milliseconds between an event and its line.
    pub(super) fn delay_ms(&mut self) -> i64 {
        if self.strikes(self.rates.late) {
            // Most of what is late is so by hours, but some by days.
            let furthest = self.random.between(60_000, LONGEST_DELAY_MS);
            return i64::from(self.random.between(60_000, furthest));
        }
        if self.strikes(self.rates.out_of_order) {
            return i64::from(self.random.between(1, LONGEST_DISORDER_MS));
        }
        0
    }

    /// Milliseconds between a line and its repetition, if it is repeated.
    pub(super) fn repetition_ms(&mut self) -> Option<i64> {
        if !self.strikes(self.rates.duplicates) {
            return None;
        }
        if self.random.chance(0.5) {
            return Some(0);
        }
        Some(i64::from(self.random.between(1_000, LONGEST_RESEND_MS)))
    }

    /// A line that must not be accepted, if there is one; it ends with a newline and has no other.
    pub(super) fn malformed_line(
        &mut self,
        player: PlayerId,
        epoch_ms: i64,
        dates: &mut DateText,
    ) -> Option<&[u8]> {
        if !self.strikes(self.rates.malformed) {
            return None;
        }
        let kind = *self.random.pick(&Malformation::ALL);
        self.scratch.clear();
        let event_id = [self.random.bits(), self.random.bits()];
        let cut = self.random.unit();
        write_malformed(
            &mut self.scratch,
            kind,
            Subject { player, epoch_ms, event_id, cut },
            dates,
        );
        self.scratch.push(b'\n');
        Some(&self.scratch)
    }
}

/// The ways in which a line can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Malformation {
    Truncated,
    WrongType,
    MissingField,
    NumberTooLarge,
    CheckViolated,
    DuplicateKey,
    LoneSurrogate,
    UnknownType,
    NullField,
    FutureTime,
    NotAnObject,
    InvalidUtf8,
}

impl Malformation {
    const ALL: [Self; 12] = [
        Self::Truncated,
        Self::WrongType,
        Self::MissingField,
        Self::NumberTooLarge,
        Self::CheckViolated,
        Self::DuplicateKey,
        Self::LoneSurrogate,
        Self::UnknownType,
        Self::NullField,
        Self::FutureTime,
        Self::NotAnObject,
        Self::InvalidUtf8,
    ];
}

/// What a malformed line is about.
#[derive(Debug, Clone, Copy)]
struct Subject {
    player: PlayerId,
    epoch_ms: i64,
    event_id: [u64; 2],
    /// Where a truncated line ends, as a part of its length.
    cut: f64,
}

/// Writes a purchase that is wrong in one way.
fn write_malformed(out: &mut Vec<u8>, kind: Malformation, subject: Subject, dates: &mut DateText) {
    if kind == Malformation::NotAnObject {
        let lines: [&[u8]; 4] = [b"[1,2,3]", b"\"purchase\"", b"42", b"null"];
        out.extend_from_slice(lines[(subject.event_id[0] % 4) as usize]);
        return;
    }
    out.extend_from_slice(b"{\"event_id\":\"");
    write_event_id(out, subject.epoch_ms, subject.event_id);
    let event_type = match kind {
        Malformation::UnknownType => "purchase_refunded",
        _ => "purchase",
    };
    out.extend_from_slice(b"\",\"event_type\":\"");
    out.extend_from_slice(event_type.as_bytes());
    if kind == Malformation::FutureTime {
        out.extend_from_slice(b"\",\"event_time\":\"2099-12-31T23:59:59.000Z\"");
    } else {
        out.extend_from_slice(b"\",\"event_time\":\"");
        dates.write_timestamp(out, subject.epoch_ms);
        out.push(b'"');
    }
    if kind != Malformation::MissingField {
        out.extend_from_slice(b",\"player_id\":\"");
        out.extend_from_slice(PlayerId::PREFIX.as_bytes());
        write_hex(out, subject.player.0);
        out.push(b'"');
    }
    if kind == Malformation::DuplicateKey {
        out.extend_from_slice(b",\"event_type\":\"purchase\"");
    }
    out.extend_from_slice(b",\"game\":\"");
    out.extend_from_slice(GAME.as_bytes());
    out.extend_from_slice(b"\",\"properties\":{\"purchase_id\":\"pay_");
    write_hex(out, subject.event_id[1]);
    out.extend_from_slice(b"\",\"item_id\":\"gem_chest\",\"item_name\":\"");
    out.extend_from_slice(match kind {
        Malformation::LoneSurrogate => b"Chest \\ud83d of Gems",
        Malformation::InvalidUtf8 => b"Chest \xff\xfe of Gems",
        _ => b"Chest of Gems",
    });
    out.extend_from_slice(b"\",\"item_category\":\"booster\",\"price_usd\":");
    let price: &[u8] = match kind {
        Malformation::NumberTooLarge => b"123456789012.34",
        Malformation::NullField => b"null",
        _ => b"4.99",
    };
    out.extend_from_slice(price);
    out.extend_from_slice(b",\"quantity\":");
    let quantity: &[u8] = match kind {
        Malformation::WrongType => b"\"many\"",
        Malformation::CheckViolated => b"0",
        _ => b"1",
    };
    out.extend_from_slice(quantity);
    out.extend_from_slice(b",\"store\":\"web_shop\"}}");
    if kind == Malformation::Truncated {
        let longest = out.len() - 1;
        out.truncate(1 + (subject.cut * (longest - 1) as f64) as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(kind: Malformation, cut: f64) -> Vec<u8> {
        let mut out = Vec::new();
        let subject =
            Subject { player: PlayerId(7), epoch_ms: 1_767_225_600_000, event_id: [1, 2], cut };
        write_malformed(&mut out, kind, subject, &mut DateText::new());
        out
    }

    #[test]
    fn malformed_lines_are_single_lines_and_wrong_in_their_own_way() {
        for kind in Malformation::ALL {
            for cut in [0.0, 0.3, 0.999_999] {
                let line = line(kind, cut);
                assert!(!line.is_empty() && !line.contains(&b'\n'), "{kind:?}");
                let parsed = serde_json::from_slice::<serde_json::Value>(&line);
                let breaks_json = matches!(
                    kind,
                    Malformation::Truncated
                        | Malformation::LoneSurrogate
                        | Malformation::InvalidUtf8
                );
                assert_eq!(parsed.is_err(), breaks_json, "{kind:?}");
            }
        }
    }

    #[test]
    fn a_share_outside_of_0_to_1_is_refused() {
        for wrong in [-0.1, 1.1, f64::NAN] {
            let error = FaultRates { late: wrong, ..FaultRates::default() }.check().unwrap_err();
            assert!(error.to_string().contains("late"), "{error}");
        }
        FaultRates::typical().check().unwrap();
    }

    #[test]
    fn without_rates_nothing_goes_wrong() {
        let mut faults = FaultInjector::new(FaultRates::default(), Random::new(1, 1));
        assert!(!faults.skews());
        assert_eq!(faults.delay_ms(), 0);
        assert_eq!(faults.repetition_ms(), None);
        assert!(faults.malformed_line(PlayerId(1), 0, &mut DateText::new()).is_none());
    }
}
