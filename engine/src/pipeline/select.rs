//! Which models a run is about: `name`, `name+` (and all downstream), `+name` (and all upstream).

use std::collections::BTreeSet;

use super::PipelineError;
use crate::models::CompiledProject;
use crate::project::diagnostic::nearest;

/// The names of the selected models; all of them if `selectors` is empty.
pub fn select_models(
    project: &CompiledProject,
    selectors: &[String],
) -> Result<BTreeSet<String>, PipelineError> {
    if selectors.is_empty() {
        return Ok(project.models.iter().map(|model| model.name().to_owned()).collect());
    }
    let mut selected = BTreeSet::new();
    for selector in selectors.iter().flat_map(|selector| selector.split([',', ' '])) {
        let selector = selector.trim();
        if selector.is_empty() {
            continue;
        }
        let upstream = selector.starts_with('+');
        let downstream = selector.ends_with('+');
        let name = selector.trim_matches('+');
        let name = name.strip_prefix("star.").unwrap_or(name);
        if project.model(name).is_none() {
            let known = project.models.iter().map(|model| model.name());
            return Err(PipelineError::UnknownModel {
                name: name.to_owned(),
                nearest: nearest(name, known).map(str::to_owned),
            });
        }
        selected.insert(name.to_owned());
        if downstream {
            add_downstream(project, name, &mut selected);
        }
        if upstream {
            add_upstream(project, name, &mut selected);
        }
    }
    Ok(selected)
}

fn add_downstream(project: &CompiledProject, name: &str, selected: &mut BTreeSet<String>) {
    for model in &project.models {
        if model.reads.iter().any(|read| read.model == name)
            && selected.insert(model.name().to_owned())
        {
            add_downstream(project, model.name(), selected);
        }
    }
}

/// All that a model is made of, directly or not.
pub(super) fn ancestors(project: &CompiledProject, name: &str) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut next = vec![name];
    while let Some(name) = next.pop() {
        for read in project.model(name).iter().flat_map(|model| &model.reads) {
            if found.insert(read.model.clone()) {
                next.push(&read.model);
            }
        }
    }
    found
}

fn add_upstream(project: &CompiledProject, name: &str, selected: &mut BTreeSet<String>) {
    // Also what the model's checks read: its rows are not published unchecked.
    let waits = project.waits.get(name).into_iter().flatten();
    for (upstream, _) in waits.filter(|(_, is_needed)| **is_needed) {
        if selected.insert(upstream.clone()) {
            add_upstream(project, upstream, selected);
        }
    }
}
