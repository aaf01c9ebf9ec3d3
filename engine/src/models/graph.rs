//! The order of models: each after those that it reads.

use std::collections::{BTreeMap, BTreeSet};

use super::ModelSource;
use super::compile::BrokenNames;
use crate::catalog::events::ENVELOPE_TABLE;
use crate::project::diagnostic::{Diagnostic, nearest};
use crate::project::header::CheckRule;
use crate::project::source::Located;

/// Orders the models, and reports names of tables that do not exist and cycles.
///
/// The order is that of the names where dependencies leave a choice, so that it is the same on
/// every machine. Models in a cycle are left out.
pub fn order_models(
    models: &[ModelSource],
    event_types: &BTreeSet<String>,
    broken: &BrokenNames,
) -> (Vec<usize>, Vec<Diagnostic>) {
    let index_by_name: BTreeMap<&str, usize> =
        models.iter().enumerate().map(|(index, model)| (model.name.as_str(), index)).collect();
    let mut diagnostics = Vec::new();
    for model in models {
        for read in &model.reads_events {
            if read.value != ENVELOPE_TABLE
                && !event_types.contains(&read.value)
                && !broken.events.contains(&read.value)
            {
                let known = event_types.iter().map(String::as_str).chain([ENVELOPE_TABLE]);
                diagnostics.push(unknown_table(model, read, "events", nearest(&read.value, known)));
            }
        }
        for read in model.reads_star.iter().chain(references(model)) {
            if !index_by_name.contains_key(read.value.as_str())
                && !broken.models.contains(&read.value)
            {
                let known = index_by_name.keys().copied();
                diagnostics.push(unknown_table(model, read, "star", nearest(&read.value, known)));
            }
        }
    }
    let dependencies: Vec<BTreeSet<usize>> = models
        .iter()
        .map(|model| {
            let references = references(model).filter(|other| other.value != model.name);
            model
                .reads_star
                .iter()
                .chain(references)
                .filter_map(|read| index_by_name.get(read.value.as_str()).copied())
                .collect()
        })
        .collect();
    let mut order = Vec::with_capacity(models.len());
    let mut done = vec![false; models.len()];
    loop {
        let next = index_by_name.values().copied().find(|&index| {
            !done[index] && dependencies[index].iter().all(|&dependency| done[dependency])
        });
        let Some(index) = next else { break };
        done[index] = true;
        order.push(index);
    }
    if order.len() < models.len() {
        diagnostics.extend(find_cycle(models, &dependencies, &done));
    }
    (order, diagnostics)
}

/// The models that columns of this one refer to.
fn references(model: &ModelSource) -> impl Iterator<Item = &Located<String>> {
    model.header.checks.iter().filter_map(|check| match &check.value.rule {
        CheckRule::References { model, .. } => Some(model),
        _ => None,
    })
}

fn unknown_table(
    model: &ModelSource,
    read: &Located<String>,
    schema: &str,
    nearest_name: Option<&str>,
) -> Diagnostic {
    let message = format!("there is no table `{schema}.{}`", read.value);
    let diagnostic = model.file.error_for(read, message);
    match nearest_name {
        Some(name) => diagnostic.with_hint(format!("did you mean `{schema}.{name}`?")),
        None => diagnostic.with_hint(format!(
            "add sql/{}/{}.sql",
            if schema == "events" { "events" } else { "dimensions|facts|marts" },
            read.value
        )),
    }
}

/// One diagnostic for each cycle's first model.
fn find_cycle(
    models: &[ModelSource],
    dependencies: &[BTreeSet<usize>],
    done: &[bool],
) -> Option<Diagnostic> {
    // From any model that could not be ordered, following dependencies that could not be ordered
    // either must come back to a model seen before.
    let mut path = vec![done.iter().position(|done| !done)?];
    let start = loop {
        let last = *path.last()?;
        let next = dependencies[last].iter().copied().find(|&dependency| !done[dependency])?;
        if let Some(start) = path.iter().position(|&seen| seen == next) {
            break start;
        }
        path.push(next);
    };
    let cycle = &path[start..];
    let first = &models[*cycle.first()?];
    let second = &models[*cycle.get(1).or(cycle.first())?];
    let mut names: Vec<&str> = cycle.iter().map(|&index| models[index].name.as_str()).collect();
    names.push(&first.name);
    let mut named = first.reads_star.iter().chain(references(first));
    let read = named.find(|read| read.value == second.name)?;
    Some(
        first
            .file
            .error_for(read, format!("models read each other in a cycle: {}", names.join(" → ")))
            .with_hint("move what they share into a model that both read"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::models::Layer;
    use crate::models::parse::parse_model;
    use crate::project::source::SourceFile;

    fn model(name: &str, sql: &str) -> ModelSource {
        let file = SourceFile::new(format!("sql/facts/{name}.sql"), sql);
        let (model, diagnostics) = parse_model(&file, Layer::Fact);
        assert!(diagnostics.is_empty(), "{diagnostics:?}");
        model.unwrap()
    }

    fn types() -> BTreeSet<String> {
        ["purchase".to_owned()].into()
    }

    #[test]
    fn models_come_after_what_they_read() {
        let models = [
            model("a", "SELECT * FROM star.c"),
            model("b", "WITH x AS (SELECT * FROM events.purchase) SELECT * FROM x"),
            model("c", "SELECT * FROM star.b JOIN events.envelope USING (event_id)"),
        ];
        let (order, diagnostics) = order_models(&models, &types(), &BrokenNames::default());
        assert!(diagnostics.is_empty());
        assert_eq!(order, [1, 2, 0]);
    }

    #[test]
    fn models_come_after_what_their_columns_refer_to() {
        let refers = |to: &str| format!("-- references: x = {to}.x\nSELECT x FROM events.purchase");
        let models = [model("a", &refers("c")), model("b", &refers("bb")), model("c", "SELECT 1")];
        let (order, diagnostics) = order_models(&models, &types(), &BrokenNames::default());
        assert_eq!(order, [1, 2, 0]);
        let places: Vec<(u64, u64)> = diagnostics.iter().map(|d| (d.line, d.column)).collect();
        assert_eq!(places, [(1, 20)]);
        let models = [model("a", &refers("c")), model("c", "SELECT x FROM star.a")];
        let (_, diagnostics) = order_models(&models, &types(), &BrokenNames::default());
        assert!(diagnostics[0].message.ends_with("a → c → a"), "{}", diagnostics[0].message);
    }

    #[test]
    fn unknown_tables_are_reported_at_their_place() {
        let models = [model("a", "SELECT 1\nFROM star.bb, events.purchas"), model("b", "SELECT 1")];
        let (_, diagnostics) = order_models(&models, &types(), &BrokenNames::default());
        let places: Vec<(u64, u64)> = diagnostics.iter().map(|d| (d.line, d.column)).collect();
        assert_eq!(places, [(2, 15), (2, 6)]);
        assert_eq!(diagnostics[0].hint.as_deref(), Some("did you mean `events.purchase`?"));
    }

    #[test]
    fn a_cycle_is_named_whole() {
        let models = [
            model("a", "SELECT * FROM star.b"),
            model("b", "SELECT * FROM star.c"),
            model("c", "SELECT * FROM star.b"),
        ];
        let (order, diagnostics) = order_models(&models, &types(), &BrokenNames::default());
        assert!(order.is_empty());
        assert_eq!(diagnostics.len(), 1);
        assert!(diagnostics[0].message.ends_with("b → c → b"), "{}", diagnostics[0].message);
    }
}
