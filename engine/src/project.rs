//! A project: everything about one game, in SQL files.

pub mod checks;
pub mod contract;
pub mod contract_parser;
pub mod diagnostic;
pub mod evolution;
pub mod fuzzing;
pub mod header;
pub mod init;
pub mod source;
pub(crate) mod walk;

use std::path::Path;
use std::sync::Arc;

use crate::catalog::events::ENVELOPE_TABLE;
use crate::checks::compile::load as load_checks;
use crate::models::compile::{BrokenNames, compile};
use crate::models::parse::parse_model;
use crate::models::{CompiledProject, Layer, ModelSource};
use crate::query::saved;
use checks::compile_checks;
use contract::{CheckConstraint, EventContract};
use diagnostic::{Diagnostic, Diagnostics};
use futures::future::BoxFuture;
use source::{Position, SourceFile};

/// Where a mistake is shown that is about a file as a whole.
const START: Position = Position { line: 1, column: 1 };

/// Loads the project in `folder`: parses every file and plans every model. Returns the project with
/// its warnings, or every mistake at once.
pub fn load(folder: &Path) -> BoxFuture<'_, Result<(CompiledProject, Diagnostics), Diagnostics>> {
    Box::pin(async move {
        let (files, mut diagnostics) = source::read_sources(folder);
        let mut broken = BrokenNames::default();
        let mut contracts = Vec::new();
        for file in &files.events {
            if file.stem() == ENVELOPE_TABLE {
                diagnostics.push(
                    file.error_at(START, 1, "`envelope` is the table of every event's envelope")
                        .with_hint("give the event type another name"),
                );
                continue;
            }
            match contract_parser::parse_contract(file) {
                Ok(contract) => {
                    diagnostics.extend(check_constraints(file, &contract));
                    contracts.push(Arc::new(contract));
                }
                Err(mistakes) => {
                    broken.events.insert(file.stem().to_owned());
                    diagnostics.extend(mistakes);
                }
            }
        }
        let mut sources: Vec<ModelSource> = Vec::new();
        for (layer, folder) in [
            (Layer::Dimension, &files.dimensions),
            (Layer::Fact, &files.facts),
            (Layer::Mart, &files.marts),
        ] {
            for file in folder {
                diagnostics.extend(check_name(file, &sources));
                let (model, mistakes) = parse_model(file, layer);
                diagnostics.extend(mistakes);
                match model {
                    Some(model) => sources.push(model),
                    None => {
                        broken.models.insert(file.stem().to_owned());
                    }
                }
            }
        }
        if files.events.is_empty() && !diagnostics.has_errors() {
            diagnostics.push(
                Diagnostic::error("sql/events", "the project has no event contracts")
                    .with_hint("`questlake init DIR` writes a small project to begin with"),
            );
        }
        let mut project = compile(contracts, sources, &broken, &mut diagnostics).await;
        load_checks(&files.checks, &mut project, &mut diagnostics).await;
        project.queries = saved::load(&files.queries, &project, &mut diagnostics).await;
        if diagnostics.has_errors() { Err(diagnostics) } else { Ok((project, diagnostics)) }
    })
}

/// A model's name must be its own, and not one of Questlake's.
fn check_name(file: &SourceFile, models: &[ModelSource]) -> Option<Diagnostic> {
    let name = file.stem();
    if name.starts_with("meta_") || name.starts_with("sqlite_") {
        return Some(
            file.error_at(START, 1, format!("`{name}`: names with this beginning are reserved"))
                .with_hint("rename the file"),
        );
    }
    let other = models.iter().find(|model| model.name == name)?;
    Some(
        file.error_at(START, 1, format!("there is another model `{name}`: {}", other.file.path()))
            .with_hint("rename one of the files"),
    )
}

/// A diagnostic for each constraint that has no meaning.
fn check_constraints(file: &SourceFile, contract: &EventContract) -> Vec<Diagnostic> {
    let Err(errors) = compile_checks(contract) else { return Vec::new() };
    errors
        .into_iter()
        .map(|error| {
            let CheckConstraint { line, column, name, .. } = error.constraint;
            let message = format!("CHECK `{name}`: {}", error.source.find_root());
            file.error_at(Position { line, column }, 1, message)
        })
        .collect()
}
