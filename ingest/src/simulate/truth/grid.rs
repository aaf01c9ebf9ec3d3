//! The cuts of the marts: by platform and country, by one of them, by neither.

use super::TruthValue;
use super::tally::{Cut, PlayerDay};

/// Value of a cut column in rows that are not cut by it.
const ALL: &str = "all";
/// Value of a cut column for events that do not say.
const UNKNOWN: &str = "unknown";

/// All cuts, numbered: each platform and each country, "unknown" and "all" included.
#[derive(Debug)]
pub(super) struct Grid {
    platforms: Vec<TruthValue>,
    countries: Vec<TruthValue>,
    /// The numbers of the cuts in the order of their names.
    pub(super) by_name: Vec<usize>,
    /// The place of each cut in that order.
    ranks: Vec<u16>,
}

impl Grid {
    pub(super) fn new(platforms: &[&str], countries: &[&str]) -> Self {
        let platforms = [platforms, &[UNKNOWN, ALL]].concat();
        let countries = [countries, &[UNKNOWN, ALL]].concat();
        let mut by_name: Vec<usize> = (0..platforms.len() * countries.len()).collect();
        by_name.sort_by_key(|cut| {
            (platforms[cut / countries.len()], countries[cut % countries.len()])
        });
        let mut ranks = vec![0; by_name.len()];
        for (rank, cut) in by_name.iter().enumerate() {
            ranks[*cut] = rank as u16;
        }
        let values = |names: &[&str]| names.iter().map(|name| TruthValue::text(name)).collect();
        Self { platforms: values(&platforms), countries: values(&countries), by_name, ranks }
    }

    pub(super) fn len(&self) -> usize {
        self.by_name.len()
    }

    /// The four cuts that count a thing with this platform and country: by both, by platform, by
    /// country, by neither.
    pub(super) fn cuts_of(&self, cut: Cut) -> [usize; 4] {
        let width = self.countries.len();
        let platform = usize::from(cut.platform) * width;
        let country = usize::from(cut.country);
        let any_platform = (self.platforms.len() - 1) * width;
        let any_country = width - 1;
        [
            platform + country,
            platform + any_country,
            any_platform + country,
            any_platform + any_country,
        ]
    }

    /// The same four cuts as places in the order of their names.
    pub(super) fn ranks_of(&self, cut: Cut) -> [u16; 4] {
        self.cuts_of(cut).map(|cut| self.ranks[cut])
    }

    /// Platform and country of a cut.
    pub(super) fn names(&self, cut: usize) -> [TruthValue; 2] {
        let width = self.countries.len();
        [self.platforms[cut / width].clone(), self.countries[cut % width].clone()]
    }

    /// Platform and country of the cut at this place in the order of names.
    pub(super) fn names_at(&self, rank: u16) -> [TruthValue; 2] {
        self.names(self.by_name[usize::from(rank)])
    }

    /// The distinct (player, cut, day) of sorted player days, at one of the four grains (see
    /// [`Grid::cuts_of`]), in that order.
    pub(super) fn distinct(
        &self,
        player_days: &[PlayerDay],
        grain: usize,
    ) -> Vec<(u32, u32, usize)> {
        let mut distinct: Vec<_> = player_days
            .iter()
            .map(|entry| (entry.player(), self.cuts_of(entry.cut())[grain] as u32, entry.day()))
            .collect();
        distinct.sort_unstable();
        distinct.dedup();
        distinct
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cuts_are_in_the_order_of_their_names_and_each_place_has_four() {
        let grid = Grid::new(&["web", "ios"], &["US", "DE", "ZA"]);
        let names: Vec<String> =
            (0..grid.len()).map(|rank| format!("{:?}", grid.names_at(rank as u16))).collect();
        assert_eq!(names.len(), 20);
        assert!(names.is_sorted());
        let texts = |pair: [&str; 2]| pair.map(TruthValue::text);
        let cut = Cut { platform: 1, country: 3 };
        let found = grid.ranks_of(cut).map(|rank| grid.names_at(rank));
        let expected = [["ios", "unknown"], ["ios", "all"], ["all", "unknown"], ["all", "all"]];
        assert_eq!(found, expected.map(texts));
        assert_eq!(found, grid.cuts_of(cut).map(|cut| grid.names(cut)));
    }
}
