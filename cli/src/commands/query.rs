//! `questlake query`: one question, in SQL or by the name of a saved query.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use questlake_engine::pipeline::Engine;
use questlake_engine::project::source::{MAX_FILE_BYTES, SourceFile};
use questlake_engine::query::parameters::type_name;
use questlake_engine::query::{Overflow, PreparedStatement, QueryError};
use unicode_width::UnicodeWidthStr;

use crate::allocator;
use crate::app::App;
use crate::error::CliError;
use crate::results::{self, Destination, Layout, ResultFormat, Summary};
use crate::terminal::Style;
use crate::terminal::numbers::{counted, duration};

#[derive(Debug, Args)]
pub(crate) struct QueryArgs {
    /// SQL, the name of a saved query, or a .sql file; - reads SQL from standard input
    #[arg(value_name = "SQL|NAME|FILE")]
    query: Option<String>,
    /// Read the SQL from this file
    #[arg(long, short, value_name = "FILE", conflicts_with = "query")]
    file: Option<PathBuf>,
    /// A parameter's value; may be given several times
    #[arg(long, short, value_name = "NAME=VALUE", value_parser = parse_parameter)]
    param: Vec<(String, String)>,
    /// How rows are written [default: by the file's name; a table at a terminal; csv elsewhere]
    #[arg(long, value_enum)]
    format: Option<ResultFormat>,
    /// Write the rows to this file, which appears when it is whole
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
    /// List the saved queries with their parameters
    #[arg(long, conflicts_with_all = ["query", "file", "param", "output"])]
    list: bool,
}

/// `name=value`, where the value may be anything.
pub(super) fn parse_parameter(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.trim().is_empty() => {
            Ok((name.trim().trim_start_matches('$').to_owned(), value.to_owned()))
        }
        _ => Err("write it as NAME=VALUE".to_owned()),
    }
}

/// The parameters by name; a name that is given twice is a mistake.
pub(super) fn by_name(
    parameters: &[(String, String)],
) -> Result<BTreeMap<String, String>, CliError> {
    let mut named = BTreeMap::new();
    for (name, value) in parameters {
        if named.insert(name.clone(), value.clone()).is_some() {
            return Err(CliError::Usage(format!("parameter `{name}` is given twice")));
        }
    }
    Ok(named)
}

pub(crate) async fn run(app: &App, args: QueryArgs) -> Result<ExitCode, CliError> {
    let parameters = by_name(&args.param)?;
    let destination = Destination {
        format: args.format.unwrap_or_else(|| ResultFormat::default_for(args.output.as_deref())),
        layout: Layout::Rows,
        file: args.output.clone(),
    };
    destination.check()?;
    let mut engine = app.stop.interrupts(app.engine()).await?;
    engine.queries.alone = true;
    allocator::give_back_soon();
    if args.list {
        list_saved(app, &engine)?;
        return Ok(ExitCode::SUCCESS);
    }
    let statement = match (&args.query, &args.file) {
        (_, Some(path)) => read_file(path)?,
        (Some(text), None) if text == "-" => app.stop.interrupts(read_input()).await?,
        (Some(text), None) => find(&engine, &app.settings.project, text)?,
        (None, None) if !std::io::stdin().is_terminal() => {
            app.stop.interrupts(read_input()).await?
        }
        (None, None) => return Err(nothing_to_ask()),
    };
    let stopped = app.stop.told();
    let summary =
        execute(app, &engine, &statement, &parameters, destination.clone(), stopped).await?;
    if destination.format.is_for_people() || destination.file.is_some() {
        tell(app, &summary, destination.file.as_deref());
    }
    Ok(ExitCode::SUCCESS)
}

/// Runs a statement and writes its rows, until it ends or somebody interrupts it.
pub(super) async fn execute(
    app: &App,
    engine: &Engine,
    statement: &PreparedStatement,
    parameters: &BTreeMap<String, String>,
    mut destination: Destination,
    interrupted: impl Future<Output = ()>,
) -> Result<Summary, CliError> {
    for warning in engine.outdated_tables(statement).await? {
        app.note(&format!("warning: {warning}"));
    }
    let started = Instant::now();
    if statement.is_explain() {
        destination.layout = Layout::Plan;
    }
    // People see the note that rows are missing; programs would take a part for all.
    let overflow = match destination.format.is_for_people() {
        true => Overflow::Truncate,
        false => Overflow::Refuse,
    };
    let work = async {
        let mut stream = engine.query(statement, parameters, overflow).await?;
        results::write(&mut stream, &destination, app.output, started).await
    };
    tokio::select! {
        result = work => result,
        () = interrupted => Err(QueryError::Cancelled.into()),
    }
}

/// The number of rows and the time, on standard error.
pub(super) fn tell(app: &App, summary: &Summary, file: Option<&Path>) {
    let rows = counted(summary.rows, "row");
    let place = file.map(|file| format!(" to {}", file.display())).unwrap_or_default();
    app.note(&format!("{rows}{place} in {}", duration(summary.elapsed)));
    if summary.truncated {
        app.note("rows beyond query.max_rows are left out; --query-max-rows 0 shows all");
    }
}

/// The statement that an argument means: SQL if it has more than a name's characters.
pub(super) fn find(
    engine: &Engine,
    project: &Path,
    text: &str,
) -> Result<PreparedStatement, CliError> {
    let is_name = text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-');
    if is_name {
        return Ok(engine.saved_query(text)?.statement.clone());
    }
    let is_file = text.ends_with(".sql") && !text.contains('\n');
    if !is_file {
        return Ok(PreparedStatement::new(SourceFile::new("query", text))?);
    }
    let path = Path::new(text);
    if path.exists() {
        return read_file(path);
    }
    let in_project = project.join(path);
    if in_project.exists() {
        return read_file(&in_project);
    }
    // The file of a saved query, wherever the command is run.
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned());
    match stem.as_deref().and_then(|stem| engine.project.query(stem)) {
        Some(query) => Ok(query.statement.clone()),
        None => Err(CliError::File {
            operation: "read",
            path: text.to_owned(),
            source: std::io::ErrorKind::NotFound.into(),
        }),
    }
}

fn read_file(path: &Path) -> Result<PreparedStatement, CliError> {
    let name = path.display().to_string();
    let failure = |source| CliError::File { operation: "read", path: name.clone(), source };
    let file = std::fs::File::open(path).map_err(failure)?;
    let text = read_text(file, &name)?;
    Ok(PreparedStatement::new(SourceFile::new(name, text))?)
}

async fn read_input() -> Result<PreparedStatement, CliError> {
    // Off the runtime's threads, so that a stop is heard while nobody writes.
    let read = || read_text(std::io::stdin().lock(), "standard input");
    let text = match tokio::task::spawn_blocking(read).await {
        Ok(text) => text?,
        Err(error) => return Err(CliError::Runtime(std::io::Error::other(error))),
    };
    if text.trim().is_empty() {
        return Err(nothing_to_ask());
    }
    Ok(PreparedStatement::new(SourceFile::new("standard input", text))?)
}

fn nothing_to_ask() -> CliError {
    CliError::Usage(
        "there is nothing to ask: questlake query \"SELECT …\", the name of a saved query (--list \
         shows them), or questlake shell"
            .to_owned(),
    )
}

fn read_text(source: impl Read, name: &str) -> Result<String, CliError> {
    let mut bytes = Vec::new();
    source.take(MAX_FILE_BYTES + 1).read_to_end(&mut bytes).map_err(|source| CliError::File {
        operation: "read",
        path: name.to_owned(),
        source,
    })?;
    if bytes.len() as u64 > MAX_FILE_BYTES {
        let most = MAX_FILE_BYTES >> 20;
        return Err(CliError::Usage(format!("{name} is longer than {most} MiB: that is no query")));
    }
    String::from_utf8(bytes).map_err(|_| CliError::Usage(format!("{name} is not UTF-8 text")))
}

/// Shows each saved query with its parameters.
pub(super) fn list_saved(app: &App, engine: &Engine) -> Result<(), CliError> {
    if engine.project.queries.is_empty() {
        return app.line("the project has no saved queries; they are files in queries/");
    }
    for (index, query) in engine.project.queries.iter().enumerate() {
        if index > 0 {
            app.line("")?;
        }
        let name = app.output.style(Style::Bold, query.name());
        let header = &query.statement.header;
        match &header.title {
            Some(title) => app.line(&format!("{name}  {title}"))?,
            None => app.line(&name)?,
        }
        if let Some(description) = &header.description {
            app.line(&app.output.labelled("  ", None, description))?;
        }
        let mut labels = Vec::with_capacity(header.parameters.len());
        for parameter in &header.parameters {
            let parameter = &parameter.value;
            let default = match &parameter.default {
                Some(default) => format!(" = {default}"),
                None => " (needs a value)".to_owned(),
            };
            let declared = type_name(parameter.parameter_type);
            labels.push(format!("    -p {}: {declared}{default}", parameter.name));
        }
        let widest = labels.iter().map(|label| label.width()).max().unwrap_or(0);
        for (parameter, label) in header.parameters.iter().zip(labels) {
            let line = match &parameter.value.comment {
                Some(comment) => {
                    let padding = " ".repeat(widest - label.width() + 2);
                    app.output.labelled(&format!("{label}{padding}"), Some(Style::Dim), comment)
                }
                None => label,
            };
            app.line(&line)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_split_at_the_first_sign() {
        assert_eq!(parse_parameter("a=b=c"), Ok(("a".to_owned(), "b=c".to_owned())));
        assert_eq!(parse_parameter("$a="), Ok(("a".to_owned(), String::new())));
        assert!(parse_parameter("a").is_err());
        assert!(parse_parameter("=b").is_err());
        let twice = [("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned())];
        assert!(by_name(&twice).is_err());
    }
}
