//! The running counters, updated with each event that will land.

use super::detail::Detail;
use super::grid::Grid;
use super::marts::{Concurrency, Economy, Experiments, Funnels, Levels, Milestone, Played};
use super::open_days::OpenDays;
use super::{Accounting, EventCount, TruthValue};
use crate::simulate::DAY_MS;
use crate::simulate::catalog::{FlowReason, LevelResult};
use crate::simulate::event::EventType;
use crate::simulate::writer::date_text;

/// Where an event counts: indexes of its platform and country, after the last of which stands
/// "unknown".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(in crate::simulate) struct Cut {
    pub(in crate::simulate) platform: u8,
    pub(in crate::simulate) country: u8,
}

/// When and where a player's event counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Occurrence {
    pub(super) player: u32,
    /// Counted from the first simulated day.
    pub(super) day: u32,
    pub(super) epoch_ms: i64,
    pub(super) cut: Cut,
}

/// A player on a day in a cut, packed so that the order of the numbers is that of the player, the
/// day, the platform and the country.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PlayerDay(u64);

impl PlayerDay {
    fn new(player: u32, day: u32, cut: Cut) -> Self {
        Self(
            (u64::from(player) << 32)
                | (u64::from(day) << 16)
                | (u64::from(cut.platform) << 8)
                | u64::from(cut.country),
        )
    }

    pub(super) fn player(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) fn day(self) -> usize {
        (self.0 >> 16) as usize & 0xffff
    }

    pub(super) fn cut(self) -> Cut {
        Cut { platform: (self.0 >> 8) as u8, country: self.0 as u8 }
    }
}

/// What is remembered of a player.
#[derive(Debug, Clone)]
pub(super) struct PlayerTally {
    /// Time of the player's first event; `i64::MAX` before there is one.
    pub(super) first_ms: i64,
    pub(super) first_cut: Cut,
    /// Time of the player's first purchase; `i64::MAX` before there is one.
    pub(super) first_purchase_ms: i64,
    pub(super) first_purchase_cut: Cut,
    last_activity: PlayerDay,
}

/// Sums of one day in one cut.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct DaySums {
    pub(super) sessions: u64,
    pub(super) crashed_sessions: u64,
    pub(super) errors: u64,
    pub(super) fatal_errors: u64,
    pub(super) playtime_ms: i64,
    pub(super) iap_cents: i64,
    pub(super) ad_micros: i64,
}

impl DaySums {
    pub(super) fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
        self.crashed_sessions += other.crashed_sessions;
        self.errors += other.errors;
        self.fatal_errors += other.fatal_errors;
        self.playtime_ms += other.playtime_ms;
        self.iap_cents += other.iap_cents;
        self.ad_micros += other.ad_micros;
    }
}

/// Revenue from one player on one day.
#[derive(Debug, Clone, Copy)]
pub(super) struct PlayerRevenue {
    pub(super) player: u32,
    pub(super) day: u32,
    pub(super) micros: i64,
}

#[derive(Debug, Clone, Copy)]
struct OpenSession {
    first_ms: i64,
    last_ms: i64,
    cut: Cut,
    crashed: bool,
}

/// The running counters of a simulation.
#[derive(Debug)]
pub(in crate::simulate) struct Tally {
    pub(super) start_day: i64,
    pub(super) grid: Grid,
    /// Number of platforms and countries, "unknown" included.
    platforms: usize,
    countries: usize,
    pub(super) accounting: Accounting,
    pub(super) events: Vec<[u64; EventType::COUNT]>,
    pub(super) players: Vec<PlayerTally>,
    /// Players' active days; may hold an entry several times.
    pub(super) activity: Vec<PlayerDay>,
    /// Players' days with a purchase; may hold an entry several times.
    pub(super) payer_days: Vec<PlayerDay>,
    /// Players' days with a crash; may hold an entry several times.
    pub(super) crash_days: Vec<PlayerDay>,
    pub(super) revenue: Vec<PlayerRevenue>,
    /// By day, platform, country.
    sums: Vec<DaySums>,
    pub(super) funnels: Funnels,
    pub(super) experiments: Experiments,
    pub(super) levels: Levels,
    pub(super) economy: Economy,
    pub(super) concurrency: Concurrency,
    session: Option<OpenSession>,
    open_days: OpenDays,
}

impl Tally {
    /// Counters for days from `start_day` (days since 1970-01-01) on, for these platforms and
    /// countries; "unknown" is added.
    pub(in crate::simulate) fn new(
        start_day: i64,
        day_count: u32,
        platforms: &[&str],
        countries: &[&str],
    ) -> Self {
        let day_count = day_count as usize;
        let grid = Grid::new(platforms, countries);
        let (platforms, countries) = (platforms.len() + 1, countries.len() + 1);
        Self {
            start_day,
            grid,
            platforms,
            countries,
            accounting: Accounting::default(),
            events: vec![[0; EventType::COUNT]; day_count],
            players: Vec::new(),
            activity: Vec::new(),
            payer_days: Vec::new(),
            crash_days: Vec::new(),
            revenue: Vec::new(),
            sums: vec![DaySums::default(); day_count * platforms * countries],
            funnels: Funnels::default(),
            experiments: Experiments::default(),
            levels: Levels::new(),
            economy: Economy::default(),
            concurrency: Concurrency::default(),
            session: None,
            open_days: OpenDays::default(),
        }
    }

    /// Makes room for one more player; players are numbered in this order.
    pub(in crate::simulate) fn add_player(&mut self) {
        self.players.push(PlayerTally {
            first_ms: i64::MAX,
            first_cut: Cut::default(),
            first_purchase_ms: i64::MAX,
            first_purchase_cut: Cut::default(),
            last_activity: PlayerDay(u64::MAX),
        });
        self.experiments.add_player();
    }

    /// Counts an event of a player, at its final event time, which must lie on one of the days.
    #[inline]
    pub(in crate::simulate) fn event(
        &mut self,
        player: u32,
        event: EventType,
        epoch_ms: i64,
        cut: Cut,
        detail: Detail,
    ) {
        let day = self.day_of(epoch_ms);
        self.accounting.lines += 1;
        self.accounting.landed += 1;
        self.events[day as usize][event as usize] += 1;
        let known = &mut self.players[player as usize];
        if epoch_ms < known.first_ms {
            known.first_ms = epoch_ms;
            known.first_cut = cut;
        }
        let activity = PlayerDay::new(player, day, cut);
        if activity != known.last_activity {
            known.last_activity = activity;
            self.activity.push(activity);
        }
        if detail != Detail::None {
            self.count(Occurrence { player, day, epoch_ms, cut }, detail);
        }
    }

    /// Counts what an event tells.
    fn count(&mut self, at: Occurrence, detail: Detail) {
        let Occurrence { player, day, epoch_ms, cut } = at;
        match detail {
            Detail::None => {}
            Detail::Purchase { cents } => {
                let known = &mut self.players[player as usize];
                if epoch_ms < known.first_purchase_ms {
                    known.first_purchase_ms = epoch_ms;
                    known.first_purchase_cut = cut;
                }
                self.payer_days.push(PlayerDay::new(player, day, cut));
                self.sums_of(day, cut).iap_cents += cents;
                self.funnels.reach(at, Milestone::Purchased);
                self.income(at, cents * 10_000, true);
            }
            Detail::Ad { micros } => {
                self.sums_of(day, cut).ad_micros += micros;
                self.income(at, micros, false);
            }
            Detail::Registration => self.funnels.register(at),
            Detail::TutorialStep { number } => {
                self.funnels.reach(at, Milestone::Tutorial(number));
            }
            Detail::LevelStart { level } => {
                let before = self.levels.begin(at, level);
                self.played(before);
            }
            Detail::LevelEnd { level, attempt, result, duration_ms } => {
                let ended = self.levels.end(at, level, result, duration_ms);
                self.played(Some(ended));
                if result == LevelResult::Win {
                    let won = self.levels.win(at, level, attempt);
                    self.played(won);
                    self.funnels.reach(at, Milestone::LevelWon(level));
                }
            }
            Detail::Flow(flow) => {
                if flow.reason == FlowReason::Shop {
                    self.funnels.reach(at, Milestone::ShopUsed);
                }
                self.open_days.at(day).economy.add(at, flow);
            }
            Detail::Exposure { experiment, variant } => {
                self.experiments.expose(at, experiment, variant);
            }
            Detail::ClientError { fatal } => {
                let sums = self.sums_of(day, cut);
                sums.errors += 1;
                if fatal {
                    sums.fatal_errors += 1;
                    self.crash_days.push(PlayerDay::new(player, day, cut));
                }
            }
        }
    }

    fn income(&mut self, at: Occurrence, micros: i64, is_purchase: bool) {
        let Occurrence { player, day, .. } = at;
        self.revenue.push(PlayerRevenue { player, day, micros });
        self.open_days.at(day).income.add(at, micros, is_purchase);
    }

    fn played(&mut self, played: Option<Played>) {
        if let Some(played) = played {
            self.open_days.at(played.day).levels.add(played);
        }
    }

    /// Counts an event that was already counted by [`Tally::event`] towards the open session.
    #[inline]
    pub(in crate::simulate) fn session_event(&mut self, epoch_ms: i64, cut: Cut, is_crash: bool) {
        let session = self.session.get_or_insert(OpenSession {
            first_ms: epoch_ms,
            last_ms: epoch_ms,
            cut,
            crashed: false,
        });
        if epoch_ms < session.first_ms {
            session.first_ms = epoch_ms;
            session.cut = cut;
        }
        session.last_ms = session.last_ms.max(epoch_ms);
        session.crashed |= is_crash;
    }

    /// Ends the open session, if there is one. No event of it may follow.
    pub(in crate::simulate) fn close_session(&mut self) {
        let Some(session) = self.session.take() else { return };
        let OpenSession { first_ms, last_ms, cut, crashed } = session;
        let first_day = self.day_of(first_ms);
        let sums = self.sums_of(first_day, cut);
        sums.sessions += 1;
        sums.crashed_sessions += u64::from(crashed);
        sums.playtime_ms += last_ms - first_ms;
        for day in first_day..=self.day_of(last_ms) {
            let start_ms = (self.start_day + i64::from(day)) * DAY_MS;
            self.open_days.at(day).concurrency.add(start_ms, cut, first_ms, last_ms);
        }
        let unfinished = self.levels.abandon();
        self.played(unfinished);
    }

    /// Ends the days before this one: nothing that is counted later may have happened on them.
    pub(in crate::simulate) fn close_days(&mut self, before: u32) {
        while let Some((day, open)) = self.open_days.take_before(before) {
            let date = TruthValue::text(&self.date(day as usize));
            self.levels.close(day, &date, open.levels, &self.grid);
            self.economy.close(&date, &open.economy, &self.grid);
            self.concurrency.close(&date, &open.concurrency, &self.grid);
            self.experiments.close(day, open.income, |cut| self.grid.ranks_of(cut));
        }
    }

    /// Counts a line that repeats an event.
    pub(in crate::simulate) fn duplicate(&mut self) {
        self.accounting.lines += 1;
        self.accounting.duplicates += 1;
    }

    /// Counts a malformed line.
    pub(in crate::simulate) fn quarantined(&mut self) {
        self.accounting.lines += 1;
        self.accounting.quarantined += 1;
    }

    /// Index that stands for an unknown country.
    pub(in crate::simulate) fn unknown_country(&self) -> u8 {
        (self.countries - 1) as u8
    }

    /// Number of events that land, so far.
    pub(in crate::simulate) fn landed(&self) -> u64 {
        self.accounting.landed
    }

    /// Landed events by type and day, sorted by both.
    pub(super) fn event_counts(&self) -> Vec<EventCount> {
        let mut counts = Vec::new();
        for (day, by_type) in self.events.iter().enumerate() {
            for (event_type, rows) in EventType::NAMES.iter().zip(by_type) {
                if *rows > 0 {
                    let event_type = (*event_type).to_owned();
                    let event_date = self.date(day);
                    counts.push(EventCount { event_type, event_date, rows: *rows });
                }
            }
        }
        counts.sort_by(|a, b| (&a.event_type, &a.event_date).cmp(&(&b.event_type, &b.event_date)));
        counts
    }

    /// A day of the simulation as text.
    pub(super) fn date(&self, day: usize) -> String {
        String::from_utf8_lossy(&date_text(self.start_day + day as i64)).into_owned()
    }

    /// Day, platform and country with its sums, for the first `days` days.
    pub(super) fn day_sums(&self, days: usize) -> impl Iterator<Item = (usize, Cut, &DaySums)> {
        let places = self.platforms * self.countries;
        self.sums.chunks(places).take(days).enumerate().flat_map(move |(day, of_day)| {
            of_day.iter().enumerate().map(move |(place, sums)| {
                let (platform, country) = (place / self.countries, place % self.countries);
                (day, Cut { platform: platform as u8, country: country as u8 }, sums)
            })
        })
    }

    fn sums_of(&mut self, day: u32, cut: Cut) -> &mut DaySums {
        let (platform, country) = (usize::from(cut.platform), usize::from(cut.country));
        let index = (day as usize * self.platforms + platform) * self.countries + country;
        &mut self.sums[index]
    }

    /// The simulated day of a time.
    fn day_of(&self, epoch_ms: i64) -> u32 {
        (epoch_ms.div_euclid(DAY_MS) - self.start_day) as u32
    }
}
