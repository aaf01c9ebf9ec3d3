//! How large a function's result will be, before it is computed.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array};
use arrow::compute::cast;
use arrow::compute::kernels::length::length;
use arrow::datatypes::{DataType, Int64Type, IntervalMonthDayNanoType, IntervalUnit, TimeUnit};
use datafusion::logical_expr::ColumnarValue;

/// Bytes that an element of a list takes at least, with its place in the list.
const ELEMENT_BYTES: u64 = 8;

/// Bytes that one letter of a pattern for times becomes at most: `%c` is a whole date.
const PATTERN_FACTOR: u64 = 16;

const DAY_MICROSECONDS: u64 = 86_400_000_000;

/// How the size of a function's result follows from its arguments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Growth {
    /// The first argument as often as the second says.
    Repeat,
    /// As many letters as the second argument says.
    Pad,
    /// The third argument in the place of each match of the second in the first.
    Replace,
    /// All arguments behind each other.
    Join,
    /// All arguments but the first, which comes between them.
    JoinWith,
    /// The letters of a text, each by itself.
    Split,
    /// The elements of a list with the second argument between them.
    JoinElements,
    /// Each group of a pattern may match all of the text.
    Match,
    /// A time as a pattern says.
    Format,
    /// The first argument, as many times as the second says, as a list.
    RepeatElement,
    /// A list of as many elements as the second argument says.
    Resize,
    /// The third argument in the place of elements of the first.
    ReplaceElements,
    /// The numbers or times from the first argument to the second.
    Series,
}

/// How a function's result grows, for those whose result can be much larger than what they are given.
pub(super) fn growth(function: &str) -> Option<Growth> {
    Some(match function {
        "repeat" => Growth::Repeat,
        "lpad" | "rpad" => Growth::Pad,
        "replace" | "regexp_replace" => Growth::Replace,
        "concat_ws" => Growth::JoinWith,
        "concat" | "overlay" | "translate" | "make_array" | "array_append" | "array_prepend"
        | "array_concat" | "array_union" | "map" => Growth::Join,
        "string_to_array" => Growth::Split,
        "array_to_string" => Growth::JoinElements,
        "regexp_match" => Growth::Match,
        "to_char" => Growth::Format,
        "array_repeat" => Growth::RepeatElement,
        "array_resize" => Growth::Resize,
        "array_replace" | "array_replace_n" | "array_replace_all" => Growth::ReplaceElements,
        "range" | "generate_series" => Growth::Series,
        _ => return None,
    })
}

impl Growth {
    /// Whether what is estimated is about what comes, rather than the most that can come.
    pub(super) fn is_exact(self) -> bool {
        !matches!(self, Self::Replace | Self::Split | Self::Match | Self::ReplaceElements)
    }

    /// Bytes of the result, row by row, or `None` where the arguments tell nothing.
    pub(super) fn bytes(self, arguments: &[ColumnarValue], rows: usize) -> Option<Vec<u64>> {
        let sizes = |index: usize| sizes(arguments.get(index)?, rows);
        let counts = |index: usize| counts(arguments.get(index)?, rows);
        Some(match self {
            Self::Repeat => product(sizes(0)?, &counts(1)?),
            Self::Pad => counts(1)?,
            Self::Replace => {
                let (text, replacement) = (sizes(0)?, sizes(2)?);
                let pairs = text.into_iter().zip(replacement);
                // Half of a replacement may be names of groups, which together match all of the text.
                pairs
                    .map(|(text, new)| {
                        let matches = text.saturating_add(1);
                        matches.saturating_mul(new.max(1)).saturating_mul(2)
                    })
                    .collect()
            }
            Self::Join => {
                let mut total = vec![0_u64; rows];
                for argument in arguments {
                    for (total, size) in total.iter_mut().zip(self::sizes(argument, rows)?) {
                        *total = total.saturating_add(size);
                    }
                }
                total
            }
            Self::JoinWith => {
                let gaps = arguments.len().saturating_sub(2) as u64;
                let between = sizes(0)?.into_iter().map(|size| size.saturating_mul(gaps));
                let parts = Self::Join.bytes(arguments.get(1..)?, rows)?;
                between.zip(parts).map(|(between, parts)| between.saturating_add(parts)).collect()
            }
            Self::Split => sizes(0)?.into_iter().map(|size| size.saturating_mul(17)).collect(),
            Self::JoinElements => {
                let elements = elements(arguments.first()?, rows)?;
                let between = sizes(1)?.into_iter().map(|size| size.saturating_add(4));
                let null = if arguments.len() > 2 { sizes(2)? } else { vec![0; rows] };
                let parts = elements.into_iter().zip(between).zip(null);
                parts
                    .map(|((count, between), null)| {
                        count.saturating_mul(between.saturating_add(null))
                    })
                    .collect()
            }
            Self::Match => {
                let pairs = sizes(0)?.into_iter().zip(sizes(1)?);
                pairs.map(|(text, pattern)| text.saturating_mul(pattern / 2 + 1)).collect()
            }
            Self::Format => {
                sizes(1)?.into_iter().map(|size| size.saturating_mul(PATTERN_FACTOR)).collect()
            }
            Self::RepeatElement => product(element_sizes(sizes(0)?), &counts(1)?),
            Self::Resize => {
                let new = if arguments.len() > 2 { sizes(2)? } else { vec![0; rows] };
                product(element_sizes(new), &counts(1)?)
            }
            Self::ReplaceElements => {
                let elements = elements(arguments.first()?, rows)?;
                product(element_sizes(sizes(2)?), &elements)
            }
            Self::Series => {
                let first_and_last = match arguments {
                    [last] => (vec![0; rows], points(last, rows)?),
                    [first, last, ..] => (points(first, rows)?, points(last, rows)?),
                    [] => return None,
                };
                let steps = match arguments.get(2) {
                    Some(step) => distances(step, rows)?,
                    None => vec![1; rows],
                };
                let (first, last) = first_and_last;
                let ends = first.into_iter().zip(last).zip(steps);
                ends.map(|((first, last), step)| {
                    let count = (first.abs_diff(last) / step.max(1)).saturating_add(1);
                    count.saturating_mul(ELEMENT_BYTES)
                })
                .collect()
            }
        })
    }
}

fn product(sizes: Vec<u64>, counts: &[u64]) -> Vec<u64> {
    sizes.into_iter().zip(counts).map(|(size, count)| size.saturating_mul(*count)).collect()
}

fn element_sizes(sizes: Vec<u64>) -> Vec<u64> {
    sizes.into_iter().map(|size| size.max(ELEMENT_BYTES)).collect()
}

/// The argument as an array of one row, if it is the same in all, or of as many rows as there are.
fn rows_of(argument: &ColumnarValue) -> Option<ArrayRef> {
    match argument {
        ColumnarValue::Array(array) => Some(Arc::clone(array)),
        ColumnarValue::Scalar(value) => value.to_array().ok(),
    }
}

/// Values for each row from those of an argument, which may be one for all.
fn spread<T: Copy>(values: Vec<T>, rows: usize) -> Vec<T> {
    match values.as_slice() {
        [one] if rows != 1 => vec![*one; rows],
        _ => values,
    }
}

/// Bytes of each value.
fn sizes(argument: &ColumnarValue, rows: usize) -> Option<Vec<u64>> {
    let array = rows_of(argument)?;
    let sizes = match array.data_type() {
        DataType::Utf8
        | DataType::LargeUtf8
        | DataType::Utf8View
        | DataType::Binary
        | DataType::LargeBinary
        | DataType::BinaryView => whole_numbers(&length(&array).ok()?)?,
        kind => {
            let width = match kind.primitive_width() {
                Some(width) => width,
                None if array.is_empty() => 0,
                None => array.to_data().get_slice_memory_size().ok()? / array.len(),
            };
            vec![width as u64; array.len()]
        }
    };
    Some(spread(sizes, rows))
}

/// Elements of each list.
fn elements(argument: &ColumnarValue, rows: usize) -> Option<Vec<u64>> {
    let list = rows_of(argument)?;
    let mut counts = whole_numbers(&length(&list).ok()?)?;
    if let Some(lists) = list.as_list_opt::<i32>()
        && let Some(inner) = lists.values().as_list_opt::<i32>()
    {
        // Lists of lists are joined as one.
        let inner = inner.values().len() as u64;
        counts = counts.into_iter().map(|count| count.max(inner)).collect();
    }
    Some(spread(counts, rows))
}

/// Whole numbers; those below zero count as zero, as does NULL.
fn counts(argument: &ColumnarValue, rows: usize) -> Option<Vec<u64>> {
    Some(spread(whole_numbers(&rows_of(argument)?)?, rows))
}

fn whole_numbers(array: &ArrayRef) -> Option<Vec<u64>> {
    let numbers = cast(array, &DataType::Int64).ok()?;
    let numbers = numbers.as_primitive_opt::<Int64Type>()?;
    Some(numbers.iter().map(|number| u64::try_from(number.unwrap_or(0)).unwrap_or(0)).collect())
}

/// Numbers, or times as microseconds.
fn points(argument: &ColumnarValue, rows: usize) -> Option<Vec<i64>> {
    let mut array = rows_of(argument)?;
    if array.data_type().is_temporal() {
        array = cast(&array, &DataType::Timestamp(TimeUnit::Microsecond, None)).ok()?;
    }
    let numbers = cast(&array, &DataType::Int64).ok()?;
    let numbers: &Int64Array = numbers.as_primitive_opt::<Int64Type>()?;
    Some(spread(numbers.iter().map(|number| number.unwrap_or(0)).collect(), rows))
}

/// How far steps go: numbers, or intervals as microseconds, the shortest that they can be.
fn distances(argument: &ColumnarValue, rows: usize) -> Option<Vec<u64>> {
    let array = rows_of(argument)?;
    let steps: Vec<u64> = match array.data_type() {
        DataType::Interval(_) => {
            let array = cast(&array, &DataType::Interval(IntervalUnit::MonthDayNano)).ok()?;
            let steps = array.as_primitive_opt::<IntervalMonthDayNanoType>()?;
            let microseconds = steps.iter().map(|step| {
                let step = step.unwrap_or_default();
                let days = i64::from(step.months) * 28 + i64::from(step.days);
                days.unsigned_abs()
                    .saturating_mul(DAY_MICROSECONDS)
                    .saturating_add(step.nanoseconds.unsigned_abs() / 1000)
            });
            microseconds.collect()
        }
        _ => points(argument, array.len())?.into_iter().map(i64::unsigned_abs).collect(),
    };
    Some(spread(steps, rows))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringArray;
    use datafusion::common::ScalarValue;

    use super::*;

    fn number(number: i64) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::Int64(Some(number)))
    }

    fn text(text: &str) -> ColumnarValue {
        ColumnarValue::Scalar(ScalarValue::Utf8View(Some(text.to_owned())))
    }

    #[test]
    fn sizes_follow_from_arguments() {
        let texts = StringArray::from(vec![Some("ab"), None, Some("")]);
        let texts = ColumnarValue::Array(Arc::new(texts));
        let counts = ColumnarValue::Array(Arc::new(Int64Array::from(vec![3, 5, -1])));
        let repeat = growth("repeat").unwrap();
        assert_eq!(repeat.bytes(&[texts.clone(), counts], 3).unwrap(), [6, 0, 0]);
        assert_eq!(repeat.bytes(&[text("abc"), number(4)], 1).unwrap(), [12]);
        let pad = growth("lpad").unwrap();
        assert_eq!(pad.bytes(&[texts.clone(), number(9)], 3).unwrap(), [9, 9, 9]);
        let join = growth("concat").unwrap();
        assert_eq!(join.bytes(&[texts, text("xyz")], 3).unwrap(), [5, 3, 3]);
        assert_eq!(growth("upper"), None);
    }

    #[test]
    fn what_stands_between_texts_counts_each_time() {
        let join = growth("concat_ws").unwrap();
        let arguments = [text("----"), text("a"), text("b"), text("c")];
        assert_eq!(join.bytes(&arguments, 1).unwrap(), [11]);
        let join = growth("array_to_string").unwrap();
        let list = ScalarValue::List(ScalarValue::new_list_nullable(
            &[ScalarValue::Int64(Some(1)), ScalarValue::Int64(Some(2))],
            &DataType::Int64,
        ));
        let arguments = [ColumnarValue::Scalar(list), text("123456")];
        assert_eq!(join.bytes(&arguments, 1).unwrap(), [20]);
    }

    #[test]
    fn series_are_counted() {
        let series = growth("generate_series").unwrap();
        assert_eq!(series.bytes(&[number(1), number(10)], 1).unwrap(), [80]);
        assert_eq!(series.bytes(&[number(10), number(-10), number(-5)], 1).unwrap(), [40]);
        let huge = series.bytes(&[number(i64::MIN), number(i64::MAX), number(7)], 1).unwrap();
        assert!(huge[0] > 1 << 60);
        let day = |day| ColumnarValue::Scalar(ScalarValue::Date32(Some(day)));
        let step = ScalarValue::new_interval_mdn(0, 1, 0);
        let days = series.bytes(&[day(0), day(30), ColumnarValue::Scalar(step)], 1).unwrap();
        assert_eq!(days, [31 * 8]);
    }
}
