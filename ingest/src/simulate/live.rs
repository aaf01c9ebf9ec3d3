//! Events of a small population in real time, for a demonstration that runs.

use super::emitter::Emitter;
use super::faults::FaultInjector;
use super::random::{Random, mix};
use super::timeline::{Lines, Timeline};
use super::world::{Appointment, World};
use super::{DAY_MS, FAULT_STREAM, SimulateError, SimulationOptions};

const HOUR_MS: i64 = 3_600_000;

/// Days that the population has behind it when the first events come out, so that not everybody is
/// new.
const WARM_UP_DAYS: i64 = 14;

/// Emits events whose times are those of the clock on the wall.
///
/// The population begins two weeks before the day of the start and grows from then on at an even
/// rate: `players` in `days` days. A simulator that is started anew on the same UTC day with the
/// same options tells the same story on; started on another day it has other players. Nothing is
/// counted: there is no truth for events that may or may not have been sent. Memory is that of an
/// hour's lines and a few hundred bytes a player.
#[derive(Debug)]
pub struct LiveSimulator {
    options: SimulationOptions,
    world: World,
    /// First day of the population, days since 1970-01-01.
    first_day: i64,
    /// The hour whose lines are in `lines`, hours since 1970-01-01.
    hour: i64,
    lines: Lines,
    /// Number of `lines` that are already out.
    sent: usize,
    /// What is left of the current day, the earliest last.
    plan: Vec<Appointment>,
}

impl LiveSimulator {
    /// Starts a population; its first events come after `now_epoch_ms`. The start date in the
    /// options has no meaning here.
    ///
    /// # Errors
    /// If an option makes no sense.
    pub fn new(options: SimulationOptions, now_epoch_ms: i64) -> Result<Self, SimulateError> {
        options.check()?;
        let first_day = now_epoch_ms.div_euclid(DAY_MS) - WARM_UP_DAYS;
        let start_ms = first_day * DAY_MS;
        let seed = mix(options.seed ^ mix(first_day as u64));
        let faults = FaultInjector::new(options.faults, Random::new(seed, FAULT_STREAM));
        let timeline = Timeline::new(start_ms, HOUR_MS);
        let emitter = Emitter::new(timeline, None, faults, start_ms..i64::MAX);
        let world = World::new(seed, first_day, &options.personas, emitter);
        let mut simulator = Self {
            options,
            world,
            first_day,
            hour: start_ms / HOUR_MS - 1,
            lines: Lines::default(),
            sent: 0,
            plan: Vec::new(),
        };
        simulator.pass_lines(now_epoch_ms, &mut |_| ());
        Ok(simulator)
    }

    /// Appends the lines that arrive after the last call and not after `until_epoch_ms`, in order,
    /// and returns their number.
    pub fn next_events(&mut self, until_epoch_ms: i64, out: &mut Vec<u8>) -> usize {
        self.pass_lines(until_epoch_ms, &mut |line| out.extend_from_slice(line))
    }

    /// Hands over the lines that arrive until then; see [`LiveSimulator::next_events`].
    fn pass_lines(&mut self, until_epoch_ms: i64, take: &mut dyn FnMut(&[u8])) -> usize {
        let mut count = 0;
        loop {
            for (arrival_ms, line) in self.lines.iter().skip(self.sent) {
                if arrival_ms > until_epoch_ms {
                    return count;
                }
                take(line);
                self.sent += 1;
                count += 1;
            }
            if until_epoch_ms.div_euclid(HOUR_MS) <= self.hour {
                return count;
            }
            self.play_next_hour();
        }
    }

    fn play_next_hour(&mut self) {
        self.hour += 1;
        let start_ms = self.hour * HOUR_MS;
        if start_ms.rem_euclid(DAY_MS) == 0 {
            self.plan_day(start_ms.div_euclid(DAY_MS));
        }
        while let Some(appointment) = self.plan.pop_if(|next| next.at_ms < start_ms + HOUR_MS) {
            self.world.keep(&appointment, &self.options.personas);
        }
        let timeline = &mut self.world.emitter.timeline;
        let last_hour = std::mem::replace(&mut self.lines, timeline.take_slot());
        timeline.give_back(last_hour);
        self.sent = 0;
    }

    fn plan_day(&mut self, epoch_day: i64) {
        let day = (epoch_day - self.first_day) as u32;
        let (players, days) = (u64::from(self.options.players), u64::from(self.options.days));
        let due = |day: u64| players * day / days;
        let count = (due(u64::from(day) + 1) - due(u64::from(day))) as u32;
        let personas = &self.options.personas;
        self.world.register(count, day, personas);
        for player in 0..self.world.players.len() {
            self.world.plan_day(day, player, personas, &mut self.plan);
        }
        self.plan.sort_unstable_by(|a, b| b.cmp(a));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simulate::FaultRates;

    const NOW_MS: i64 = 1_790_000_000_000;

    fn simulator(now_ms: i64, faults: FaultRates) -> LiveSimulator {
        let options = SimulationOptions {
            players: 300,
            days: 10,
            faults,
            ..SimulationOptions::new().unwrap()
        };
        LiveSimulator::new(options, now_ms).unwrap()
    }

    fn times(bytes: &[u8]) -> Vec<i64> {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        lines
            .map(|line| {
                let event: serde_json::Value = serde_json::from_slice(line).unwrap();
                let time = &event["event_time"];
                time.as_i64().unwrap_or_else(|| {
                    let text = time.as_str().unwrap();
                    chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis()
                })
            })
            .collect()
    }

    #[test]
    fn events_come_in_real_time_and_each_once() {
        let mut at_once = simulator(NOW_MS, FaultRates::default());
        let mut everything = Vec::new();
        let until_ms = NOW_MS + 3 * DAY_MS;
        let count = at_once.next_events(until_ms, &mut everything);
        let times = times(&everything);
        assert_eq!(times.len(), count);
        assert!(count > 1_000, "{count}");
        assert!(times.is_sorted());
        assert!(times.iter().all(|time| (NOW_MS + 1..=until_ms).contains(time)));

        let mut bit_by_bit = simulator(NOW_MS, FaultRates::default());
        let mut pieces = Vec::new();
        let mut until = NOW_MS;
        while until < until_ms {
            until = (until + 7_000_001).min(until_ms);
            bit_by_bit.next_events(until, &mut pieces);
        }
        assert!(pieces == everything);
        assert_eq!(bit_by_bit.next_events(until_ms, &mut pieces), 0);
    }

    #[test]
    fn a_new_start_on_the_same_day_goes_on() {
        let mut first = simulator(NOW_MS, FaultRates::typical());
        let mut before = Vec::new();
        first.next_events(NOW_MS + 600_000, &mut before);
        let mut rest = Vec::new();
        first.next_events(NOW_MS + DAY_MS, &mut rest);
        let mut second = simulator(NOW_MS + 600_000, FaultRates::typical());
        let mut again = Vec::new();
        second.next_events(NOW_MS + DAY_MS, &mut again);
        assert!(rest == again);
    }
}
