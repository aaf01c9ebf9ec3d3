//! One simulated player: who they are, and how far they have come.

use super::DAY_MS;
use super::catalog::{EXPERIMENTS, Feat, PLATFORMS};
use super::personas::Personas;
use super::random::{Random, Spread, mix};

/// Identifies a player; distinct for the players of one simulation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct PlayerId(pub(super) u64);

impl PlayerId {
    /// What stands before the 16 hexadecimal digits of the identifier in JSON.
    pub(super) const PREFIX: &'static str = "p";

    /// The identifier of player number `index`.
    pub(super) fn new(seed: u64, index: u32) -> Self {
        // A mixed number is distinct for distinct numbers, so no two players share one.
        Self(mix(mix(seed).wrapping_add(u64::from(index))))
    }
}

/// The state of a player.
#[derive(Debug)]
pub(super) struct Player {
    pub(super) index: u32,
    pub(super) id: PlayerId,
    pub(super) random: Random,
    pub(super) persona: u8,
    /// Indexes of the platforms that the player uses.
    pub(super) platform: u8,
    pub(super) second_platform: Option<u8>,
    /// Index of the country; `None` if the game never learns it.
    pub(super) country: Option<u8>,
    pub(super) utc_offset_ms: i64,
    /// Day of registration, counted from the first simulated day.
    pub(super) registered_on: u32,
    /// Days between a release of the client and its installation.
    pub(super) update_lag: u32,
    /// Chooses device and operating system.
    pub(super) device: u32,
    /// How wrong the clock is, where it is wrong. An odd number of milliseconds, while events
    /// happen on even ones: so that no two events of a player share a time.
    pub(super) clock_error_ms: i64,
    pub(super) skill: f64,
    /// Whether the player has left, perhaps for good.
    pub(super) gone: bool,
    /// Time of the last thing that happened, epoch milliseconds, even.
    pub(super) clock_ms: i64,
    /// Time of the last event.
    emitted_ms: i64,
    pub(super) sessions: u32,
    pub(super) tutorial_steps: u8,
    pub(super) level: u32,
    /// Attempts at the current level.
    pub(super) attempts: u32,
    pub(super) level_wins: u32,
    pub(super) match_wins: u32,
    pub(super) purchases: u32,
    pub(super) rating: i32,
    pub(super) coins: i64,
    pub(super) gems: i64,
    /// Exposures to each experiment, and the day of the first one.
    pub(super) exposures: [u32; EXPERIMENTS.len()],
    pub(super) assigned_ms: [i64; EXPERIMENTS.len()],
}

/// How long players take to install a new version, days.
const UPDATE_LAG: Spread = Spread { least: 0.0, typical: 2.0, greatest: 25.0 };

impl Player {
    /// Player number `index`, who registers on this day.
    pub(super) fn new(seed: u64, index: u32, registered_on: u32, personas: &Personas) -> Self {
        let mut random = Random::new(seed, u64::from(index));
        let persona_index = personas.shares.pick(&mut random);
        let persona = &personas.list[persona_index];
        let platform = persona.platforms.pick(&mut random);
        let second_platform = random.chance(personas.second_platform_share).then(|| {
            (platform + 1 + random.below(PLATFORMS.len() as u32 - 1) as usize) % PLATFORMS.len()
        });
        let country = persona.countries.pick(&mut random);
        let utc_offset_ms = personas.countries[country].utc_offset_ms;
        let country_is_known = !random.chance(personas.unknown_country_share);
        let clock_error = 1 + 2 * i64::from(random.below(DAY_MS as u32 / 4));
        let clock_is_fast = random.chance(0.5);
        Self {
            index,
            id: PlayerId::new(seed, index),
            persona: persona_index as u8,
            platform: platform as u8,
            second_platform: second_platform.map(|other| other as u8),
            country: country_is_known.then_some(country as u8),
            utc_offset_ms,
            registered_on,
            update_lag: random.spread(UPDATE_LAG) as u32,
            device: random.bits() as u32,
            clock_error_ms: if clock_is_fast { clock_error } else { -clock_error },
            skill: random.spread(persona.skill),
            gone: false,
            clock_ms: i64::MIN,
            emitted_ms: i64::MIN,
            sessions: 0,
            tutorial_steps: 0,
            level: 1,
            attempts: 0,
            level_wins: 0,
            match_wins: 0,
            purchases: 0,
            rating: 1_000,
            coins: 500,
            gems: 20,
            exposures: [0; EXPERIMENTS.len()],
            assigned_ms: [0; EXPERIMENTS.len()],
            random,
        }
    }

    /// Lets time pass, at least 2 ms.
    #[inline]
    pub(super) fn pass_ms(&mut self, least: u32, most: u32) {
        let ms = i64::from(self.random.between(least, most)) & !1;
        self.clock_ms += ms.max(2);
    }

    /// The time of an event that happens now: later than that of any before.
    #[inline]
    pub(super) fn next_event_ms(&mut self) -> i64 {
        if self.clock_ms <= self.emitted_ms {
            self.clock_ms = self.emitted_ms + 2;
        }
        self.emitted_ms = self.clock_ms;
        self.clock_ms
    }

    /// Number of the variant of an experiment that the player is assigned to.
    pub(super) fn variant(&self, experiment: usize) -> usize {
        let hash = mix(self.id.0 ^ mix(experiment as u64 + 1));
        (hash % EXPERIMENTS[experiment].variants.len() as u64) as usize
    }

    /// How often the player has done something.
    pub(super) fn feat_count(&self, feat: Feat) -> u32 {
        match feat {
            Feat::Sessions => self.sessions,
            Feat::LevelWins => self.level_wins,
            Feat::MatchWins => self.match_wins,
            Feat::Purchases => self.purchases,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn players_are_distinct_and_their_clocks_wrong_by_odd_numbers() {
        let personas = Personas::bundled().unwrap();
        let mut ids = std::collections::BTreeSet::new();
        let mut on_two_platforms = 0;
        for index in 0..5_000 {
            let player = Player::new(9, index, 0, &personas);
            assert!(ids.insert(player.id.0));
            assert_eq!(player.clock_error_ms.rem_euclid(2), 1);
            assert!(player.clock_error_ms.abs() <= DAY_MS / 2);
            assert_ne!(player.second_platform, Some(player.platform));
            on_two_platforms += i32::from(player.second_platform.is_some());
        }
        assert!((450..650).contains(&on_two_platforms), "{on_two_platforms}");
    }
}
