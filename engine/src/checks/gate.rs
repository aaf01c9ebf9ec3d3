//! The checks of one model, between the computation of its rows and their publication.

use std::collections::BTreeSet;
use std::time::Instant;

use datafusion::common::DataFusionError;

use super::preview::{as_table, for_each};
use super::rows::RowChecks;
use super::session::{Scope, evaluate};
use super::{CheckOutcome, CheckStatus, ColumnCheck, ColumnRule, FileCheck};
use crate::models::Model;
use crate::pipeline::{Engine, PipelineError, describe};
use crate::stores::warehouse::{Combine, Load, LoadMode, Preview};

/// A load that is to be published.
pub(crate) struct Gate<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) model: &'a Model,
    /// How its rows become part of the table.
    pub(crate) mode: &'a LoadMode,
    /// What the run touches of the model.
    pub(crate) scope: &'a Scope,
}

impl Gate<'_> {
    /// Evaluates all checks of the model over what the load is about to write.
    ///
    /// # Errors
    /// If the new rows cannot be read. That a check cannot be evaluated is its outcome.
    pub(crate) async fn look(
        &self,
        load: &mut dyn Load,
        rows: RowChecks,
    ) -> Result<Vec<CheckOutcome>, PipelineError> {
        let RowChecks { mut conditions, mut references, .. } = rows;
        let suspects: Vec<ColumnCheck> = conditions
            .iter()
            .filter(|condition| self.is_suspect(&condition.check, condition.rows))
            .map(|condition| condition.check.clone())
            .collect();
        if *self.mode == LoadMode::Upsert && !suspects.is_empty() {
            // A row that comes may lack what the row that is there has.
            let merged = self.look_at_merged(load, &suspects).await?;
            for condition in &mut conditions {
                let again = merged.conditions.iter().find(|again| again.check == condition.check);
                if let Some(again) = again {
                    let elapsed = condition.elapsed + again.elapsed;
                    *condition = again.clone();
                    condition.elapsed = elapsed;
                }
            }
        }
        let mut outcomes = Vec::new();
        for condition in conditions {
            let mut outcome = CheckOutcome::of_column(self.model, &condition.check)
                .with_rows(condition.rows, condition.sample);
            outcome.elapsed = condition.elapsed;
            outcomes.push(outcome);
        }
        for seen in &mut references {
            let mut outcome = CheckOutcome::of_column(self.model, &seen.check);
            let check = seen.check.clone();
            let ColumnRule::References { model, column } = &check.rule else { continue };
            let Some(referenced) = self.engine.project.model(model) else { continue };
            outcome = match seen.missing(self.engine, &referenced.table, column).await {
                Ok((rows, sample)) => outcome.with_rows(rows, sample),
                Err(error) => outcome.ended(CheckStatus::Broken, describe(&error)),
            };
            outcome.elapsed = seen.elapsed;
            outcomes.push(self.unless_behind(outcome, [model.as_str()]).await?);
        }
        for check in self.engine.project.checks_on(self.model.name()) {
            outcomes.push(self.look_at_file(load, check).await?);
        }
        Ok(outcomes)
    }

    /// Whether the rows that came cannot decide a condition by themselves: what merging makes of
    /// them may pass although they do not, and a sum is a value that neither row had.
    fn is_suspect(&self, check: &ColumnCheck, wrong: u64) -> bool {
        let is_sum = || {
            let column = self.model.table.column(&check.column);
            column.is_some_and(|column| column.combine == Combine::Sum)
        };
        wrong > 0 || (matches!(check.rule, ColumnRule::Accepted(_)) && is_sum())
    }

    async fn look_at_merged(
        &self,
        load: &mut dyn Load,
        checks: &[ColumnCheck],
    ) -> Result<RowChecks, PipelineError> {
        let table = &self.model.table;
        let mut columns: BTreeSet<&str> = table.key.iter().map(String::as_str).collect();
        columns.extend(checks.iter().map(|check| check.column.as_str()));
        let preview = Preview {
            mode: self.mode.clone(),
            columns: columns.into_iter().map(str::to_owned).collect(),
            days: BTreeSet::new(),
        };
        let failed = |source: DataFusionError| PipelineError::Query {
            model: self.model.name().to_owned(),
            source,
        };
        let schema = preview.schema(table);
        let mut merged = RowChecks::again(self.model, checks, &schema).map_err(failed)?;
        for_each(load, &preview, |batch| merged.look_at(&batch)).await?.map_err(failed)?;
        Ok(merged)
    }

    async fn look_at_file(
        &self,
        load: &mut dyn Load,
        check: &FileCheck,
    ) -> Result<CheckOutcome, PipelineError> {
        let started = Instant::now();
        let table = &self.model.table;
        let mut columns: Vec<String> = check.columns.iter().cloned().collect();
        if columns.is_empty() {
            // It counts rows.
            columns.extend(table.columns.first().map(|column| column.name.clone()));
        }
        let preview = Preview {
            mode: self.mode.clone(),
            columns,
            days: self.scope.days_of(check).unwrap_or_default(),
        };
        let own = as_table(self.engine, load, &preview, table).await?;
        let mut outcome = CheckOutcome::of_file(check);
        outcome = match evaluate(self.engine, check, self.scope, Some(own)).await {
            Ok((rows, sample)) => outcome.with_rows(rows, sample),
            Err(reason) => outcome.ended(CheckStatus::Broken, reason),
        };
        outcome.elapsed = started.elapsed();
        let others = check.reads_star.iter().map(String::as_str);
        self.unless_behind(outcome, others).await
    }

    /// The outcome, unless rows are wrong and one of the models that they are compared with has not
    /// read what this one has: nobody can say then.
    async fn unless_behind<'a>(
        &self,
        outcome: CheckOutcome,
        others: impl IntoIterator<Item = &'a str>,
    ) -> Result<CheckOutcome, PipelineError> {
        if !outcome.is_bad() {
            return Ok(outcome);
        }
        let progress = self.engine.stores.warehouse.progress().await?;
        for other in others {
            let reads_events =
                self.engine.project.model(other).is_some_and(|model| model.strategy.reads_events());
            if other == self.model.name() || !reads_events {
                continue;
            }
            let known = progress.iter().find(|known| known.model == other);
            if known.is_none_or(|known| known.ledger_sequence < self.scope.through) {
                let mut outcome = outcome;
                (outcome.rows, outcome.sample) = (0, Vec::new());
                let own = self.model.name();
                let detail = format!("{other} has not read all that {own} has; run it, too");
                return Ok(outcome.ended(CheckStatus::Broken, detail));
            }
        }
        Ok(outcome)
    }
}
