//! What the server answers to a command that writes.

use mongodb::bson::{Bson, Document};

/// One write of a command that failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct WriteError {
    /// Which write of the command.
    pub(super) index: usize,
    /// The server's error code.
    pub(super) code: i32,
    /// The server's words.
    pub(super) message: String,
    /// For a duplicate, whether the index is that of `_id`; not every server says so.
    pub(super) is_of_id: Option<bool>,
}

/// The answer to a command that writes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Answer {
    /// Documents inserted, matched or deleted.
    pub(super) count: u64,
    /// Writes that failed.
    pub(super) errors: Vec<WriteError>,
    /// Why the writes are not known to be durable, if they are not: code and words.
    pub(super) not_durable: Option<(i32, String)>,
}

impl Answer {
    /// Reads an answer; what it lacks counts as zero.
    pub(super) fn read(answer: &Document) -> Self {
        let errors = match answer.get_array("writeErrors") {
            Ok(errors) => errors.iter().filter_map(Bson::as_document).map(write_error).collect(),
            Err(_) => Vec::new(),
        };
        let not_durable = answer
            .get_document("writeConcernError")
            .ok()
            .map(|error| (number(error, "code") as i32, message(error)));
        Self { count: number(answer, "n").unsigned_abs(), errors, not_durable }
    }
}

fn write_error(error: &Document) -> WriteError {
    let is_of_id = error
        .get_document("keyPattern")
        .ok()
        .map(|pattern| pattern.len() == 1 && pattern.contains_key("_id"));
    WriteError {
        index: number(error, "index").unsigned_abs() as usize,
        code: number(error, "code") as i32,
        message: message(error),
        is_of_id,
    }
}

fn message(error: &Document) -> String {
    error.get_str("errmsg").unwrap_or("no reason given").to_owned()
}

/// A number in whatever type the server sends it.
fn number(document: &Document, name: &str) -> i64 {
    match document.get(name) {
        Some(Bson::Int32(value)) => i64::from(*value),
        Some(Bson::Int64(value)) => *value,
        Some(Bson::Double(value)) => *value as i64,
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use mongodb::bson::doc;

    use super::*;

    #[test]
    fn answers_of_both_kinds_of_servers_are_read() {
        let answer = Answer::read(&doc! {
            "n": 3,
            "writeErrors": [
                { "index": 1, "code": 11000, "errmsg": "E11000", "keyPattern": { "_id": 1 } },
                { "index": 2, "code": 11000, "errmsg": "E11000", "keyPattern": { "email": 1 } },
                { "index": 4_i64, "code": 11000, "errmsg": "E11000" },
            ],
            "writeConcernError": { "code": 64, "errmsg": "waiting for replication timed out" },
            "ok": 1.0,
        });
        assert_eq!(answer.count, 3);
        let seen: Vec<_> =
            answer.errors.iter().map(|error| (error.index, error.is_of_id)).collect();
        assert_eq!(seen, [(1, Some(true)), (2, Some(false)), (4, None)]);
        assert_eq!(answer.not_durable, Some((64, "waiting for replication timed out".to_owned())));
        assert_eq!(Answer::read(&doc! { "n": 0, "ok": 1.0 }), Answer::default());
    }
}
