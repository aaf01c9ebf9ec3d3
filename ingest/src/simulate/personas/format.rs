//! The persona file as it is written, and the check that its values make sense.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{PersonaError, offer_at};
use crate::simulate::catalog::{OFFERS, PLATFORMS, platform_index};

/// The whole file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonaFile {
    pub(super) population: Population,
    pub(super) persona: Vec<PersonaEntry>,
}

/// `[population]`: what holds for all players.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Population {
    pub(super) second_platform_share: f64,
    pub(super) second_platform_use: f64,
    pub(super) unknown_country_share: f64,
    pub(super) registrations: Vec<f64>,
    pub(super) countries: Vec<CountryEntry>,
}

/// `[[population.countries]]`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CountryEntry {
    pub(super) code: String,
    pub(super) share: f64,
    pub(super) utc_offset_hours: f64,
    pub(super) language: String,
    pub(super) ad_value: f64,
}

/// `[[persona]]`: one kind of player.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct PersonaEntry {
    pub(super) name: String,
    pub(super) share: f64,
    pub(super) active_probability: f64,
    pub(super) more_sessions: f64,
    pub(super) session_minutes: [f64; 3],
    pub(super) weekday_rhythm: [f64; 7],
    pub(super) hour_rhythm: [f64; 24],
    pub(super) churn: Vec<[f64; 2]>,
    pub(super) return_probability: f64,
    pub(super) skill: [f64; 3],
    pub(super) purchase_chance: f64,
    pub(super) price_points: Vec<[f64; 2]>,
    pub(super) crash_chance: f64,
    pub(super) activities: Activities,
    pub(super) platforms: BTreeMap<String, f64>,
    #[serde(default)]
    pub(super) countries: BTreeMap<String, f64>,
}

/// `activities`: appetite for what there is to do.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Activities {
    pub(super) level: f64,
    pub(super) r#match: f64,
    pub(super) shop: f64,
    pub(super) ad: f64,
    pub(super) social: f64,
}

/// More countries than this would not fit the counters of the truth.
const MOST_COUNTRIES: usize = 250;
/// Personas are numbered in a byte.
const MOST_PERSONAS: usize = 250;

impl PersonaFile {
    /// Checks every value.
    ///
    /// # Errors
    /// The first value that makes no sense.
    pub(super) fn check(&self) -> Result<(), PersonaError> {
        self.population.check()?;
        if self.persona.len() > MOST_PERSONAS {
            return refuse("persona", format!("there can be {MOST_PERSONAS} at most"));
        }
        weights("persona: share", self.persona.iter().map(|persona| persona.share))?;
        for (index, persona) in self.persona.iter().enumerate() {
            if self.persona[..index].iter().any(|other| other.name == persona.name) {
                return refuse("persona", format!("the name \"{}\" is used twice", persona.name));
            }
            persona.check(&self.population)?;
        }
        Ok(())
    }
}

impl Population {
    fn check(&self) -> Result<(), PersonaError> {
        probability("population: second_platform_share", self.second_platform_share)?;
        probability("population: second_platform_use", self.second_platform_use)?;
        probability("population: unknown_country_share", self.unknown_country_share)?;
        weights("population: registrations", self.registrations.iter().copied())?;
        if self.countries.len() > MOST_COUNTRIES {
            return refuse("population: countries", format!("{MOST_COUNTRIES} at most"));
        }
        weights("population: countries: share", self.countries.iter().map(|c| c.share))?;
        for (index, country) in self.countries.iter().enumerate() {
            let place = format!("country \"{}\"", country.code);
            if country.code.len() != 2 || !country.code.bytes().all(|b| b.is_ascii_uppercase()) {
                return refuse(&place, "the code must be two capital letters (ISO 3166-1)".into());
            }
            if self.countries[..index].iter().any(|other| other.code == country.code) {
                return refuse(&place, "is listed twice".into());
            }
            if !(-12.0..=14.0).contains(&country.utc_offset_hours) {
                return refuse(&place, "utc_offset_hours must lie between -12 and 14".into());
            }
            if !country.language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
                || !(1..=16).contains(&country.language.len())
            {
                return refuse(&place, "language must be a tag such as \"pt-BR\"".into());
            }
            if !(0.0..=100.0).contains(&country.ad_value) {
                return refuse(&place, "ad_value must lie between 0 and 100".into());
            }
        }
        Ok(())
    }
}

impl PersonaEntry {
    fn check(&self, population: &Population) -> Result<(), PersonaError> {
        let place = |key: &str| format!("persona \"{}\": {key}", self.name);
        probability(&place("active_probability"), self.active_probability)?;
        probability(&place("return_probability"), self.return_probability)?;
        probability(&place("purchase_chance"), self.purchase_chance)?;
        probability(&place("crash_chance"), self.crash_chance)?;
        if !(0.0..=0.95).contains(&self.more_sessions) {
            return refuse(&place("more_sessions"), "must lie between 0 and 0.95".into());
        }
        spread(&place("session_minutes"), self.session_minutes, 600.0)?;
        spread(&place("skill"), self.skill, 1.0)?;
        weights(&place("weekday_rhythm"), self.weekday_rhythm)?;
        weights(&place("hour_rhythm"), self.hour_rhythm)?;
        self.check_churn(&place("churn"))?;
        self.check_prices(&place("price_points"))?;
        let activities = &self.activities;
        let appetites = [
            activities.level,
            activities.r#match,
            activities.shop,
            activities.ad,
            activities.social,
        ];
        weights(&place("activities"), appetites)?;
        weights(&place("platforms"), self.platforms.values().copied())?;
        for name in self.platforms.keys() {
            if platform_index(name).is_none() {
                let known: Vec<_> = PLATFORMS.iter().map(|platform| platform.name).collect();
                let problem = format!("unknown platform \"{name}\"; known: {}", known.join(", "));
                return refuse(&place("platforms"), problem);
            }
        }
        for code in self.countries.keys() {
            if population.countries.iter().all(|country| country.code != *code) {
                let problem = format!("\"{code}\" is not among population.countries");
                return refuse(&place("countries"), problem);
            }
        }
        let factor = |code| self.countries.get(code).copied().unwrap_or(1.0);
        weights(&place("countries"), population.countries.iter().map(|c| c.share * factor(&c.code)))
    }

    fn check_churn(&self, place: &str) -> Result<(), PersonaError> {
        for [_, chance] in &self.churn {
            probability(place, *chance)?;
        }
        if self.churn.iter().any(|point| !(0.0..=10_000.0).contains(&point[0]))
            || self.churn.windows(2).any(|pair| pair[0][0] >= pair[1][0])
        {
            return refuse(place, "the days must be positive and in ascending order".into());
        }
        Ok(())
    }

    fn check_prices(&self, place: &str) -> Result<(), PersonaError> {
        weights(place, self.price_points.iter().map(|point| point[1]))?;
        for [usd, _] in &self.price_points {
            if offer_at(*usd).is_none() {
                let known: Vec<_> = OFFERS
                    .iter()
                    .map(|offer| {
                        format!("{}.{:02}", offer.price_cents / 100, offer.price_cents % 100)
                    })
                    .collect();
                let problem = format!("no offer costs {usd} USD; there are {}", known.join(", "));
                return refuse(place, problem);
            }
        }
        Ok(())
    }
}

fn probability(place: &str, value: f64) -> Result<(), PersonaError> {
    if (0.0..=1.0).contains(&value) {
        return Ok(());
    }
    refuse(place, format!("{value} is no probability; it must lie between 0 and 1"))
}

fn weights(place: &str, values: impl IntoIterator<Item = f64>) -> Result<(), PersonaError> {
    let mut sum = 0.0;
    for value in values {
        if !(0.0..=1e9).contains(&value) {
            return refuse(place, format!("{value} must lie between 0 and 1000000000"));
        }
        sum += value;
    }
    if sum > 0.0 {
        return Ok(());
    }
    refuse(place, "at least one must be greater than 0".into())
}

fn spread(place: &str, values: [f64; 3], most: f64) -> Result<(), PersonaError> {
    let [least, typical, greatest] = values;
    if 0.0 <= least && least <= typical && typical <= greatest && greatest <= most {
        return Ok(());
    }
    refuse(place, format!("must be [least, typical, greatest], ascending, between 0 and {most}"))
}

fn refuse(place: &str, problem: String) -> Result<(), PersonaError> {
    Err(PersonaError::Value { place: place.to_owned(), problem })
}
