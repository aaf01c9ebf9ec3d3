//! Finding a field by its name: by prediction, else by a small table of names.

use super::scan::skip_whitespace;

/// A fixed set of names, each standing for its index.
///
/// The names come from contracts, not from events, so that the cheap hash is safe: whatever an
/// event asks for, the search ends within the set's own collisions.
#[derive(Debug)]
pub(super) struct NameTable {
    names: Vec<Box<[u8]>>,
    /// Index of a name plus one; zero is a free slot. At least half of the slots are free.
    slots: Vec<u16>,
}

impl NameTable {
    /// Of equal names the first counts. Names beyond 32,767 are not found.
    pub(super) fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let names: Vec<Box<[u8]>> =
            names.into_iter().map(|name| name.as_bytes().into()).take(i16::MAX as usize).collect();
        let slot_count = (names.len() * 4).next_power_of_two().max(4);
        let mut table = Self { names: Vec::new(), slots: vec![0; slot_count] };
        for name in names {
            if table.find(&name).is_none() {
                let mut slot = hash(&name) & (slot_count - 1);
                while table.slots[slot] != 0 {
                    slot = (slot + 1) & (slot_count - 1);
                }
                table.slots[slot] = table.names.len() as u16 + 1;
            }
            table.names.push(name);
        }
        table
    }

    #[inline]
    pub(super) fn find(&self, name: &[u8]) -> Option<usize> {
        let mut slot = hash(name) & (self.slots.len() - 1);
        loop {
            let index = usize::from(*self.slots.get(slot)?).checked_sub(1)?;
            if *self.names[index] == *name {
                return Some(index);
            }
            slot = (slot + 1) & (self.slots.len() - 1);
        }
    }
}

/// Hash of the name's length and of its first and last eight bytes.
#[inline]
fn hash(name: &[u8]) -> usize {
    let (head, tail) = match (name.first_chunk::<8>(), name.last_chunk::<8>()) {
        (Some(head), Some(tail)) => (u64::from_le_bytes(*head), u64::from_le_bytes(*tail)),
        _ => (name.iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)), 0),
    };
    let mixed =
        (head ^ tail.rotate_left(29) ^ name.len() as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    (mixed >> 40) as usize
}

const LONGEST_PREDICTION: usize = 32;

/// For each length, the mask of a prediction's bytes that count.
const MASKS: [[u64; 4]; LONGEST_PREDICTION + 1] = {
    let mut masks = [[0; 4]; LONGEST_PREDICTION + 1];
    let mut length = 0;
    while length <= LONGEST_PREDICTION {
        let mut byte = 0;
        while byte < length {
            masks[length][byte / 8] |= 0xFF << (byte % 8 * 8);
            byte += 1;
        }
        length += 1;
    }
    masks
};

/// The text that stood between one value and the next when it was last seen, such as
/// `,"player_id":`, and the field that it announces.
///
/// One sender writes its events' fields in one order and with one style of white space. So the
/// next field is recognized by comparing 32 bytes at once, without looking for the key's end.
/// Whatever matches was valid JSON at the same place of an earlier object, and so is valid here.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Prediction {
    text: [u64; 4],
    length: u16,
    pub(super) field: u16,
}

impl Prediction {
    /// The prediction that `text` announces `field`; none where it is too long to be compared.
    pub(super) fn learn(text: &[u8], field: usize) -> Self {
        if text.len() > LONGEST_PREDICTION {
            return Self::default();
        }
        let mut padded = [0; LONGEST_PREDICTION];
        padded[..text.len()].copy_from_slice(text);
        Self { text: words(&padded), length: text.len() as u16, field: field as u16 }
    }

    /// Where the field's value starts, if the predicted text stands at `position`.
    #[inline(always)]
    pub(super) fn check(&self, bytes: &[u8], position: usize) -> Option<usize> {
        let window = bytes.get(position..)?.first_chunk::<LONGEST_PREDICTION>()?;
        let length = usize::from(self.length);
        let mask = &MASKS[length.min(LONGEST_PREDICTION)];
        let found = words(window);
        let mut difference = 0;
        for index in 0..4 {
            difference |= (found[index] ^ self.text[index]) & mask[index];
        }
        if difference != 0 || length == 0 {
            return None;
        }
        // Another sender may write more white space behind the colon.
        Some(skip_whitespace(bytes, position + length))
    }
}

#[inline(always)]
fn words(bytes: &[u8; LONGEST_PREDICTION]) -> [u64; 4] {
    let (words, _) = bytes.as_chunks::<8>();
    [
        u64::from_le_bytes(words[0]),
        u64::from_le_bytes(words[1]),
        u64::from_le_bytes(words[2]),
        u64::from_le_bytes(words[3]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_found_and_others_are_not() {
        let names: Vec<String> =
            (0..500).map(|index| format!("a_common_prefix_{index}_x")).collect();
        let table = NameTable::new(names.iter().map(String::as_str));
        for (index, name) in names.iter().enumerate() {
            assert_eq!(table.find(name.as_bytes()), Some(index));
        }
        assert_eq!(table.find(b"a_common_prefix_500_x"), None);
        assert_eq!(table.find(b""), None);
        assert_eq!(NameTable::new([]).find(b"a"), None);
        assert_eq!(NameTable::new(["a", "b", "a"]).find(b"a"), Some(0));
    }

    #[test]
    fn predictions_compare_their_own_length() {
        let text = format!(",\"key\":{{}}{}", " ".repeat(60));
        let prediction = Prediction::learn(b",\"key\":", 7);
        assert_eq!(prediction.check(text.as_bytes(), 0), Some(7));
        let spaced = text.replace("{}", " \n{}");
        assert_eq!(prediction.check(spaced.as_bytes(), 0), Some(9));
        assert_eq!(prediction.check(text.as_bytes(), 1), None);
        assert_eq!(prediction.check(b",\"key\":1", 0), None, "too close to the end");
        assert_eq!(Prediction::default().check(&[0; 64], 0), None);
        assert_eq!(Prediction::learn(&[b' '; 33], 1).check(&[b' '; 64], 0), None);
        assert_eq!(Prediction::learn(&[b'x'; 32], 1).check(&[b'x'; 64], 0), Some(32));
    }
}
