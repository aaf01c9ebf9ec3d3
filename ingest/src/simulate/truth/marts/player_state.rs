//! `mart_player_state`: who plays, who may be about to leave, who is away; and who moves between.

use super::super::tally::Tally;
use super::{ActiveDay, Grid, TruthKind, TruthTable, TruthValue, columns, key};

const COLUMNS: [(&str, TruthKind); 11] = [
    ("date", TruthKind::Date),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("current_players", TruthKind::Integer),
    ("at_risk_players", TruthKind::Integer),
    ("dormant_players", TruthKind::Integer),
    ("new_players", TruthKind::Integer),
    ("became_at_risk", TruthKind::Integer),
    ("became_dormant", TruthKind::Integer),
    ("recovered", TruthKind::Integer),
    ("reactivated", TruthKind::Integer),
];

/// Days after the last active one on which a player is at risk, and dormant.
const AT_RISK_FROM: usize = 7;
const DORMANT_FROM: usize = 28;

/// One day in one cut.
#[derive(Debug, Clone, Copy, Default)]
struct Day {
    /// Until the sums are run: changes against the day before.
    current: i64,
    at_risk: i64,
    dormant: i64,
    new: i64,
    became_at_risk: i64,
    became_dormant: i64,
    recovered: i64,
    reactivated: i64,
}

/// The table for the first `days` days.
pub(super) fn table(tally: &Tally, active: &[ActiveDay], days: usize) -> TruthTable {
    let grid = &tally.grid;
    let mut cells = vec![Day::default(); grid.len() * days];
    for of_player in active.chunk_by(|a, b| a.player == b.player) {
        let first_cut = tally.players[of_player[0].player as usize].first_cut;
        for cut in grid.cuts_of(first_cut) {
            let of_cut = &mut cells[cut * days..][..days];
            of_cut[of_player[0].day].new += 1;
            for (index, active) in of_player.iter().enumerate() {
                let next = of_player.get(index + 1).map(|next| next.day);
                count_absence(of_cut, active.day, next);
            }
        }
    }
    for of_cut in cells.chunks_mut(days.max(1)) {
        for day in 1..of_cut.len() {
            of_cut[day].current += of_cut[day - 1].current;
            of_cut[day].at_risk += of_cut[day - 1].at_risk;
            of_cut[day].dormant += of_cut[day - 1].dormant;
        }
    }
    let columns = columns(&COLUMNS);
    let mut rows = Vec::new();
    for day in 0..days {
        let date = TruthValue::text(&tally.date(day));
        for cut in &grid.by_name {
            let cell = &cells[cut * days + day];
            if cell.current + cell.at_risk + cell.dormant > 0 {
                rows.push(row(&date, grid, *cut, cell));
            }
        }
    }
    TruthTable { key: key(&columns, 3), columns, rows }
}

/// Counts what becomes of a player from an active day on, until the next one takes over.
fn count_absence(of_cut: &mut [Day], active: usize, next: Option<usize>) {
    let days = of_cut.len();
    let until = next.unwrap_or(days);
    let at_risk = until.min(active + AT_RISK_FROM);
    let dormant = until.min(active + DORMANT_FROM);
    let mut change = |day: usize, change: &dyn Fn(&mut Day)| {
        if let Some(cell) = of_cut.get_mut(day) {
            change(cell);
        }
    };
    change(active, &|cell| cell.current += 1);
    change(at_risk, &|cell| {
        cell.current -= 1;
        cell.at_risk += 1;
    });
    change(dormant, &|cell| {
        cell.at_risk -= 1;
        cell.dormant += 1;
    });
    change(until, &|cell| cell.dormant -= 1);
    if at_risk < until {
        change(at_risk, &|cell| cell.became_at_risk += 1);
    }
    if dormant < until {
        change(dormant, &|cell| cell.became_dormant += 1);
    }
    if let Some(next) = next {
        // By the state of the evening before.
        if dormant < next {
            change(next, &|cell| cell.reactivated += 1);
        } else if at_risk < next {
            change(next, &|cell| cell.recovered += 1);
        }
    }
}

fn row(date: &TruthValue, grid: &Grid, cut: usize, cell: &Day) -> Vec<TruthValue> {
    let [platform, country] = grid.names(cut);
    let counts = [
        cell.current,
        cell.at_risk,
        cell.dormant,
        cell.new,
        cell.became_at_risk,
        cell.became_dormant,
        cell.recovered,
        cell.reactivated,
    ];
    let mut row = vec![date.clone(), platform, country];
    row.extend(counts.map(TruthValue::Integer));
    row
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Current, at risk and dormant on each day, and the days of the transitions.
    fn states(active: &[usize], days: usize) -> (String, Vec<(usize, &'static str)>) {
        let mut cells = vec![Day::default(); days];
        for (index, day) in active.iter().enumerate() {
            count_absence(&mut cells, *day, active.get(index + 1).copied());
        }
        let (mut states, mut moves) = (String::new(), Vec::new());
        let mut sums = [0; 3];
        for (day, cell) in cells.iter().enumerate() {
            for (sum, change) in sums.iter_mut().zip([cell.current, cell.at_risk, cell.dormant]) {
                *sum += change;
            }
            states.push(match sums {
                [0, 0, 0] => '.',
                [1, 0, 0] => 'c',
                [0, 1, 0] => 'r',
                [0, 0, 1] => 'd',
                _ => panic!("{sums:?} on day {day}"),
            });
            for (count, name) in [
                (cell.became_at_risk, "at risk"),
                (cell.became_dormant, "dormant"),
                (cell.recovered, "recovered"),
                (cell.reactivated, "reactivated"),
            ] {
                moves.extend((0..count).map(|_| (day, name)));
            }
        }
        (states, moves)
    }

    #[test]
    fn a_player_is_at_risk_from_the_7th_and_dormant_from_the_28th_day_on() {
        let (found, moves) = states(&[1, 3], 40);
        let expected = [".", &"c".repeat(9), &"r".repeat(21), &"d".repeat(9)].concat();
        assert_eq!(found, expected);
        assert_eq!(moves, [(10, "at risk"), (31, "dormant")]);
    }

    #[test]
    fn who_comes_back_does_so_from_the_state_of_the_evening_before() {
        assert_eq!(states(&[0, 7], 8).1, []);
        assert_eq!(states(&[0, 8], 9).1, [(7, "at risk"), (8, "recovered")]);
        assert_eq!(states(&[0, 28], 29).1, [(7, "at risk"), (28, "recovered")]);
        let moves = [(7, "at risk"), (28, "dormant"), (29, "reactivated")];
        assert_eq!(states(&[0, 29], 30).1, moves);
        assert_eq!(states(&[0, 29], 30).0, ["c".repeat(7), "r".repeat(21), "dc".into()].concat());
    }
}
