//! What a refused record is told: the rare and slow path.

use questlake_engine::project::contract::envelope;

use super::fault::{Fault, echo};
use super::record::Refused;
use super::scan::{Content, read_string, skip_whitespace};
use super::value::ValueChecker;
use super::walk::{NextKey, next_key};

/// Sees to it that a record's reason does not depend on the order of its fields.
///
/// Reading stops at the first fault, which may be a wrong value although the JSON is broken further
/// on, or come before the event type. Here the whole record is looked at: broken JSON comes before
/// all other reasons, and the event type is found wherever it stands.
pub(super) fn explain(
    mut refused: Refused,
    record: &[u8],
    max_depth: usize,
    checker: &mut ValueChecker,
) -> Refused {
    if let Some(fault) = broken_json(record, max_depth, checker) {
        refused.fault = fault;
    }
    if refused.event_type.is_none() {
        refused.event_type = find_event_type(record, max_depth, checker);
    }
    refused
}

fn broken_json(record: &[u8], max_depth: usize, checker: &mut ValueChecker) -> Option<Box<Fault>> {
    let start = skip_whitespace(record, 0);
    match checker.skip_value(record, start, max_depth, Content::Grammar) {
        Ok(end) => {
            let rest = skip_whitespace(record, end);
            (rest != record.len())
                .then(|| Fault::malformed(record, rest, "nothing behind the JSON value"))
        }
        Err(fault) => Some(fault),
    }
}

/// The event type, as far as the record can be read. Of several, the first.
fn find_event_type(record: &[u8], max_depth: usize, checker: &mut ValueChecker) -> Option<String> {
    let mut arena = Vec::new();
    let start = skip_whitespace(record, 0);
    if record.get(start) != Some(&b'{') {
        return None;
    }
    let mut position = start + 1;
    let mut is_first = true;
    loop {
        arena.clear();
        match next_key(record, position, is_first, &mut arena).ok()? {
            NextKey::End(_) => return None,
            NextKey::Key { name, value, .. } => {
                let is_event_type = name.resolve(record, &arena) == envelope::EVENT_TYPE.as_bytes();
                if is_event_type && record.get(value) == Some(&b'"') {
                    let (text, _) = read_string(record, value + 1, &mut arena).ok()?;
                    return Some(echo(text.resolve(record, &arena)));
                }
                position = checker.skip_value(record, value, max_depth, Content::Grammar).ok()?;
            }
        }
        is_first = false;
    }
}
