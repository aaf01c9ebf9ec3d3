//! Checks that are about no model in particular: they are asked when a run's models have ended.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use super::session::{Scope, evaluate};
use super::{CheckOutcome, CheckStatus, FileCheck};
use crate::pipeline::Engine;

/// What a run touched of one model, whose rows it has published.
#[derive(Debug, Clone, Default)]
pub struct Touched {
    /// Its partitions (days since 1970); `None` for all of it.
    pub days: Option<BTreeSet<i32>>,
    /// Days of the new events that it has read.
    pub event_days: BTreeSet<i32>,
    /// The latest commit that it had read before, if it reads events.
    pub after: Option<i64>,
}

/// A run whose models have ended.
pub(crate) struct EndedRun<'a> {
    pub(crate) engine: &'a Engine,
    /// What it touched of each model that it has loaded.
    pub(crate) touched: BTreeMap<&'a str, &'a Touched>,
    /// The models that failed or were not run because of one that did.
    pub(crate) failed: BTreeSet<&'a str>,
    /// Whether it was about all models and what is new.
    pub(crate) is_increment: bool,
    /// The latest commit that it read.
    pub(crate) through: i64,
    /// When it began (milliseconds since 1970, UTC).
    pub(crate) clock: i64,
}

impl EndedRun<'_> {
    /// Evaluates the checks that have something to look at.
    pub(crate) async fn look(&self) -> Vec<CheckOutcome> {
        let mut outcomes = Vec::new();
        let checks = self.engine.project.checks.iter();
        for check in checks.filter(|check| check.on.is_none()) {
            let Some(scope) = self.scope(check) else { continue };
            let outcome = CheckOutcome::of_file(check);
            let failed = check.reads_star.iter().find(|name| self.failed.contains(name.as_str()));
            if let Some(failed) = failed {
                let detail = format!("{failed} was not loaded");
                outcomes.push(outcome.ended(CheckStatus::Skipped, detail));
                continue;
            }
            let started = Instant::now();
            let mut outcome = match evaluate(self.engine, check, &scope, None).await {
                Ok((rows, sample)) => outcome.with_rows(rows, sample),
                Err(reason) => outcome.ended(CheckStatus::Broken, reason),
            };
            outcome.elapsed = started.elapsed();
            outcomes.push(outcome);
        }
        outcomes
    }

    /// What a check sees; `None` if the run has touched nothing of what it reads.
    fn scope(&self, check: &FileCheck) -> Option<Scope> {
        let after = self.touched.values().filter_map(|touched| touched.after).min();
        let new_days = || self.touched.values().flat_map(|touched| &touched.event_days).copied();
        let (days, changed) = if check.reads_star.is_empty() {
            if !self.is_increment {
                return None;
            }
            (Some(new_days().collect()), new_days().collect())
        } else {
            let read: Vec<&&Touched> = self
                .touched
                .iter()
                .filter(|(name, _)| check.reads_star.contains(**name))
                .map(|(_, touched)| touched)
                .collect();
            if read.is_empty() {
                return None;
            }
            let days: Option<Vec<&BTreeSet<i32>>> =
                read.iter().map(|touched| touched.days.as_ref()).collect();
            let days: Option<BTreeSet<i32>> =
                days.map(|days| days.into_iter().flatten().copied().collect());
            let changed = days.clone().unwrap_or_else(|| new_days().collect());
            (days, changed)
        };
        Some(Scope {
            days,
            changed: BTreeSet::into_iter(changed).collect(),
            through: self.through,
            // Without a model that has read events, nothing is new.
            after: after.unwrap_or(self.through),
            clock: self.clock,
        })
    }
}
