//! `mart_concurrency`: sessions open at the same time, minute by minute.

use super::super::tally::Cut;
use super::{Grid, Row, TruthKind, TruthTable, TruthValue, columns, key};
use crate::simulate::DAY_MS;

const COLUMNS: [(&str, TruthKind); 6] = [
    ("date", TruthKind::Date),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("peak_sessions", TruthKind::Integer),
    ("peak_at", TruthKind::Timestamp),
    ("avg_sessions", TruthKind::Number),
];

const MINUTE_MS: i64 = 60_000;
/// Minutes of a day.
const MINUTES: i64 = DAY_MS / MINUTE_MS;

/// The sessions of one day.
#[derive(Debug, Default)]
pub(in super::super) struct ConcurrencyDay {
    /// Cut, first and last minute of the day in which the session is open.
    sessions: Vec<(Cut, u16, u16)>,
}

impl ConcurrencyDay {
    /// A session that is open between these times, both included; `start_ms` is midnight.
    pub(in super::super) fn add(&mut self, start_ms: i64, cut: Cut, first_ms: i64, last_ms: i64) {
        let minute =
            |epoch_ms: i64| (epoch_ms - start_ms).div_euclid(MINUTE_MS).clamp(0, MINUTES - 1);
        self.sessions.push((cut, minute(first_ms) as u16, minute(last_ms) as u16));
    }
}

/// The rows of the days that are over.
#[derive(Debug, Default)]
pub(in super::super) struct Concurrency {
    rows: Vec<Row>,
}

impl Concurrency {
    /// Makes the rows of a day that is over.
    pub(in super::super) fn close(
        &mut self,
        date: &TruthValue,
        of_day: &ConcurrencyDay,
        grid: &Grid,
    ) {
        // By cut and minute: sessions that open in it less those that were last open in the one
        // before.
        let width = MINUTES as usize + 1;
        let mut changes = vec![0_i64; grid.len() * width];
        for (cut, first, last) in &of_day.sessions {
            for rank in grid.ranks_of(*cut) {
                let of_cut = &mut changes[usize::from(rank) * width..][..width];
                of_cut[usize::from(*first)] += 1;
                of_cut[usize::from(*last) + 1] -= 1;
            }
        }
        for (rank, of_cut) in (0..).zip(changes.chunks(width)) {
            let (mut open, mut peak, mut peak_minute, mut sum) = (0, 0, 0, 0);
            for (minute, change) in of_cut[..width - 1].iter().enumerate() {
                open += change;
                sum += open;
                if open > peak {
                    (peak, peak_minute) = (open, minute);
                }
            }
            if peak > 0 {
                let [platform, country] = grid.names_at(rank);
                self.rows.push(vec![
                    date.clone(),
                    platform,
                    country,
                    TruthValue::Integer(peak),
                    minute_text(date, peak_minute),
                    TruthValue::Number(sum as f64 / MINUTES as f64),
                ]);
            }
        }
    }

    /// The table of the days that are closed.
    pub(super) fn table(&mut self) -> TruthTable {
        let columns = columns(&COLUMNS);
        TruthTable { key: key(&columns, 3), columns, rows: std::mem::take(&mut self.rows) }
    }
}

/// The start of a minute of a day.
fn minute_text(date: &TruthValue, minute: usize) -> TruthValue {
    let date = match date {
        TruthValue::Text(date) => date,
        _ => "",
    };
    TruthValue::text(&format!("{date}T{:02}:{:02}:00Z", minute / 60, minute % 60))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_open_in_its_first_and_in_its_last_minute() {
        let grid = Grid::new(&["web"], &["US"]);
        let mut of_day = ConcurrencyDay::default();
        let mut session = |first_ms, last_ms| of_day.add(DAY_MS, Cut::default(), first_ms, last_ms);
        // From the day before to 0:00:59.999, within 0:01, from 0:01:59.999 on, to the next day.
        session(DAY_MS - 5, DAY_MS + 59_999);
        session(DAY_MS + 60_000, DAY_MS + 60_000);
        session(DAY_MS + 119_999, DAY_MS + 120_000);
        session(DAY_MS + 1_439 * MINUTE_MS, 2 * DAY_MS + 1);
        let mut concurrency = Concurrency::default();
        concurrency.close(&TruthValue::text("2026-01-02"), &of_day, &grid);
        let rows = concurrency.table().rows;
        assert_eq!(rows.len(), 4);
        for row in rows {
            assert_eq!(row[3], TruthValue::Integer(2));
            assert_eq!(row[4], TruthValue::text("2026-01-02T00:01:00Z"));
            assert_eq!(row[5], TruthValue::Number(5.0 / 1_440.0));
        }
    }
}
