//! All players, day by day: who registers, who plays and when, who leaves.

use super::DAY_MS;
use super::activities;
use super::catalog::{CHANNELS, NAME_BEGINNINGS, NAME_ENDINGS, PLATFORMS, UNUSUAL_NAMES};
use super::emitter::{Emitter, Origin};
use super::event::EventType;
use super::personas::{Persona, Personas};
use super::player::{Player, PlayerId};
use super::session::{self, ActivityChain, Rules, device};
use super::truth::Detail;

/// More sessions than this a day are not played.
const MOST_SESSIONS: usize = 12;
/// Sessions of a player lie at least this far apart.
const LEAST_BREAK_MS: i64 = 10 * 60_000;
/// Probability that a player who does not play on a day is the subject of a server's event.
const AWAY_EVENT_CHANCE: f64 = 0.015;

/// The players of a simulation and what becomes of them.
#[derive(Debug)]
pub(super) struct World {
    seed: u64,
    /// First simulated day, days since 1970-01-01.
    start_day: i64,
    pub(super) players: Vec<Player>,
    registered: u32,
    chains: Vec<ActivityChain>,
    pub(super) emitter: Emitter,
}

impl World {
    pub(super) fn new(seed: u64, start_day: i64, personas: &Personas, emitter: Emitter) -> Self {
        let chains = personas.list.iter().map(ActivityChain::new).collect();
        Self { seed, start_day, players: Vec::new(), registered: 0, chains, emitter }
    }

    /// Adds players who register on this day, counted from the first simulated one.
    pub(super) fn register(&mut self, count: u32, day: u32, personas: &Personas) {
        for _ in 0..count {
            self.players.push(Player::new(self.seed, self.registered, day, personas));
            self.registered += 1;
            self.emitter.add_player();
        }
    }

    /// Decides what one player does on a day. Days must follow each other. The appointments are
    /// appended in order of time, and all must be kept before the next day is planned.
    pub(super) fn plan_day(
        &mut self,
        day: u32,
        player: usize,
        personas: &Personas,
        plan: &mut Vec<Appointment>,
    ) {
        let start_ms = (self.start_day + i64::from(day)) * DAY_MS;
        plan_day(&mut self.players[player], day, start_ms, personas, plan);
    }

    /// Lets a player do what was planned. Those of one player must be kept in order.
    pub(super) fn keep(&mut self, appointment: &Appointment, personas: &Personas) {
        let rules = Rules { personas, chains: &self.chains };
        let day = (appointment.at_ms.div_euclid(DAY_MS) - self.start_day) as u32;
        let player = &mut self.players[appointment.player as usize];
        let out = &mut self.emitter;
        match appointment.kind {
            AppointmentKind::Registration => {
                player.clock_ms = appointment.at_ms;
                register(player, day, &rules, out);
                player.pass_ms(500, 4_000);
                session::play(player, day, &rules, out);
            }
            AppointmentKind::Session => {
                // The session before may have taken longer than planned.
                if appointment.at_ms >= player.clock_ms.saturating_add(LEAST_BREAK_MS) {
                    player.clock_ms = appointment.at_ms;
                    session::play(player, day, &rules, out);
                }
            }
            AppointmentKind::Away => {
                if appointment.at_ms > player.clock_ms {
                    player.clock_ms = appointment.at_ms;
                    out.open_session(player, player.platform, personas, day);
                    activities::receive_gift(player, out);
                }
            }
        }
    }
}

/// Something that a player is going to do. Ordered by time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Appointment {
    /// Epoch milliseconds.
    pub(super) at_ms: i64,
    player: u32,
    kind: AppointmentKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum AppointmentKind {
    /// Registers and plays the first session.
    Registration,
    /// Plays a session.
    Session,
    /// Is away, but something happens to them.
    Away,
}

fn plan_day(
    player: &mut Player,
    day: u32,
    start_ms: i64,
    personas: &Personas,
    plan: &mut Vec<Appointment>,
) {
    let persona = &personas.list[usize::from(player.persona)];
    if player.gone {
        if !player.random.chance(persona.return_probability) {
            return;
        }
        player.gone = false;
    }
    let registers = player.registered_on == day;
    let rhythm = persona.weekday_rhythm[weekday(start_ms)];
    if registers || player.random.chance(persona.active_probability * rhythm) {
        plan_sessions(player, registers, start_ms, persona, plan);
    } else if player.random.chance(AWAY_EVENT_CHANCE) {
        let at_ms = start_ms + time_of_day(player, persona);
        plan.push(Appointment { at_ms, player: player.index, kind: AppointmentKind::Away });
    }
    if player.random.chance(persona.churn_after(day - player.registered_on)) {
        player.gone = true;
    }
}

fn plan_sessions(
    player: &mut Player,
    registers: bool,
    start_ms: i64,
    persona: &Persona,
    plan: &mut Vec<Appointment>,
) {
    let first = plan.len();
    loop {
        let at_ms = start_ms + time_of_day(player, persona);
        plan.push(Appointment { at_ms, player: player.index, kind: AppointmentKind::Session });
        if plan.len() - first == MOST_SESSIONS || !player.random.chance(persona.more_sessions) {
            break;
        }
    }
    let planned = &mut plan[first..];
    planned.sort_unstable();
    if registers {
        planned[0].kind = AppointmentKind::Registration;
    }
}

/// Day of the week, 0 = Monday, of a time.
fn weekday(epoch_ms: i64) -> usize {
    // 1970-01-01 was a Thursday.
    (epoch_ms.div_euclid(DAY_MS) + 3).rem_euclid(7) as usize
}

/// Milliseconds since midnight UTC at which a session begins; even, as all times.
fn time_of_day(player: &mut Player, persona: &Persona) -> i64 {
    let hour = persona.hours.pick(&mut player.random) as i64;
    let local_ms = hour * 3_600_000 + i64::from(player.random.below(1_800_000)) * 2;
    (local_ms - player.utc_offset_ms).rem_euclid(DAY_MS)
}

/// The account service tells of a new player.
fn register(player: &mut Player, day: u32, rules: &Rules<'_>, out: &mut Emitter) {
    out.open_session(player, player.platform, rules.personas, day);
    write_name(player, out);
    let (channel, campaign) = *player.random.pick(&CHANNELS);
    out.properties.text("acquisition_channel", channel);
    if let Some(campaign) = campaign {
        out.properties.text("campaign", campaign);
    }
    let platform = &PLATFORMS[usize::from(player.platform)];
    out.properties.text("device_model", device(player, platform.devices));
    out.properties.text("os_version", device(player, platform.os_versions));
    let country = player.country.and_then(|index| rules.personas.countries.get(usize::from(index)));
    out.properties.text("language", country.map_or("en", |country| &country.language));
    let installed_ms = player.clock_ms - i64::from(player.random.between(20_000, 900_000));
    out.properties.timestamp("installed_at", installed_ms, &mut out.dates);
    if channel == "referral" {
        out.properties.player("referred_by", PlayerId(player.random.bits()));
    }
    out.emit_detailed(player, EventType::PlayerRegistered, Origin::Server, Detail::Registration);
}

fn write_name(player: &mut Player, out: &mut Emitter) {
    let random = &mut player.random;
    let number = random.below(1_000);
    let name = if random.chance(0.1) {
        format!("{} {number}", random.pick(&UNUSUAL_NAMES))
    } else {
        format!("{}{}{number}", random.pick(&NAME_BEGINNINGS), random.pick(&NAME_ENDINGS))
    };
    out.properties.text("display_name", &name);
}
