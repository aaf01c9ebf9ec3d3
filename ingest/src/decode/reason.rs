//! Why a record is refused: the stable codes that quarantine stores and people filter by.

use std::fmt;

/// Why a record does not become a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectReason {
    /// The record has more bytes than the limit, or its batch has more than two gibibytes.
    RecordTooLong,
    /// The record's bytes are not UTF-8.
    InvalidUtf8,
    /// The record is not JSON as RFC 8259 defines it.
    MalformedJson,
    /// The record is JSON, but not an object.
    NotAnObject,
    /// Objects and arrays are nested deeper than the limit.
    TooDeep,
    /// A `\u` escape is half of a surrogate pair.
    LoneSurrogate,
    /// A text has the character U+0000, which the warehouse cannot store.
    NulCharacter,
    /// A key stands twice in one object.
    DuplicateKey,
    /// A property has a name that Questlake needs for itself.
    ReservedKey,
    /// More unknown fields than the limit.
    TooManyFields,
    /// A required field is absent.
    MissingField,
    /// A required field is `null`.
    NullNotAllowed,
    /// A required text is empty.
    EmptyValue,
    /// A value's JSON type is not the one that the contract asks for.
    WrongType,
    /// A number does not fit its column exactly.
    NumberOutOfRange,
    /// A text is longer than its column allows.
    ValueTooLong,
    /// A time or date is not one.
    InvalidTimestamp,
    /// `country` is not a two-letter code.
    InvalidCountry,
    /// The event happened later than the clock allows.
    FutureEvent,
    /// No contract has this event type.
    UnknownEventType,
    /// A `CHECK` constraint of the contract is false.
    CheckViolated,
    /// The hot store does not take the document: it is too large for it, or contradicts an index or
    /// rule that somebody gave it.
    RefusedByHotStore,
    /// The record was read, but its row could not be built: a defect of the decoder.
    DecoderFault,
}

impl RejectReason {
    /// Every reason, in the order of the checks.
    pub const ALL: [Self; 23] = [
        Self::RecordTooLong,
        Self::InvalidUtf8,
        Self::MalformedJson,
        Self::NotAnObject,
        Self::TooDeep,
        Self::LoneSurrogate,
        Self::NulCharacter,
        Self::DuplicateKey,
        Self::ReservedKey,
        Self::TooManyFields,
        Self::MissingField,
        Self::NullNotAllowed,
        Self::EmptyValue,
        Self::WrongType,
        Self::NumberOutOfRange,
        Self::ValueTooLong,
        Self::InvalidTimestamp,
        Self::InvalidCountry,
        Self::FutureEvent,
        Self::UnknownEventType,
        Self::CheckViolated,
        Self::RefusedByHotStore,
        Self::DecoderFault,
    ];

    /// The stored name. Never changes once released.
    pub fn code(self) -> &'static str {
        match self {
            Self::RecordTooLong => "record_too_long",
            Self::InvalidUtf8 => "invalid_utf8",
            Self::MalformedJson => "malformed_json",
            Self::NotAnObject => "not_an_object",
            Self::TooDeep => "too_deep",
            Self::LoneSurrogate => "lone_surrogate",
            Self::NulCharacter => "nul_character",
            Self::DuplicateKey => "duplicate_key",
            Self::ReservedKey => "reserved_key",
            Self::TooManyFields => "too_many_fields",
            Self::MissingField => "missing_field",
            Self::NullNotAllowed => "null_not_allowed",
            Self::EmptyValue => "empty_value",
            Self::WrongType => "wrong_type",
            Self::NumberOutOfRange => "number_out_of_range",
            Self::ValueTooLong => "value_too_long",
            Self::InvalidTimestamp => "invalid_timestamp",
            Self::InvalidCountry => "invalid_country",
            Self::FutureEvent => "future_event",
            Self::UnknownEventType => "unknown_event_type",
            Self::CheckViolated => "check_violated",
            Self::RefusedByHotStore => "refused_by_hot_store",
            Self::DecoderFault => "decoder_fault",
        }
    }

    /// The reason that [`code`](Self::code) gave this name to.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| reason.code() == code)
    }

    /// How to mend a record that was refused for this reason, in one sentence.
    pub fn advice(self) -> &'static str {
        match self {
            Self::RecordTooLong => "Send smaller events, or raise the limit of bytes per record.",
            Self::InvalidUtf8 => "Encode the event as UTF-8 before sending it.",
            Self::MalformedJson => "Send one complete JSON object per message or line.",
            Self::NotAnObject => "Wrap the event in one JSON object; send a list as single events.",
            Self::TooDeep => "Flatten the event, or raise the limit of nesting.",
            Self::LoneSurrogate => "Write characters beyond U+FFFF as a pair of \\u escapes.",
            Self::NulCharacter => "Remove the character U+0000 from the text.",
            Self::DuplicateKey => "Send each key once per object.",
            Self::ReservedKey => "Rename the property.",
            Self::TooManyFields => "Put the unknown fields in one property of type JSON.",
            Self::MissingField => "Send the field, or let its column be nullable in the contract.",
            Self::NullNotAllowed => "Send a value, or let the column be nullable in the contract.",
            Self::EmptyValue => "Send a text of at least one character.",
            Self::WrongType => {
                "Send the JSON type that the contract asks for, or mend the contract."
            }
            Self::NumberOutOfRange => {
                "Send a number that fits, or widen the column in the contract."
            }
            Self::ValueTooLong => "Shorten the text, or widen the column in the contract.",
            Self::InvalidTimestamp => {
                "Send RFC 3339 such as 2026-01-31T12:00:00.000Z, or epoch milliseconds."
            }
            Self::InvalidCountry => "Send the ISO 3166-1 alpha-2 code, such as DE, or null.",
            Self::FutureEvent => {
                "Set the sender's clock right, or replay the event when it is due."
            }
            Self::UnknownEventType => {
                "Add a contract for the event type under sql/events, or mend its name."
            }
            Self::CheckViolated => "Send a value that the CHECK allows, or mend the constraint.",
            Self::RefusedByHotStore => {
                "Remove the index or rule that the hot store names, or send smaller events, and \
                 replay the record."
            }
            Self::DecoderFault => "Report it as a defect of Questlake, with the record.",
        }
    }
}

impl fmt::Display for RejectReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_leads_back_to_its_reason() {
        for reason in RejectReason::ALL {
            assert_eq!(RejectReason::from_code(reason.code()), Some(reason));
            assert!(reason.advice().ends_with('.'));
        }
        assert_eq!(RejectReason::from_code("no_such_reason"), None);
    }
}
