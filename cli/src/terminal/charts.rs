//! Small charts of Unicode block characters.

/// Bars of one character, lowest first.
const HEIGHTS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Parts of a character's width in eighths, from one to seven.
const EIGHTHS: [char; 7] = ['▏', '▎', '▍', '▌', '▋', '▊', '▉'];

/// The course of a series, a character for each value, from its smallest to its largest. What is no
/// number leaves a gap; a series that never changes is drawn low.
pub(crate) fn sparkline(values: &[f64]) -> String {
    let numbers = values.iter().copied().filter(|value| value.is_finite());
    let smallest = numbers.clone().fold(f64::INFINITY, f64::min);
    let largest = numbers.fold(f64::NEG_INFINITY, f64::max);
    // Halves, since the difference of two large numbers may not be a finite one.
    let range = largest / 2.0 - smallest / 2.0;
    let character = |value: &f64| {
        if !value.is_finite() {
            return ' ';
        }
        if range <= 0.0 {
            return HEIGHTS[0];
        }
        let share = (value / 2.0 - smallest / 2.0) / range;
        HEIGHTS[((share * 8.0) as usize).min(HEIGHTS.len() - 1)]
    };
    values.iter().map(character).collect()
}

/// A horizontal bar in a field of `width` characters, full when `value` is `max`, in steps of an
/// eighth of a character. A value above zero shows at least one step.
pub(crate) fn bar(value: f64, max: f64, width: usize) -> String {
    let is_drawn = value.is_finite() && value > 0.0 && max > 0.0;
    let share = if is_drawn { (value / max).min(1.0) } else { 0.0 };
    let steps = (share * width as f64 * 8.0).round() as usize;
    let steps = if is_drawn { steps.max(1) } else { 0 };
    let full = (steps / 8).min(width);
    let mut text = "█".repeat(full);
    if full < width && !steps.is_multiple_of(8) {
        text.push(EIGHTHS[steps % 8 - 1]);
    }
    let missing = width - text.chars().count();
    text.push_str(&" ".repeat(missing));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_goes_from_the_smallest_to_the_largest() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]), "▁▂▃▄▅▆▇█");
        assert_eq!(sparkline(&[100.0, 101.0, 100.0]), "▁█▁");
        assert_eq!(sparkline(&[-1.0, 0.0, 1.0]), "▁▅█");
    }

    #[test]
    fn odd_series_are_drawn_too() {
        assert_eq!(sparkline(&[]), "");
        assert_eq!(sparkline(&[5.0, 5.0]), "▁▁");
        assert_eq!(sparkline(&[f64::NAN]), " ");
        assert_eq!(sparkline(&[1.0, f64::NAN, f64::INFINITY, 2.0]), "▁  █");
        assert_eq!(sparkline(&[f64::MIN, f64::MAX]), "▁█");
    }

    #[test]
    fn a_bar_fills_its_field_by_share() {
        assert_eq!(bar(10.0, 10.0, 4), "████");
        assert_eq!(bar(5.0, 10.0, 4), "██  ");
        assert_eq!(bar(1.0, 8.0, 1), "▏");
        assert_eq!(bar(7.0, 8.0, 1), "▉");
        assert_eq!(bar(99.9, 100.0, 2), "██");
        assert_eq!(bar(0.001, 100.0, 3), "▏  ");
        assert_eq!(bar(20.0, 10.0, 2), "██");
    }

    #[test]
    fn odd_bars_are_empty_and_keep_their_width() {
        for (value, max) in [(0.0, 1.0), (-1.0, 1.0), (f64::NAN, 1.0), (1.0, 0.0), (0.0, 0.0)] {
            assert_eq!(bar(value, max, 3), "   ");
        }
        assert_eq!(bar(1.0, 1.0, 0), "");
        for step in 0..=100 {
            assert_eq!(bar(f64::from(step), 100.0, 7).chars().count(), 7);
        }
    }
}
