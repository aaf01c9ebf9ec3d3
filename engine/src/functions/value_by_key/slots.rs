//! The best row of each group: its key and its value.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, BooleanArray, Int64Array, StringArray, StringBuilder, new_empty_array,
};
use arrow::datatypes::DataType;
use datafusion::common::{Result, ScalarValue};
use datafusion::logical_expr::EmitTo;

/// Values by group.
pub(super) trait ValueStore {
    /// The column that values come in.
    type Column: ?Sized;

    /// Makes room for so many groups; the new ones have no value (NULL).
    fn resize(&mut self, groups: usize);

    /// Compares the value of a row with that of a group; NULL is greater than all.
    fn compare(&self, column: &Self::Column, row: usize, group: usize) -> Result<Ordering>;

    /// Puts the value of a row into a group.
    fn put(&mut self, group: usize, column: &Self::Column, row: usize) -> Result<()>;

    /// Takes the values of the groups to emit, and moves the others to the front.
    fn take(&mut self, emit: EmitTo) -> Result<ArrayRef>;

    /// Bytes that are held.
    fn size(&self) -> usize;
}

/// Keys and values by group.
#[derive(Debug)]
pub(super) struct Slots<V> {
    values: V,
    keys: Vec<i64>,
    seen: Vec<bool>,
    greatest: bool,
}

impl<V: ValueStore> Slots<V> {
    pub(super) fn new(values: V, greatest: bool) -> Self {
        Self { values, keys: Vec::new(), seen: Vec::new(), greatest }
    }

    pub(super) fn values(&self) -> &V {
        &self.values
    }

    /// Takes rows in. `groups[row]` is a row's group, less than `total`.
    pub(super) fn update(
        &mut self,
        values: &V::Column,
        keys: &Int64Array,
        groups: &[usize],
        filter: Option<&BooleanArray>,
        total: usize,
    ) -> Result<()> {
        self.keys.resize(total, 0);
        self.seen.resize(total, false);
        self.values.resize(total);
        for (row, &group) in groups.iter().enumerate() {
            if keys.is_null(row) {
                continue;
            }
            if filter.is_some_and(|filter| filter.is_null(row) || !filter.value(row)) {
                continue;
            }
            let key = keys.value(row);
            let better = if !self.seen[group] {
                true
            } else {
                let order = key.cmp(&self.keys[group]);
                match if self.greatest { order.reverse() } else { order } {
                    Ordering::Less => true,
                    Ordering::Greater => false,
                    Ordering::Equal => self.values.compare(values, row, group)? == Ordering::Less,
                }
            };
            if better {
                self.seen[group] = true;
                self.keys[group] = key;
                self.values.put(group, values, row)?;
            }
        }
        Ok(())
    }

    /// Takes values and keys of the groups to emit; a group without rows has NULL for both.
    pub(super) fn take(&mut self, emit: EmitTo) -> Result<(ArrayRef, Int64Array)> {
        let values = self.values.take(emit)?;
        let keys = emit.take_needed(&mut self.keys);
        let seen = emit.take_needed(&mut self.seen);
        Ok((values, Int64Array::new(keys.into(), Some(seen.into()))))
    }

    pub(super) fn size(&self) -> usize {
        self.values.size()
            + self.keys.capacity() * size_of::<i64>()
            + self.seen.capacity() * size_of::<bool>()
    }
}

/// Bytes of a text that fit beside its length.
const INLINE: usize = 12;

/// A text: inline if short, else in the arena.
#[derive(Debug, Clone, Copy)]
enum Text {
    Null,
    Inline {
        length: u8,
        bytes: [u8; INLINE],
    },
    /// `room` bytes of the arena are its own, of which it uses `length`.
    Arena {
        start: usize,
        length: u32,
        room: u32,
    },
}

/// Texts by group. Most are names of platforms and countries, which fit inline.
#[derive(Debug, Default)]
pub(super) struct Texts {
    texts: Vec<Text>,
    arena: Vec<u8>,
}

impl Texts {
    fn bytes<'a>(&'a self, text: &'a Text) -> Option<&'a [u8]> {
        match text {
            Text::Null => None,
            Text::Inline { length, bytes } => Some(&bytes[..usize::from(*length)]),
            Text::Arena { start, length, .. } => {
                Some(&self.arena[*start..*start + *length as usize])
            }
        }
    }
}

impl ValueStore for Texts {
    type Column = StringArray;

    fn resize(&mut self, groups: usize) {
        self.texts.resize(groups, Text::Null);
    }

    fn compare(&self, column: &StringArray, row: usize, group: usize) -> Result<Ordering> {
        let old = self.bytes(&self.texts[group]);
        let new = (!column.is_null(row)).then(|| column.value(row).as_bytes());
        Ok(match (new, old) {
            (Some(new), Some(old)) => new.cmp(old),
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (None, None) => Ordering::Equal,
        })
    }

    fn put(&mut self, group: usize, column: &StringArray, row: usize) -> Result<()> {
        let slot = &mut self.texts[group];
        if column.is_null(row) {
            *slot = Text::Null;
            return Ok(());
        }
        let new = column.value(row).as_bytes();
        if let Text::Arena { start, length, room } = slot
            && new.len() <= *room as usize
        {
            // In its own room, so that the arena does not grow with the number of rows.
            self.arena[*start..*start + new.len()].copy_from_slice(new);
            *length = new.len() as u32;
        } else if new.len() <= INLINE {
            let mut bytes = [0; INLINE];
            bytes[..new.len()].copy_from_slice(new);
            *slot = Text::Inline { length: new.len() as u8, bytes };
        } else {
            let length = new.len() as u32;
            *slot = Text::Arena { start: self.arena.len(), length, room: length };
            self.arena.extend_from_slice(new);
        }
        Ok(())
    }

    fn take(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let taken = emit.take_needed(&mut self.texts);
        let bytes = taken.iter().filter_map(|text| self.bytes(text)).map(<[u8]>::len).sum();
        let mut builder = StringBuilder::with_capacity(taken.len(), bytes);
        for text in &taken {
            match self.bytes(text).map(str::from_utf8).transpose() {
                Ok(value) => builder.append_option(value),
                Err(error) => return Err(arrow::error::ArrowError::from(error).into()),
            }
        }
        if self.texts.is_empty() {
            self.arena = Vec::new();
        }
        Ok(Arc::new(builder.finish()))
    }

    fn size(&self) -> usize {
        self.texts.capacity() * size_of::<Text>() + self.arena.capacity()
    }
}

/// Values of any other type by group. A value is only made when a row wins.
#[derive(Debug)]
pub(super) struct Values {
    values: Vec<ScalarValue>,
    null: Option<ScalarValue>,
    data_type: DataType,
}

impl Values {
    pub(super) fn new(data_type: DataType) -> Self {
        Self { values: Vec::new(), null: ScalarValue::try_from(&data_type).ok(), data_type }
    }

    pub(super) fn data_type(&self) -> &DataType {
        &self.data_type
    }
}

impl ValueStore for Values {
    type Column = ArrayRef;

    fn resize(&mut self, groups: usize) {
        let null = self.null.clone().unwrap_or(ScalarValue::Null);
        self.values.resize(groups, null);
    }

    fn compare(&self, column: &ArrayRef, row: usize, group: usize) -> Result<Ordering> {
        let old = &self.values[group];
        match (column.is_null(row), old.is_null()) {
            (true, true) => Ok(Ordering::Equal),
            (true, false) => Ok(Ordering::Greater),
            (false, true) => Ok(Ordering::Less),
            (false, false) => {
                let new = ScalarValue::try_from_array(column, row)?;
                Ok(new.partial_cmp(old).unwrap_or(Ordering::Equal))
            }
        }
    }

    fn put(&mut self, group: usize, column: &ArrayRef, row: usize) -> Result<()> {
        self.values[group] = ScalarValue::try_from_array(column, row)?;
        Ok(())
    }

    fn take(&mut self, emit: EmitTo) -> Result<ArrayRef> {
        let taken = emit.take_needed(&mut self.values);
        if taken.is_empty() {
            return Ok(new_empty_array(&self.data_type));
        }
        ScalarValue::iter_to_array(taken)
    }

    fn size(&self) -> usize {
        self.values.iter().map(ScalarValue::size).sum::<usize>()
            + (self.values.capacity() - self.values.len()) * size_of::<ScalarValue>()
    }
}
