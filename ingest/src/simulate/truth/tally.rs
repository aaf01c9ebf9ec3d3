//! The running counters, updated with each event that will land.

use super::{Accounting, EventCount};
use crate::simulate::DAY_MS;
use crate::simulate::event::EventType;
use crate::simulate::writer::date_text;

/// Where an event counts: indexes of its platform and country, after the last of which stands
/// "unknown".
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::simulate) struct Cut {
    pub(in crate::simulate) platform: u8,
    pub(in crate::simulate) country: u8,
}

/// What an event brings in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulate) enum Money {
    /// Nothing.
    None,
    /// A purchase: price × quantity in cents of a US dollar.
    Purchase { cents: i64 },
    /// An advertisement: millionths of a US dollar.
    Ad { micros: i64 },
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
    pub(super) playtime_ms: i64,
    pub(super) iap_cents: i64,
    pub(super) ad_micros: i64,
}

impl DaySums {
    pub(super) fn add(&mut self, other: &Self) {
        self.sessions += other.sessions;
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
}

/// The running counters of a simulation.
#[derive(Debug)]
pub(in crate::simulate) struct Tally {
    pub(super) start_day: i64,
    /// Number of platforms and countries, "unknown" included.
    pub(super) platforms: usize,
    pub(super) countries: usize,
    pub(super) accounting: Accounting,
    pub(super) events: Vec<[u64; EventType::COUNT]>,
    pub(super) players: Vec<PlayerTally>,
    /// Players' active days; may hold an entry several times.
    pub(super) activity: Vec<PlayerDay>,
    /// Players' days with a purchase; may hold an entry several times.
    pub(super) payer_days: Vec<PlayerDay>,
    pub(super) revenue: Vec<PlayerRevenue>,
    /// By day, platform, country.
    pub(super) sums: Vec<DaySums>,
    session: Option<OpenSession>,
}

impl Tally {
    /// Counters for days from `start_day` (days since 1970-01-01) on, for as many platforms and
    /// countries as given, "unknown" not included.
    pub(in crate::simulate) fn new(
        start_day: i64,
        day_count: u32,
        platforms: usize,
        countries: usize,
    ) -> Self {
        let day_count = day_count as usize;
        let (platforms, countries) = (platforms + 1, countries + 1);
        Self {
            start_day,
            platforms,
            countries,
            accounting: Accounting::default(),
            events: vec![[0; EventType::COUNT]; day_count],
            players: Vec::new(),
            activity: Vec::new(),
            payer_days: Vec::new(),
            revenue: Vec::new(),
            sums: vec![DaySums::default(); day_count * platforms * countries],
            session: None,
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
    }

    /// Counts an event of a player, at its final event time, which must lie on one of the days.
    #[inline]
    pub(in crate::simulate) fn event(
        &mut self,
        player: u32,
        event: EventType,
        epoch_ms: i64,
        cut: Cut,
        money: Money,
    ) {
        let day = (epoch_ms.div_euclid(DAY_MS) - self.start_day) as u32;
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
        match money {
            Money::None => {}
            Money::Purchase { cents } => {
                if epoch_ms < known.first_purchase_ms {
                    known.first_purchase_ms = epoch_ms;
                    known.first_purchase_cut = cut;
                }
                self.payer_days.push(activity);
                self.sums_of(day, cut).iap_cents += cents;
                self.revenue.push(PlayerRevenue { player, day, micros: cents * 10_000 });
            }
            Money::Ad { micros } => {
                self.sums_of(day, cut).ad_micros += micros;
                self.revenue.push(PlayerRevenue { player, day, micros });
            }
        }
    }

    /// Counts an event that was already counted by [`Tally::event`] towards the open session.
    #[inline]
    pub(in crate::simulate) fn session_event(&mut self, epoch_ms: i64, cut: Cut) {
        let session =
            self.session.get_or_insert(OpenSession { first_ms: epoch_ms, last_ms: epoch_ms, cut });
        if epoch_ms < session.first_ms {
            session.first_ms = epoch_ms;
            session.cut = cut;
        }
        session.last_ms = session.last_ms.max(epoch_ms);
    }

    /// Ends the open session, if there is one. No event of it may follow.
    pub(in crate::simulate) fn close_session(&mut self) {
        let Some(session) = self.session.take() else { return };
        let day = (session.first_ms.div_euclid(DAY_MS) - self.start_day) as u32;
        let sums = self.sums_of(day, session.cut);
        sums.sessions += 1;
        sums.playtime_ms += session.last_ms - session.first_ms;
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

    /// Sums of a day, platform and country.
    pub(super) fn sums_index(&self, day: usize, cut: Cut) -> usize {
        (day * self.platforms + usize::from(cut.platform)) * self.countries
            + usize::from(cut.country)
    }

    fn sums_of(&mut self, day: u32, cut: Cut) -> &mut DaySums {
        let index = self.sums_index(day as usize, cut);
        &mut self.sums[index]
    }
}
