//! `mart_level`: how each level is played on each day.

use std::collections::BTreeMap;

use super::super::statistics::percentile;
use super::super::tally::{Cut, Occurrence};
use super::{Grid, Row, TruthKind, TruthTable, TruthValue, columns, key, or_null};
use crate::simulate::catalog::{LAST_LEVEL, LevelResult};

const COLUMNS: [(&str, TruthKind); 15] = [
    ("date", TruthKind::Date),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("level_id", TruthKind::Text),
    ("level", TruthKind::Integer),
    ("attempts", TruthKind::Integer),
    ("wins", TruthKind::Integer),
    ("losses", TruthKind::Integer),
    ("quits", TruthKind::Integer),
    ("unfinished", TruthKind::Integer),
    ("win_rate", TruthKind::Share),
    ("median_duration_seconds", TruthKind::Number),
    ("p90_duration_seconds", TruthKind::Number),
    ("first_wins", TruthKind::Integer),
    ("median_attempts_to_first_win", TruthKind::Number),
];

/// Something that happened at a level. The order puts what belongs together side by side: attempts
/// without an end, those with one by their duration, then first wins by the attempts that they took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Play {
    Unfinished,
    Ended { duration_ms: u32, result: LevelResult },
    FirstWin { attempts: u32 },
}

/// An attempt that has begun.
#[derive(Debug, Clone, Copy)]
struct OpenAttempt {
    at: Occurrence,
    level: u32,
}

/// A player's first win of the last level: the only one that can be won more than once.
#[derive(Debug, Clone, Copy)]
struct LastLevelWin {
    at: Occurrence,
    attempts: u32,
}

/// What is played on one day.
#[derive(Debug, Default)]
pub(in super::super) struct LevelDay {
    plays: Vec<(Cut, u16, Play)>,
}

/// Counts attempts.
#[derive(Debug)]
pub(in super::super) struct Levels {
    attempt: Option<OpenAttempt>,
    last_level_wins: BTreeMap<u32, LastLevelWin>,
    /// Names of the levels in their order as texts, with their numbers.
    names: Vec<(TruthValue, u32)>,
    /// The place of each level, counted from 1, in that order.
    ranks: Vec<u16>,
    rows: Vec<Row>,
}

impl Levels {
    pub(in super::super) fn new() -> Self {
        let mut names: Vec<(String, u32)> =
            (1..=LAST_LEVEL).map(|level| (format!("level_{level}"), level)).collect();
        names.sort_unstable();
        let mut ranks = vec![0; names.len() + 1];
        for (rank, (_, level)) in names.iter().enumerate() {
            ranks[*level as usize] = rank as u16;
        }
        let names = names.iter().map(|(name, level)| (TruthValue::text(name), *level)).collect();
        let last_level_wins = BTreeMap::new();
        Self { attempt: None, last_level_wins, names, ranks, rows: Vec::new() }
    }

    /// An attempt begins. Gives the one before, if that has no end.
    pub(in super::super) fn begin(&mut self, at: Occurrence, level: u32) -> Option<Played> {
        let before = self.abandon();
        self.attempt = Some(OpenAttempt { at, level });
        before
    }

    /// No end of the open attempt, if there is one, will follow.
    pub(in super::super) fn abandon(&mut self) -> Option<Played> {
        let attempt = self.attempt.take()?;
        Some(self.played(attempt.at, attempt.level, Play::Unfinished))
    }

    /// The open attempt ends.
    pub(in super::super) fn end(
        &mut self,
        at: Occurrence,
        level: u32,
        result: LevelResult,
        duration_ms: i64,
    ) -> Played {
        // A wrong clock can put the end before the beginning.
        let begun = self.attempt.take().map_or(at, |attempt| attempt.at);
        let first = if begun.epoch_ms < at.epoch_ms { begun } else { at };
        let duration_ms = u32::try_from(duration_ms).unwrap_or(u32::MAX);
        self.played(first, level, Play::Ended { duration_ms, result })
    }

    /// A level is won, by the player's attempt of this number. Gives what counts on its day, unless
    /// a win of that day may still turn out not to be the first.
    pub(in super::super) fn win(
        &mut self,
        at: Occurrence,
        level: u32,
        attempts: u32,
    ) -> Option<Played> {
        if level < LAST_LEVEL {
            return Some(self.played(at, level, Play::FirstWin { attempts }));
        }
        let win = LastLevelWin { at, attempts };
        let first = self.last_level_wins.entry(at.player).or_insert(win);
        if at.epoch_ms < first.at.epoch_ms {
            *first = win;
        }
        None
    }

    fn played(&self, at: Occurrence, level: u32, play: Play) -> Played {
        Played { day: at.day, play: (at.cut, self.ranks[level as usize], play) }
    }

    /// Makes the rows of a day that is over.
    pub(in super::super) fn close(
        &mut self,
        day: u32,
        date: &TruthValue,
        of_day: LevelDay,
        grid: &Grid,
    ) {
        let last = self.last_level_wins.values().filter(|win| win.at.day == day).map(|win| {
            self.played(win.at, LAST_LEVEL, Play::FirstWin { attempts: win.attempts }).play
        });
        let plays = of_day.plays.into_iter().chain(last);
        let mut plays: Vec<(u16, u16, Play)> = plays
            .flat_map(|(cut, level, play)| {
                grid.ranks_of(cut).into_iter().map(move |cut| (cut, level, play))
            })
            .collect();
        plays.sort_unstable();
        for group in plays.chunk_by(|a, b| (a.0, a.1) == (b.0, b.1)) {
            let (cut, level, _) = group[0];
            let [platform, country] = grid.names_at(cut);
            let (name, level) = &self.names[usize::from(level)];
            let level = TruthValue::Integer(i64::from(*level));
            let mut row = vec![date.clone(), platform, country, name.clone(), level];
            push_figures(&mut row, group);
            self.rows.push(row);
        }
    }

    /// The table of the days that are closed.
    pub(super) fn table(&mut self) -> TruthTable {
        let columns = columns(&COLUMNS);
        TruthTable { key: key(&columns, 4), columns, rows: std::mem::take(&mut self.rows) }
    }
}

/// What happened at a level, and on which day it counts.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Played {
    pub(in super::super) day: u32,
    play: (Cut, u16, Play),
}

impl LevelDay {
    pub(in super::super) fn add(&mut self, played: Played) {
        self.plays.push(played.play);
    }
}

/// The figures of sorted plays at one level.
fn push_figures(row: &mut Row, plays: &[(u16, u16, Play)]) {
    let unfinished = plays.partition_point(|(.., play)| *play == Play::Unfinished);
    let attempts = plays.partition_point(|(.., play)| !matches!(play, Play::FirstWin { .. }));
    let mut results = [0; 3];
    let mut durations_ms = Vec::with_capacity(attempts - unfinished);
    let mut attempts_to_win = Vec::with_capacity(plays.len() - attempts);
    for (.., play) in plays {
        match play {
            Play::Unfinished => {}
            Play::Ended { duration_ms, result } => {
                results[*result as usize] += 1;
                durations_ms.push(*duration_ms);
            }
            Play::FirstWin { attempts } => attempts_to_win.push(*attempts),
        }
    }
    let [wins, losses, quits] = results;
    let seconds = |share| percentile(&durations_ms, share, |ms| f64::from(ms) / 1_000.0);
    row.extend([
        TruthValue::count(attempts as u64),
        TruthValue::count(wins),
        TruthValue::count(losses),
        TruthValue::count(quits),
        TruthValue::count(unfinished as u64),
        TruthValue::ratio(wins as f64, attempts as u64),
        or_null(seconds(0.5)),
        or_null(seconds(0.9)),
        TruthValue::count(attempts_to_win.len() as u64),
        or_null(percentile(&attempts_to_win, 0.5, f64::from)),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::DAY_MS;

    const CUT: Cut = Cut { platform: 0, country: 0 };

    fn at(player: u32, day: u32, ms: i64) -> Occurrence {
        Occurrence { player, day, epoch_ms: i64::from(day) * DAY_MS + ms, cut: CUT }
    }

    fn rows_of_all(levels: &mut Levels) -> Vec<Row> {
        let all = TruthValue::text("all");
        levels.table().rows.into_iter().filter(|row| row[1] == all && row[2] == all).collect()
    }

    #[test]
    fn the_last_level_is_first_won_once_even_if_the_first_win_is_told_last() {
        let grid = Grid::new(&["web"], &["US"]);
        let mut levels = Levels::new();
        assert!(levels.win(at(7, 1, 5_000), LAST_LEVEL, 9).is_none());
        assert!(levels.win(at(7, 1, 6_000), LAST_LEVEL, 1).is_none());
        assert!(levels.win(at(7, 0, 9_000), LAST_LEVEL, 4).is_none());
        assert!(levels.win(at(8, 1, 1_000), LAST_LEVEL, 2).is_none());
        for day in 0..3 {
            let date = TruthValue::Integer(i64::from(day));
            levels.close(day, &date, LevelDay::default(), &grid);
        }
        let figures: Vec<_> = rows_of_all(&mut levels)
            .iter()
            .map(|row| (row[0].clone(), row[13].clone(), row[14].clone()))
            .collect();
        let expected = |day, attempts| {
            (TruthValue::Integer(day), TruthValue::Integer(1), TruthValue::Number(attempts))
        };
        assert_eq!(figures, [expected(0, 4.0), expected(1, 2.0)]);
    }

    #[test]
    fn an_attempt_counts_where_its_first_event_is() {
        let grid = Grid::new(&["web"], &["US"]);
        let mut levels = Levels::new();
        let mut of_day = LevelDay::default();
        // The end comes first by the client's clock; the next attempt has no end.
        assert!(levels.begin(at(1, 1, 10), 12).is_none());
        let played = levels.end(at(1, 0, 20), 12, LevelResult::Quit, 3_000);
        assert_eq!(played.day, 0);
        of_day.add(played);
        assert!(levels.begin(at(1, 0, 30), 12).is_none());
        of_day.add(levels.begin(at(1, 0, 40), 2).unwrap());
        of_day.add(levels.end(at(1, 0, 50), 2, LevelResult::Win, 1_500));
        assert!(levels.abandon().is_none());
        levels.close(0, &TruthValue::Null, of_day, &grid);
        let rows = rows_of_all(&mut levels);
        let names: Vec<_> = rows.iter().map(|row| row[3].clone()).collect();
        assert_eq!(names, ["level_12", "level_2"].map(TruthValue::text));
        let counts = |row: &Row| row[5..10].to_vec();
        assert_eq!(counts(&rows[0]), [2, 0, 0, 1, 1].map(TruthValue::Integer));
        assert_eq!(counts(&rows[1]), [1, 1, 0, 0, 0].map(TruthValue::Integer));
        assert_eq!(rows[0][11], TruthValue::Number(3.0));
    }
}
