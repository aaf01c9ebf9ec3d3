//! The identity of a file is its content: a file that is given twice, under another name, packed or
//! grown, goes on where its content was read to.

use std::io::Read;

use questlake_engine::stores::ledger::{ContentMark, HEAD_BYTES, PartitionStatus};
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// Prefix of the topics of files.
pub const FILE_TOPIC: &str = "file:";

/// Bytes read at a time while known content is looked for.
const COMPARE_BYTES: usize = 1 << 20;

/// The content that has been read so far.
#[derive(Clone)]
pub struct ContentHash {
    head: Vec<u8>,
    prefix: Xxh3,
}

impl ContentHash {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self { head: Vec::with_capacity(HEAD_BYTES), prefix: Xxh3::new() }
    }

    /// Adds what was read next.
    pub fn update(&mut self, bytes: &[u8]) {
        let missing = HEAD_BYTES - self.head.len();
        self.head.extend_from_slice(&bytes[..missing.min(bytes.len())]);
        self.prefix.update(bytes);
    }

    /// The mark of all that was added.
    pub fn mark(&self) -> ContentMark {
        ContentMark { head_hash: xxh3_128(&self.head), prefix_hash: self.prefix.digest128() }
    }
}

impl Default for ContentHash {
    fn default() -> Self {
        Self::new()
    }
}

/// What a file is known as.
pub struct Identified {
    /// Its topic in the ledger.
    pub topic: String,
    /// Bytes of it that are committed.
    pub position: u64,
    /// The hash of these bytes.
    pub hash: ContentHash,
}

/// Finds out whether the ledger knows the beginning of a content.
///
/// `open` gives the content from its first byte; it is read as far as the longest known content
/// that begins like it. `name` becomes part of the topic of a new content.
pub fn identify<R: Read>(
    name: &str,
    partitions: &[PartitionStatus],
    mut open: impl FnMut() -> std::io::Result<R>,
) -> std::io::Result<Identified> {
    let head = read_head(&mut open()?)?;
    let mut known: Vec<(u64, &PartitionStatus)> = partitions
        .iter()
        .filter(|partition| partition.claim.topic.starts_with(FILE_TOPIC))
        .filter_map(|partition| {
            let length = u64::try_from(partition.claim.next_offset).ok()?;
            let mark = partition.content.as_ref()?;
            let head_length = usize::try_from(length).unwrap_or(usize::MAX).min(HEAD_BYTES);
            let same_head = length > 0
                && head_length <= head.len()
                && xxh3_128(&head[..head_length]) == mark.head_hash;
            same_head.then_some((length, partition))
        })
        .collect();
    known.sort_by_key(|(length, _)| *length);
    if let Some(found) = longest_match(&known, &mut open()?)? {
        return Ok(found);
    }
    Ok(Identified {
        topic: new_topic(name, &head, partitions),
        position: 0,
        hash: ContentHash::new(),
    })
}

fn read_head(content: &mut impl Read) -> std::io::Result<Vec<u8>> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    content.take(HEAD_BYTES as u64).read_to_end(&mut head)?;
    Ok(head)
}

/// The longest known content that this one begins with.
fn longest_match(
    known: &[(u64, &PartitionStatus)],
    content: &mut impl Read,
) -> std::io::Result<Option<Identified>> {
    let mut best = None;
    let mut hash = ContentHash::new();
    let mut position = 0;
    let mut buffer = vec![0; COMPARE_BYTES];
    for (length, partition) in known {
        while position < *length {
            let wanted = usize::try_from(*length - position).unwrap_or(usize::MAX);
            let wanted = wanted.min(buffer.len());
            let read = content.read(&mut buffer[..wanted])?;
            if read == 0 {
                return Ok(best);
            }
            hash.update(&buffer[..read]);
            position += read as u64;
        }
        let mark = partition.content.as_ref();
        if mark.is_some_and(|mark| mark.prefix_hash == hash.mark().prefix_hash) {
            best = Some(Identified {
                topic: partition.claim.topic.to_string(),
                position,
                hash: hash.clone(),
            });
        }
    }
    Ok(best)
}

/// A topic for a new content. It depends on name and head alone, so that after a crash before the
/// first commit the records come under the same physical keys; only where other content has been
/// committed under that topic a number is added.
fn new_topic(name: &str, head: &[u8], partitions: &[PartitionStatus]) -> String {
    let taken = |topic: &str| {
        partitions
            .iter()
            .any(|partition| &*partition.claim.topic == topic && partition.claim.next_offset > 0)
    };
    let name: String =
        name.chars().map(|c| if c.is_control() { '_' } else { c }).take(100).collect();
    let base = format!("{FILE_TOPIC}{name}:{:016x}", xxh3_128(head) as u64);
    let mut topic = base.clone();
    let mut number = 2;
    while taken(&topic) {
        topic = format!("{base}-{number}");
        number += 1;
    }
    topic
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use questlake_engine::stores::ledger::{Claim, Counts};

    use super::*;

    fn partition(topic: &str, content: &[u8]) -> PartitionStatus {
        let mut hash = ContentHash::new();
        for chunk in content.chunks(1000) {
            hash.update(chunk);
        }
        PartitionStatus {
            claim: Claim {
                topic: topic.into(),
                partition: 0,
                epoch: 1,
                next_offset: content.len() as i64,
            },
            counts: Counts::default(),
            content: Some(hash.mark()),
            updated_at: 0,
        }
    }

    fn found(content: &[u8], known: &[PartitionStatus]) -> (String, u64) {
        let found = identify("a.ndjson", known, || Ok(Cursor::new(content))).unwrap();
        (found.topic, found.position)
    }

    #[test]
    fn content_is_recognised_whatever_its_name_and_length() {
        let content: Vec<u8> = (0..50_000_u32).flat_map(|n| n.to_le_bytes()).collect();
        let known = [
            partition("file:short", &content[..100]),
            partition("file:long", &content[..10_000]),
            partition("file:longer-than-the-file", &content),
            partition("http", &content[..9_000]),
        ];
        assert_eq!(found(&content[..20_000], &known), ("file:long".to_owned(), 10_000));
        assert_eq!(found(&content[..10_000], &known), ("file:long".to_owned(), 10_000));
        assert_eq!(found(&content[..9_999], &known), ("file:short".to_owned(), 100));
        assert_eq!(found(&content, &known).0, "file:longer-than-the-file");
        assert_eq!(found(&content[..50], &known).1, 0);
    }

    #[test]
    fn other_content_with_the_same_head_is_new() {
        let mut content = vec![b'x'; 10_000];
        let known = [partition("file:x", &content)];
        content[9_000] = b'y';
        let (topic, position) = found(&content, &known);
        assert_eq!(position, 0);
        let taken = [partition(&topic, b"something else")];
        assert_eq!(found(&content, &taken).0, format!("{topic}-2"));
    }
}
