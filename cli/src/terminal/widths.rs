//! How wide columns are where a terminal is too narrow for them.

/// Spaces between columns.
pub(crate) const GAP: usize = 2;

/// Width of a line with columns of these widths.
pub(crate) fn line_width(widths: &[usize]) -> usize {
    widths.iter().sum::<usize>() + GAP * widths.len().saturating_sub(1)
}

/// Makes columns narrower, the widest first and none below its floor, until a line of them fits into
/// `available`. Returns whether it does.
pub(crate) fn narrow(widths: &mut [usize], floors: &[usize], available: usize) -> bool {
    for (width, floor) in widths.iter_mut().zip(floors) {
        *width = (*width).min(available.max(*floor));
    }
    while line_width(widths) > available {
        let above_floor = (0..widths.len()).filter(|column| widths[*column] > floors[*column]);
        let Some(widest) = above_floor.max_by_key(|column| widths[*column]) else { return false };
        widths[widest] -= 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_widest_give_way_down_to_their_floors() {
        let mut widths = [30, 10, 12];
        assert!(narrow(&mut widths, &[5, 10, 12], 36));
        assert_eq!(widths, [10, 10, 12]);
        let mut widths = [10, 20];
        assert!(narrow(&mut widths, &[5, 5], 22));
        assert_eq!(widths, [10, 10]);
        let mut widths = [1_000_000_000, 3];
        assert!(!narrow(&mut widths, &[8, 3], 12));
        assert_eq!(widths, [8, 3]);
    }
}
