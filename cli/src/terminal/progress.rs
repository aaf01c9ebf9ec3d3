//! Progress of long work on standard error: a bar on a terminal, a line now and then elsewhere.

use std::io::{self, IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressState, ProgressStyle};

use super::{is_dumb_terminal, numbers};

/// Shortest time between two lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// How often a bar is drawn anew.
const DRAW_EVERY: Duration = Duration::from_millis(100);

/// The bars on standard error, shared by all who write there: clones draw in the same place.
#[derive(Debug, Clone)]
pub(crate) struct Bars {
    drawn: MultiProgress,
    is_terminal: bool,
}

/// What is counted.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    /// Things of this name, in the plural.
    Count(&'static str),
    /// Bytes.
    Bytes,
}

impl Bars {
    /// The bars of this process.
    pub(crate) fn stderr() -> Self {
        let is_terminal = io::stderr().is_terminal() && !is_dumb_terminal();
        Self { drawn: MultiProgress::new(), is_terminal }
    }

    /// Starts to show the progress of some work; `total` where it is known.
    pub(crate) fn start(&self, label: &str, total: Option<u64>, unit: Unit) -> Progress {
        let bar = self.is_terminal.then(|| {
            let bar = match total {
                Some(total) => ProgressBar::new(total),
                None => ProgressBar::new_spinner(),
            };
            let bar = self.drawn.add(bar).with_style(bar_style(total, unit));
            bar.set_prefix(label.to_string());
            bar.enable_steady_tick(DRAW_EVERY);
            bar
        });
        let now = Instant::now();
        Progress {
            report: Report { label: label.to_string(), total, unit, started: now },
            position: AtomicU64::new(0),
            last_line: Mutex::new(now),
            bars: self.clone(),
            bar,
        }
    }

    /// Writes to standard error without disturbing the bars.
    pub(crate) fn write(&self, text: &[u8]) -> io::Result<()> {
        if self.is_terminal {
            return self.drawn.suspend(|| io::stderr().lock().write_all(text));
        }
        io::stderr().lock().write_all(text)
    }
}

/// Progress of one piece of work. When it is dropped without [`Progress::finish`], since the work
/// failed, its bar vanishes.
pub(crate) struct Progress {
    report: Report,
    position: AtomicU64,
    /// When a line was last written where there is no terminal.
    last_line: Mutex<Instant>,
    bars: Bars,
    bar: Option<ProgressBar>,
}

impl Progress {
    /// This much of the work is done in all.
    pub(crate) fn set_position(&self, position: u64) {
        self.position.store(position, Ordering::Relaxed);
        self.show(position);
    }

    /// This much more of the work is done.
    pub(crate) fn add(&self, done: u64) {
        let before = self.position.fetch_add(done, Ordering::Relaxed);
        self.show(before.saturating_add(done));
    }

    /// The work is done: a line with how much, how long and how fast takes the place of the bar.
    pub(crate) fn finish(self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let position = self.position.load(Ordering::Relaxed);
        self.write(&self.report.last_line(position, self.report.started.elapsed()));
    }

    fn show(&self, position: u64) {
        if let Some(bar) = &self.bar {
            bar.set_position(position);
            return;
        }
        let now = Instant::now();
        // Whoever holds the lock is about to write the line.
        let Ok(mut last_line) = self.last_line.try_lock() else {
            return;
        };
        if now.saturating_duration_since(*last_line) < LINE_EVERY {
            return;
        }
        *last_line = now;
        self.write(&self.report.line(position, now.saturating_duration_since(self.report.started)));
    }

    fn write(&self, line: &str) {
        // Work does not fail because nobody can watch it.
        let _ = self.bars.write(format!("{line}\n").as_bytes());
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

/// What lines say about some work.
struct Report {
    label: String,
    total: Option<u64>,
    unit: Unit,
    started: Instant,
}

impl Report {
    /// `decode: 1,000 of 4,000 events (25.0 %), 500 events/s, 6 s left`
    fn line(&self, position: u64, elapsed: Duration) -> String {
        let rate = numbers::per_second(position, elapsed);
        let rate_text = rate_text(rate, self.unit);
        let Some(total) = self.total.filter(|total| *total > 0) else {
            return format!("{}: {}, {rate_text}", self.label, amount(position, self.unit));
        };
        let share = numbers::percent(position as f64 / total as f64);
        let done = match self.unit {
            Unit::Count(_) => numbers::thousands(position),
            Unit::Bytes => numbers::bytes(position),
        };
        let total_text = amount(total, self.unit);
        let left = Duration::try_from_secs_f64(total.saturating_sub(position) as f64 / rate)
            .map_or_else(|_| "–".to_string(), numbers::rough_duration);
        format!("{}: {done} of {total_text} ({share}), {rate_text}, {left} left", self.label)
    }

    /// `decode: 4,000 events in 8.00 s, 500 events/s`
    fn last_line(&self, position: u64, elapsed: Duration) -> String {
        let rate = rate_text(numbers::per_second(position, elapsed), self.unit);
        let done = amount(position, self.unit);
        format!("{}: {done} in {}, {rate}", self.label, numbers::duration(elapsed))
    }
}

/// An amount with its unit.
fn amount(number: u64, unit: Unit) -> String {
    match unit {
        Unit::Count(name) => format!("{} {name}", numbers::thousands(number)),
        Unit::Bytes => numbers::bytes(number),
    }
}

/// A rate with its unit.
fn rate_text(rate: f64, unit: Unit) -> String {
    match unit {
        Unit::Count(name) => format!("{} {name}/s", numbers::decimal(rate, 0)),
        Unit::Bytes if rate.is_finite() => format!("{}/s", numbers::bytes(rate as u64)),
        Unit::Bytes => "–".to_string(),
    }
}

/// Label, bar, how much of how much, rate and time left; without a total, no bar.
fn bar_style(total: Option<u64>, unit: Unit) -> ProgressStyle {
    let template = match total {
        Some(_) => "{prefix} {wide_bar} {done} of {total}  {rate}  {left} left",
        None => "{prefix} {spinner} {done}  {rate}",
    };
    let style = ProgressStyle::with_template(template)
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("█▉▊▋▌▍▎▏ ");
    style
        .with_key("done", move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            // Nothing to do about a failure: the bar is drawn again.
            let _ = text.write_str(&amount(state.pos(), unit));
        })
        .with_key("total", move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            let total = state.len().unwrap_or_default();
            let _ = text.write_str(&match unit {
                Unit::Count(_) => numbers::thousands(total),
                Unit::Bytes => numbers::bytes(total),
            });
        })
        .with_key("rate", move |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            let _ = text.write_str(&rate_text(state.per_sec(), unit));
        })
        .with_key("left", |state: &ProgressState, text: &mut dyn std::fmt::Write| {
            let _ = text.write_str(&numbers::rough_duration(state.eta()));
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(total: Option<u64>, unit: Unit) -> Report {
        Report { label: "decode".to_string(), total, unit, started: Instant::now() }
    }

    #[test]
    fn lines_tell_share_rate_and_time_left() {
        let events = report(Some(4_000), Unit::Count("events"));
        assert_eq!(
            events.line(1_000, Duration::from_secs(2)),
            "decode: 1,000 of 4,000 events (25.0 %), 500 events/s, 6 s left"
        );
        let bytes = report(Some(4 << 20), Unit::Bytes);
        assert_eq!(
            bytes.line(1 << 20, Duration::from_secs(1)),
            "decode: 1.00 MiB of 4.00 MiB (25.0 %), 1.00 MiB/s, 3 s left"
        );
    }

    #[test]
    fn lines_without_a_total_or_a_rate_are_shorter() {
        let events = report(None, Unit::Count("events"));
        assert_eq!(
            events.line(1_000, Duration::from_secs(2)),
            "decode: 1,000 events, 500 events/s"
        );
        let stuck = report(Some(10), Unit::Count("events"));
        assert_eq!(
            stuck.line(0, Duration::from_secs(2)),
            "decode: 0 of 10 events (0.0 %), 0 events/s, – left"
        );
        assert_eq!(report(None, Unit::Bytes).line(0, Duration::ZERO), "decode: 0 B, –");
    }

    #[test]
    fn the_last_line_tells_how_long_it_took() {
        let events = report(Some(4_000), Unit::Count("events"));
        assert_eq!(
            events.last_line(4_000, Duration::from_secs(8)),
            "decode: 4,000 events in 8.00 s, 500 events/s"
        );
    }

    #[test]
    fn lines_are_written_at_most_every_few_seconds() {
        let bars = Bars { drawn: MultiProgress::new(), is_terminal: false };
        let progress = bars.start("decode", Some(10), Unit::Count("events"));
        let last_line = || *progress.last_line.lock().unwrap();
        let at_start = last_line();
        progress.add(1);
        progress.set_position(3);
        assert_eq!(last_line(), at_start);
        let long_ago = at_start.checked_sub(LINE_EVERY).unwrap();
        *progress.last_line.lock().unwrap() = long_ago;
        progress.add(1);
        assert!(last_line() >= at_start);
        assert_eq!(progress.position.load(Ordering::Relaxed), 4);
        progress.finish();
    }
}
