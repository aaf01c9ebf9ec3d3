//! The file that says who plays the simulated game: its format, and what it is compiled to.

mod format;

use std::path::Path;

use self::format::{PersonaEntry, PersonaFile};
use super::catalog::{OFFERS, PLATFORMS, platform_index};
use super::random::{Spread, Weights};

/// The personas that come with Questlake.
const BUNDLED: &str = include_str!("../../personas.toml");

const MS_PER_HOUR: f64 = 3_600_000.0;

/// Why a persona file was refused.
#[derive(Debug, thiserror::Error)]
pub enum PersonaError {
    /// The file could not be read.
    #[error("cannot read the persona file {path}")]
    Read {
        /// Path as given.
        path: String,
        /// What the operating system said.
        #[source]
        source: std::io::Error,
    },
    /// The file was read but cannot be used.
    #[error("the persona file {path} cannot be used")]
    InFile {
        /// Path as given.
        path: String,
        /// What is wrong with it.
        #[source]
        source: Box<PersonaError>,
    },
    /// The file is not TOML, or has a key that is unknown, missing or of another type.
    #[error("the personas do not fit their format")]
    Format(#[source] Box<toml::de::Error>),
    /// A value makes no sense.
    #[error("{place}: {problem}")]
    Value {
        /// Where, such as `persona "casual": churn`.
        place: String,
        /// What is wrong and what would be right.
        problem: String,
    },
}

/// The players to simulate, ready for use. See `personas.toml` for the format.
#[derive(Debug, Clone)]
pub struct Personas {
    pub(super) list: Vec<Persona>,
    pub(super) shares: Weights,
    pub(super) countries: Vec<Country>,
    pub(super) second_platform_share: f64,
    pub(super) second_platform_use: f64,
    pub(super) unknown_country_share: f64,
    pub(super) registrations: Vec<f64>,
    fingerprint: u64,
}

/// A country that players live in.
#[derive(Debug, Clone)]
pub(super) struct Country {
    pub(super) code: String,
    pub(super) utc_offset_ms: i64,
    pub(super) language: String,
    pub(super) ad_value: f64,
}

/// One kind of player.
#[derive(Debug, Clone)]
pub(super) struct Persona {
    pub(super) active_probability: f64,
    pub(super) more_sessions: f64,
    pub(super) session_minutes: Spread,
    /// Monday first.
    pub(super) weekday_rhythm: [f64; 7],
    pub(super) hours: Weights,
    pub(super) churn: Vec<[f64; 2]>,
    pub(super) return_probability: f64,
    pub(super) skill: Spread,
    pub(super) purchase_chance: f64,
    /// Chooses among `price_offers`.
    pub(super) price_weights: Weights,
    /// Indexes into the game's offers.
    pub(super) price_offers: Vec<usize>,
    pub(super) crash_chance: f64,
    /// Appetite for level, match, shop, advertisement, social.
    pub(super) appetites: [f64; 5],
    pub(super) platforms: Weights,
    pub(super) countries: Weights,
}

impl Personas {
    /// The personas that come with Questlake.
    ///
    /// # Errors
    /// None in a released version; the same as [`Personas::parse`].
    pub fn bundled() -> Result<Self, PersonaError> {
        Self::parse(BUNDLED)
    }

    /// Reads a persona file.
    ///
    /// # Errors
    /// If the file cannot be read, is no TOML of this format, or has a senseless value.
    pub fn read(path: &Path) -> Result<Self, PersonaError> {
        let name = || path.display().to_string();
        let text = std::fs::read_to_string(path)
            .map_err(|source| PersonaError::Read { path: name(), source })?;
        Self::parse(&text)
            .map_err(|source| PersonaError::InFile { path: name(), source: Box::new(source) })
    }

    /// Understands the text of a persona file.
    ///
    /// # Errors
    /// If it is no TOML of this format, or has a senseless value.
    pub fn parse(text: &str) -> Result<Self, PersonaError> {
        let file: PersonaFile =
            toml::from_str(text).map_err(|error| PersonaError::Format(Box::new(error)))?;
        file.check()?;
        let population = &file.population;
        let countries = population
            .countries
            .iter()
            .map(|country| Country {
                code: country.code.clone(),
                utc_offset_ms: (country.utc_offset_hours * MS_PER_HOUR) as i64,
                language: country.language.clone(),
                ad_value: country.ad_value,
            })
            .collect();
        Ok(Self {
            list: file.persona.iter().map(|entry| compile(entry, &file)).collect(),
            shares: Weights::new(file.persona.iter().map(|persona| persona.share)),
            countries,
            second_platform_share: population.second_platform_share,
            second_platform_use: population.second_platform_use,
            unknown_country_share: population.unknown_country_share,
            registrations: population.registrations.clone(),
            fingerprint: xxhash_rust::xxh3::xxh3_64(text.as_bytes()),
        })
    }

    /// Tells persona files apart: equal only for equal texts.
    pub fn fingerprint(&self) -> u64 {
        self.fingerprint
    }
}

impl Persona {
    /// Probability of leaving for good at the end of a day, by days since registration.
    pub(super) fn churn_after(&self, days: u32) -> f64 {
        let day = f64::from(days);
        let Some(next) = self.churn.iter().position(|point| point[0] >= day) else {
            return self.churn.last().map_or(0.0, |point| point[1]);
        };
        let right = self.churn[next];
        if next == 0 {
            return right[1];
        }
        let left = self.churn[next - 1];
        left[1] + (right[1] - left[1]) * (day - left[0]) / (right[0] - left[0])
    }
}

/// Turns a checked entry into what the simulation uses.
fn compile(entry: &PersonaEntry, file: &PersonaFile) -> Persona {
    let activities = &entry.activities;
    let country_weight =
        |code: &String, share: f64| share * entry.countries.get(code).copied().unwrap_or(1.0);
    let mut platforms = [0.0; PLATFORMS.len()];
    for (name, weight) in &entry.platforms {
        if let Some(index) = platform_index(name) {
            platforms[index] = *weight;
        }
    }
    Persona {
        active_probability: entry.active_probability,
        more_sessions: entry.more_sessions,
        session_minutes: spread(entry.session_minutes),
        weekday_rhythm: entry.weekday_rhythm,
        hours: Weights::new(entry.hour_rhythm),
        churn: entry.churn.clone(),
        return_probability: entry.return_probability,
        skill: spread(entry.skill),
        purchase_chance: entry.purchase_chance,
        price_weights: Weights::new(entry.price_points.iter().map(|point| point[1])),
        price_offers: entry.price_points.iter().filter_map(|point| offer_at(point[0])).collect(),
        crash_chance: entry.crash_chance,
        appetites: [
            activities.level,
            activities.r#match,
            activities.shop,
            activities.ad,
            activities.social,
        ],
        platforms: Weights::new(platforms),
        countries: Weights::new(
            file.population
                .countries
                .iter()
                .map(|country| country_weight(&country.code, country.share)),
        ),
    }
}

fn spread(values: [f64; 3]) -> Spread {
    Spread { least: values[0], typical: values[1], greatest: values[2] }
}

/// Index of the offer with this price.
fn offer_at(usd: f64) -> Option<usize> {
    let cents = (usd * 100.0).round();
    OFFERS.iter().position(|offer| f64::from(offer.price_cents) == cents)
}

#[cfg(test)]
mod tests;
