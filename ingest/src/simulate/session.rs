//! A play session: a Markov chain over the things that there are to do.

use super::activities;
use super::catalog::{
    EXPERIMENTS, Feat, FlowReason, MAP_REDESIGN, PLATFORMS, TUTORIAL_LENGTH, TUTORIAL_STEPS,
};
use super::emitter::{Emitter, Origin};
use super::event::EventType;
use super::personas::{Persona, Personas};
use super::player::Player;
use super::random::Weights;
use super::truth::Detail;

/// What players do, in the order of a persona's appetites.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Activity {
    Level,
    Match,
    Shop,
    Ad,
    Social,
}

impl Activity {
    pub(super) const COUNT: usize = 5;
    const ALL: [Self; Self::COUNT] = [Self::Level, Self::Match, Self::Shop, Self::Ad, Self::Social];
}

/// How one thing leads to another, whoever plays: from (rows) level, match, shop, advertisement,
/// social, and the beginning of a session; to (columns) the same but for the last. A persona's
/// appetites multiply the columns.
const TRANSITIONS: [[f64; Activity::COUNT]; Activity::COUNT + 1] = [
    [10.0, 2.0, 2.0, 4.0, 1.6],
    [2.0, 9.0, 1.6, 2.0, 3.0],
    [6.0, 4.0, 0.4, 1.5, 1.5],
    [9.0, 1.5, 2.5, 1.5, 1.0],
    [6.0, 6.0, 1.0, 1.0, 2.5],
    [8.0, 4.0, 1.0, 2.0, 2.5],
];

/// The Markov chain of one persona: where to go from each activity and from the beginning.
#[derive(Debug, Clone)]
pub(super) struct ActivityChain {
    rows: Vec<Weights>,
}

impl ActivityChain {
    /// The chain of a persona.
    pub(super) fn new(persona: &Persona) -> Self {
        let row = |base: &[f64; Activity::COUNT]| {
            Weights::new(base.iter().zip(persona.appetites).map(|(weight, taste)| weight * taste))
        };
        Self { rows: TRANSITIONS.iter().map(row).collect() }
    }
}

/// What stays the same for all sessions of a simulation.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub(super) personas: &'a Personas,
    /// One for each persona.
    pub(super) chains: &'a [ActivityChain],
}

/// What happens in one session.
#[derive(Debug)]
pub(super) struct Session<'a> {
    pub(super) persona: &'a Persona,
    pub(super) personas: &'a Personas,
    pub(super) platform: u8,
    /// Counts from the first simulated day.
    pub(super) day: u32,
    pub(super) levels_played: u32,
    pub(super) matches_played: u32,
}

/// Plays one session, which begins at the player's time.
pub(super) fn play(player: &mut Player, day: u32, rules: &Rules<'_>, out: &mut Emitter) {
    let persona = &rules.personas.list[usize::from(player.persona)];
    let platform = choose_platform(player, rules.personas);
    player.sessions += 1;
    out.open_session(player, platform, rules.personas, day);
    let mut session = Session {
        persona,
        personas: rules.personas,
        platform,
        day,
        levels_played: 0,
        matches_played: 0,
    };
    let start_ms = player.clock_ms;
    begin(player, platform, out);
    greet(player, &session, out);
    let length_ms = player.random.spread(persona.session_minutes) * 60_000.0;
    let end_ms = (start_ms + length_ms as i64).min(out.end_ms());
    if play_tutorial(player, out) {
        let chain = &rules.chains[usize::from(player.persona)];
        let mut row = Activity::COUNT;
        while player.clock_ms < end_ms {
            row = chain.rows[row].pick(&mut player.random);
            match Activity::ALL[row] {
                Activity::Level => activities::play_level(player, &mut session, out),
                Activity::Match => activities::play_match(player, &mut session, out),
                Activity::Shop => activities::visit_shop(player, &session, out),
                Activity::Ad => activities::watch_ad(player, &session, out),
                Activity::Social => activities::be_social(player, out),
            }
            player.pass_ms(1_000, 15_000);
        }
    }
    end(player, &session, start_ms, out);
    out.close_session();
}

/// The platform of this session.
fn choose_platform(player: &mut Player, personas: &Personas) -> u8 {
    match player.second_platform {
        Some(second) if player.random.chance(personas.second_platform_use) => second,
        _ => player.platform,
    }
}

fn begin(player: &mut Player, platform: u8, out: &mut Emitter) {
    let description = &PLATFORMS[usize::from(platform)];
    let network = *player.random.pick(description.network_types);
    out.properties.integer("session_number", i64::from(player.sessions));
    out.properties.text("device_model", device(player, description.devices));
    out.properties.text("os_version", device(player, description.os_versions));
    out.properties.text("network_type", network);
    out.properties.integer("coins_balance", player.coins);
    out.properties.integer("gems_balance", player.gems);
    out.emit(player, EventType::SessionStart, Origin::Client);
}

/// The player's own one of several.
pub(super) fn device<'a>(player: &Player, choices: &[&'a str]) -> &'a str {
    choices[player.device as usize % choices.len()]
}

/// What the game does by itself when a session begins.
fn greet(player: &mut Player, session: &Session<'_>, out: &mut Emitter) {
    if player.sessions == 1 {
        expose(player, TUTORIAL_LENGTH, session.day, out);
    }
    expose(player, MAP_REDESIGN, session.day, out);
    if player.random.chance(0.45) {
        player.pass_ms(800, 4_000);
        let amount = 50 + 10 * i64::from(player.random.below(6));
        activities::earn_coins(player, amount, FlowReason::DailyReward, out);
    }
    activities::unlock_achievements(player, Feat::Sessions, out);
}

/// Shows a player their variant of an experiment: the first time, and now and then again.
pub(super) fn expose(player: &mut Player, experiment: usize, day: u32, out: &mut Emitter) {
    let description = &EXPERIMENTS[experiment];
    if day < description.from_day {
        return;
    }
    if player.exposures[experiment] > 0 && !player.random.chance(0.08) {
        return;
    }
    player.pass_ms(20, 400);
    if player.exposures[experiment] == 0 {
        player.assigned_ms[experiment] = player.clock_ms;
    }
    player.exposures[experiment] += 1;
    out.properties.text("experiment_id", description.id);
    out.properties.text("variant", description.variants[player.variant(experiment)]);
    out.properties.date("assigned_on", player.assigned_ms[experiment], &mut out.dates);
    out.properties.integer("exposure", i64::from(player.exposures[experiment]));
    let detail = Detail::Exposure { experiment, variant: player.variant(experiment) };
    out.emit_detailed(player, EventType::ExperimentExposure, Origin::Client, detail);
}

/// Goes on with the tutorial; `false` if the player had enough of it for this session.
fn play_tutorial(player: &mut Player, out: &mut Emitter) -> bool {
    let short = player.variant(TUTORIAL_LENGTH) == 1;
    while usize::from(player.tutorial_steps) < TUTORIAL_STEPS.len() {
        let start_ms = player.clock_ms;
        player.pass_ms(6_000, 40_000);
        let step = usize::from(player.tutorial_steps);
        let skipped = player.random.chance(if short && step >= 3 { 0.5 } else { 0.04 });
        out.properties.integer("step", step as i64 + 1);
        out.properties.text("step_name", TUTORIAL_STEPS[step]);
        out.properties.text("outcome", if skipped { "skipped" } else { "completed" });
        out.properties.integer("duration_ms", player.clock_ms - start_ms);
        let detail = Detail::TutorialStep { number: player.tutorial_steps + 1 };
        out.emit_detailed(player, EventType::TutorialStep, Origin::Client, detail);
        player.tutorial_steps += 1;
        if player.random.chance(if short { 0.025 } else { 0.04 }) {
            return false;
        }
    }
    true
}

/// Ends a session: in order, or with a crash, which leaves no `session_end`.
fn end(player: &mut Player, session: &Session<'_>, start_ms: i64, out: &mut Emitter) {
    player.pass_ms(500, 4_000);
    if player.random.chance(session.persona.crash_chance) {
        activities::report_error(player, true, out);
        return;
    }
    if player.random.chance(0.06) {
        activities::report_error(player, false, out);
        player.pass_ms(500, 4_000);
    }
    // Now and then the connection is lost, and nothing is heard of the end.
    if player.random.chance(0.02) {
        return;
    }
    let reason = *player.random.pick(&["player_quit", "background", "background", "timeout"]);
    out.properties.text("end_reason", reason);
    out.properties.integer("duration_ms", player.clock_ms - start_ms);
    out.properties.integer("levels_played", i64::from(session.levels_played));
    out.properties.integer("matches_played", i64::from(session.matches_played));
    out.emit(player, EventType::SessionEnd, Origin::Client);
}
