//! The simulator: players of a game that does not exist, and the truth about them.
//!
//! Seeded personas play the bundled game, and their events come out as newline-delimited JSON in
//! the order of their arrival. Beside them stands the [`Truth`]: what the pipeline's tables must
//! contain, counted by the simulator itself. On request, events suffer what events suffer
//! ([`FaultRates`]); the truth knows of it.
//!
//! The same options give the same bytes, on every machine.
//!
//! ```text
//! personas ─► world ─► session ─► activities ─► emitter ─► timeline ─► output
//!             (who,     (Markov    (events)       │ faults   (order of
//!              when)     chain)                   └► tally    arrival)
//!                                                     └► truth
//! ```

mod activities;
mod catalog;
mod emitter;
mod event;
mod faults;
mod live;
mod personas;
mod player;
mod random;
mod session;
mod timeline;
mod truth;
mod world;
mod writer;

use std::io::Write;
use std::ops::ControlFlow;

use chrono::NaiveDate;

use self::catalog::PLATFORMS;
use self::emitter::Emitter;
use self::faults::FaultInjector;
use self::random::Random;
use self::timeline::Timeline;
use self::truth::Tally;
use self::world::World;

pub use self::faults::FaultRates;
pub use self::live::LiveSimulator;
pub use self::personas::{PersonaError, Personas};
pub use self::truth::{
    Accounting, EventCount, TRUTH_FORMAT, Truth, TruthColumn, TruthKind, TruthOptions, TruthTable,
    TruthValue,
};

const DAY_MS: i64 = 86_400_000;

/// Stream of random choices for faults; players have the streams of their numbers.
const FAULT_STREAM: u64 = u64::MAX;

/// Players between two reports of progress.
const PLAYERS_PER_REPORT: usize = 4_096;

/// Lines are handed to the output in pieces of about this size.
const PIECE_BYTES: usize = 1 << 18;

/// The longest simulation, days.
const MOST_DAYS: u32 = 3_660;

/// What to simulate.
#[derive(Debug, Clone)]
pub struct SimulationOptions {
    /// Number of players who register in all, at least 1.
    pub players: u32,
    /// Number of days, 1 to 3660.
    pub days: u32,
    /// Everything that is left to chance follows from it.
    pub seed: u64,
    /// First day (UTC).
    pub start: NaiveDate,
    /// What goes wrong on the way.
    pub faults: FaultRates,
    /// Who plays.
    pub personas: Personas,
}

impl SimulationOptions {
    /// A thousand of the bundled players in the first 30 days of 2026, without faults.
    ///
    /// # Errors
    /// None in a released version; see [`Personas::bundled`].
    pub fn new() -> Result<Self, SimulateError> {
        Ok(Self {
            players: 1_000,
            days: 30,
            seed: 1,
            start: NaiveDate::from_ymd_opt(2026, 1, 1).unwrap_or_default(),
            faults: FaultRates::default(),
            personas: Personas::bundled()?,
        })
    }

    /// # Errors
    /// If an option makes no sense.
    fn check(&self) -> Result<(), SimulateError> {
        let refuse = |problem: &str| Err(SimulateError::Options(problem.to_owned()));
        if self.players == 0 {
            return refuse("there must be at least 1 player");
        }
        if !(1..=MOST_DAYS).contains(&self.days) {
            return refuse("the number of days must lie between 1 and 3660");
        }
        if !(1..=9_900 * 365).contains(&self.start_day()) {
            return refuse("the start must lie between the years 1970 and 9800");
        }
        self.faults.check()
    }

    /// First day, days since 1970-01-01.
    fn start_day(&self) -> i64 {
        i64::from(self.start.to_epoch_days())
    }

    fn truth_options(&self) -> TruthOptions {
        TruthOptions {
            players: self.players,
            days: self.days,
            seed: self.seed,
            start: self.start.to_string(),
            faults: self.faults,
            personas: format!("{:016x}", self.personas.fingerprint()),
        }
    }

    /// Number of players who register on each day.
    fn registrations(&self) -> Vec<u32> {
        let curve = &self.personas.registrations;
        let mut cumulative = Vec::with_capacity(self.days as usize);
        let mut sum = 0.0;
        for day in 0..self.days {
            let position = f64::from(day) / f64::from((self.days - 1).max(1));
            let point = position * (curve.len() - 1) as f64;
            let left = (point as usize).min(curve.len() - 1);
            let right = (left + 1).min(curve.len() - 1);
            sum += curve[left] + (curve[right] - curve[left]) * (point - left as f64);
            cumulative.push(sum);
        }
        let mut registered = 0;
        let last = cumulative.len() - 1;
        let mut counts = Vec::with_capacity(cumulative.len());
        for (day, weight) in cumulative.iter().enumerate() {
            let share = if sum > 0.0 { weight / sum } else { 1.0 };
            let due =
                if day == last { self.players } else { (f64::from(self.players) * share) as u32 };
            counts.push(due - registered);
            registered = due;
        }
        counts
    }
}

/// How far a simulation is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Days that are written.
    pub days_done: u32,
    /// Days in all.
    pub days: u32,
    /// Events simulated that will land.
    pub events: u64,
    /// Bytes written.
    pub bytes: u64,
}

/// Why a simulation ended without a truth.
#[derive(Debug, thiserror::Error)]
pub enum SimulateError {
    /// An option makes no sense.
    #[error("cannot simulate this: {0}")]
    Options(String),
    /// The persona file was refused.
    #[error(transparent)]
    Personas(#[from] PersonaError),
    /// The output could not be written.
    #[error("cannot write the simulated events; what was written so far is incomplete")]
    Write(#[source] std::io::Error),
    /// The caller asked to stop.
    #[error("the simulation was stopped; what was written so far is incomplete")]
    Stopped,
}

/// Simulates, writes the events as newline-delimited JSON in the order of their arrival, and
/// returns what must come out of them.
///
/// `progress` is called after each day and now and then in between; it can stop the simulation and
/// has no influence on it otherwise. Memory is that of about a day's lines and a few hundred bytes
/// a player. The output is written in large pieces and flushed at the end.
///
/// # Errors
/// If an option makes no sense, the output fails, or `progress` asks to stop.
pub fn simulate(
    options: &SimulationOptions,
    output: &mut dyn Write,
    progress: &mut dyn FnMut(Progress) -> ControlFlow<()>,
) -> Result<Truth, SimulateError> {
    options.check()?;
    let personas = &options.personas;
    let start_day = options.start_day();
    let platforms = PLATFORMS.map(|platform| platform.name);
    let countries: Vec<_> =
        personas.countries.iter().map(|country| country.code.as_str()).collect();
    let tally = Tally::new(start_day, options.days, &platforms, &countries);
    let faults = FaultInjector::new(options.faults, Random::new(options.seed, FAULT_STREAM));
    let bounds = start_day * DAY_MS..(start_day + i64::from(options.days)) * DAY_MS;
    let emitter =
        Emitter::new(Timeline::new(start_day * DAY_MS, DAY_MS), Some(tally), faults, bounds);
    let mut world = World::new(options.seed, start_day, personas, emitter);
    let mut output = PieceWriter { output, piece: Vec::with_capacity(PIECE_BYTES * 2), bytes: 0 };

    let mut report = |world: &World, days_done: u32, bytes: u64| {
        let events = world.emitter.landed();
        match progress(Progress { days_done, days: options.days, events, bytes }) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(SimulateError::Stopped),
        }
    };
    let mut plan = Vec::new();
    for (day, count) in (0..options.days).zip(options.registrations()) {
        world.register(count, day, personas);
        for player in 0..world.players.len() {
            if player % PLAYERS_PER_REPORT == PLAYERS_PER_REPORT - 1 {
                report(&world, day, output.bytes)?;
            }
            plan.clear();
            world.plan_day(day, player, personas, &mut plan);
            for appointment in &plan {
                world.keep(appointment, personas);
            }
        }
        // What happens tomorrow may carry today's date, but not yesterday's: clocks are wrong by
        // less than half a day.
        world.emitter.close_days(day);
        output.write_day(&mut world.emitter.timeline)?;
        report(&world, day + 1, output.bytes)?;
    }
    // What is still under way arrives after the last day.
    while !world.emitter.timeline.is_empty() {
        output.write_day(&mut world.emitter.timeline)?;
    }
    output.finish()?;
    // It is complete: nobody can stop it any more.
    let _ = report(&world, options.days, output.bytes);

    let tally = world.emitter.into_tally().ok_or(SimulateError::Stopped)?;
    Ok(tally.into_truth(options.truth_options()))
}

/// Hands lines to the output in large pieces.
struct PieceWriter<'a> {
    output: &'a mut dyn Write,
    piece: Vec<u8>,
    bytes: u64,
}

impl PieceWriter<'_> {
    fn write_day(&mut self, timeline: &mut Timeline) -> Result<(), SimulateError> {
        let lines = timeline.take_slot();
        for (_, line) in lines.iter() {
            self.piece.extend_from_slice(line);
            if self.piece.len() >= PIECE_BYTES {
                self.write_piece()?;
            }
        }
        timeline.give_back(lines);
        Ok(())
    }

    fn write_piece(&mut self) -> Result<(), SimulateError> {
        self.output.write_all(&self.piece).map_err(SimulateError::Write)?;
        self.bytes += self.piece.len() as u64;
        self.piece.clear();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), SimulateError> {
        self.write_piece()?;
        self.output.flush().map_err(SimulateError::Write)
    }
}

#[cfg(test)]
mod tests;
