//! `mart_economy` and `mart_economy_reason`: what comes in and goes out of each currency.

use super::super::detail::Flow;
use super::super::statistics::percentile;
use super::super::tally::{Cut, Occurrence};
use super::{Grid, Row, TruthKind, TruthTable, TruthValue, columns, key, or_null};
use crate::simulate::DAY_MS;
use crate::simulate::catalog::{Currency, FlowReason};

const COLUMNS: [(&str, TruthKind); 12] = [
    ("date", TruthKind::Date),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("currency", TruthKind::Text),
    ("earned", TruthKind::Integer),
    ("spent", TruthKind::Integer),
    ("net", TruthKind::Integer),
    ("flows", TruthKind::Integer),
    ("players", TruthKind::Integer),
    ("balance_median", TruthKind::Number),
    ("balance_p90", TruthKind::Number),
    ("balance_p99", TruthKind::Number),
];

const REASON_COLUMNS: [(&str, TruthKind); 11] = [
    ("date", TruthKind::Date),
    ("platform", TruthKind::Text),
    ("country", TruthKind::Text),
    ("currency", TruthKind::Text),
    ("direction", TruthKind::Text),
    ("reason", TruthKind::Text),
    ("amount", TruthKind::Integer),
    ("flows", TruthKind::Integer),
    ("players", TruthKind::Integer),
    ("share", TruthKind::Share),
    ("place", TruthKind::Integer),
];

/// What one player earned or spent for one reason on one day, in one cut by platform and country.
#[derive(Debug, Clone, Copy)]
struct PlayerFlow {
    player: u32,
    cut: Cut,
    currency: Currency,
    reason: FlowReason,
    flows: u32,
    /// Time of the last flow, milliseconds since midnight, and what the player had afterwards.
    last_ms: u32,
    balance: i64,
    amount: i64,
}

/// The flows of one day.
#[derive(Debug, Default)]
pub(in super::super) struct EconomyDay {
    /// A player's flows of one day stand side by side, but for those of sessions that began on
    /// another day: of these a player may have a second record for the same reason.
    flows: Vec<PlayerFlow>,
}

impl EconomyDay {
    pub(in super::super) fn add(&mut self, at: Occurrence, flow: Flow) {
        let ms = at.epoch_ms.rem_euclid(DAY_MS) as u32;
        let of_player = self.flows.iter_mut().rev().take_while(|known| known.player == at.player);
        for known in of_player {
            if (known.currency, known.reason, known.cut) == (flow.currency, flow.reason, at.cut) {
                known.flows += 1;
                known.amount += flow.amount;
                if ms > known.last_ms {
                    known.last_ms = ms;
                    known.balance = flow.balance;
                }
                return;
            }
        }
        self.flows.push(PlayerFlow {
            player: at.player,
            cut: at.cut,
            currency: flow.currency,
            reason: flow.reason,
            flows: 1,
            last_ms: ms,
            balance: flow.balance,
            amount: flow.amount,
        });
    }
}

/// Where a [`PlayerFlow`] counts; the order is that of the rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Entry {
    cut: u16,
    currency: u8,
    player: u32,
    reason: FlowReason,
    index: u32,
}

/// Sums of one reason.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    amount: i64,
    flows: u64,
    players: u64,
}

/// The rows of the days that are over.
#[derive(Debug, Default)]
pub(in super::super) struct Economy {
    rows: Vec<Row>,
    reason_rows: Vec<Row>,
}

impl Economy {
    /// Makes the rows of a day that is over.
    pub(in super::super) fn close(&mut self, date: &TruthValue, of_day: &EconomyDay, grid: &Grid) {
        let flows = &of_day.flows;
        let mut entries: Vec<Entry> = Vec::with_capacity(flows.len() * 4);
        for (index, flow) in (0..).zip(flows) {
            let (currency, player, reason) = (flow.currency as u8, flow.player, flow.reason);
            let cuts = grid.ranks_of(flow.cut).into_iter();
            entries.extend(cuts.map(|cut| Entry { cut, currency, player, reason, index }));
        }
        entries.sort_unstable();
        for group in entries.chunk_by(|a, b| (a.cut, a.currency) == (b.cut, b.currency)) {
            let mut sums = [Sums::default(); FlowReason::COUNT];
            let mut balances = Vec::new();
            for of_player in group.chunk_by(|a, b| a.player == b.player) {
                balances.push(add_player(of_player, flows, &mut sums));
            }
            balances.sort_unstable();
            let [platform, country] = grid.names_at(group[0].cut);
            let currency = Currency::ALL[usize::from(group[0].currency)].name();
            let start = [date.clone(), platform, country, TruthValue::text(currency)];
            let mut row = start.to_vec();
            push_figures(&mut row, &sums, &balances);
            self.rows.push(row);
            for reason in FlowReason::ALL {
                if sums[reason as usize].flows > 0 {
                    let mut row = start.to_vec();
                    push_reason(&mut row, reason, &sums);
                    self.reason_rows.push(row);
                }
            }
        }
    }

    /// Both tables of the days that are closed.
    pub(super) fn tables(&mut self) -> (TruthTable, TruthTable) {
        let (rows, reason_rows) =
            (std::mem::take(&mut self.rows), std::mem::take(&mut self.reason_rows));
        let (columns, reason_columns) = (columns(&COLUMNS), columns(&REASON_COLUMNS));
        (
            TruthTable { key: key(&columns, 4), columns, rows },
            TruthTable { key: key(&reason_columns, 6), columns: reason_columns, rows: reason_rows },
        )
    }
}

/// Adds one player's sorted flows, and gives the balance after the last of them. No two events of
/// a player share a time, so that there is one last.
fn add_player(
    of_player: &[Entry],
    flows: &[PlayerFlow],
    sums: &mut [Sums; FlowReason::COUNT],
) -> i64 {
    let mut last = (0, 0);
    for of_reason in of_player.chunk_by(|a, b| a.reason == b.reason) {
        let sum = &mut sums[of_reason[0].reason as usize];
        sum.players += 1;
        for entry in of_reason {
            let flow = &flows[entry.index as usize];
            sum.amount += flow.amount;
            sum.flows += u64::from(flow.flows);
            last = last.max((flow.last_ms, flow.balance));
        }
    }
    last.1
}

fn push_figures(row: &mut Row, sums: &[Sums; FlowReason::COUNT], balances: &[i64]) {
    let total = |is_spent: bool| -> i64 {
        let of_direction = FlowReason::ALL.iter().filter(|reason| reason.is_spent() == is_spent);
        of_direction.map(|reason| sums[*reason as usize].amount).sum()
    };
    let (earned, spent) = (total(false), total(true));
    let balance = |share| or_null(percentile(balances, share, |balance| balance as f64));
    row.extend([
        TruthValue::Integer(earned),
        TruthValue::Integer(spent),
        TruthValue::Integer(earned - spent),
        TruthValue::count(sums.iter().map(|sum| sum.flows).sum()),
        TruthValue::count(balances.len() as u64),
        balance(0.5),
        balance(0.9),
        balance(0.99),
    ]);
}

fn push_reason(row: &mut Row, reason: FlowReason, sums: &[Sums; FlowReason::COUNT]) {
    let sum = sums[reason as usize];
    let mut total = 0;
    let mut place = 1;
    for other in FlowReason::ALL.into_iter().filter(|other| other.is_spent() == reason.is_spent()) {
        let amount = sums[other as usize].amount;
        total += amount;
        // Of equal amounts the first by name comes first, which is the order of the reasons.
        let is_before = amount > sum.amount || (amount == sum.amount && other < reason);
        place += i64::from(is_before && sums[other as usize].flows > 0);
    }
    row.extend([
        TruthValue::text(if reason.is_spent() { "spent" } else { "earned" }),
        TruthValue::text(reason.name()),
        TruthValue::Integer(sum.amount),
        TruthValue::count(sum.flows),
        TruthValue::count(sum.players),
        TruthValue::ratio(sum.amount as f64, total.unsigned_abs()),
        TruthValue::Integer(place),
    ]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_amounts_are_placed_by_name_and_the_last_balance_counts() {
        let grid = Grid::new(&["web"], &["US"]);
        let mut of_day = EconomyDay::default();
        let mut flow = |ms, player, reason, amount, balance| {
            let at = Occurrence { player, day: 0, epoch_ms: ms, cut: Cut::default() };
            of_day.add(at, Flow { currency: Currency::Coins, reason, amount, balance });
        };
        flow(5_000, 1, FlowReason::RewardedAd, 30, 130);
        flow(9_000, 1, FlowReason::LevelWin, 30, 160);
        flow(7_000, 1, FlowReason::LevelWin, 20, 150);
        flow(1_000, 2, FlowReason::Shop, 15, 85);
        flow(2_000, 2, FlowReason::DailyReward, 50, 135);
        // The first player again, from a session of the evening before.
        flow(50, 1, FlowReason::RewardedAd, 25, 100);
        let mut economy = Economy::default();
        economy.close(&TruthValue::Null, &of_day, &grid);
        let (table, reasons) = economy.tables();
        let numbers = [155, 15, 140, 6, 2].map(TruthValue::Integer);
        let balances = [147.5, 157.5, 159.75].map(TruthValue::Number);
        for row in &table.rows {
            assert_eq!(row[4..9], numbers);
            assert_eq!(row[9..], balances);
        }
        assert_eq!(table.rows.len(), 4);
        let placed: Vec<_> = reasons.rows[..4]
            .iter()
            .map(|row| (row[5].clone(), row[6].clone(), row[8].clone(), row[10].clone()))
            .collect();
        let expected = |name: &str, amount, players, place| {
            let integer = TruthValue::Integer;
            (TruthValue::text(name), integer(amount), integer(players), integer(place))
        };
        let expected = [
            expected("daily_reward", 50, 1, 2),
            expected("level_win", 50, 1, 3),
            expected("rewarded_ad", 55, 1, 1),
            expected("shop", 15, 1, 1),
        ];
        assert_eq!(placed, expected);
    }
}
