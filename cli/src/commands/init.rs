//! `questlake init`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use questlake_engine::project::init::init;

use crate::app::App;
use crate::error::CliError;

#[derive(Debug, Args)]
pub(crate) struct InitArgs {
    /// Folder of the new project; it is created
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Name of the game [default: the folder's name]
    #[arg(long)]
    name: Option<String>,
}

pub(crate) fn run(app: &App, args: InitArgs) -> Result<ExitCode, CliError> {
    let name = args.name.unwrap_or_else(|| {
        let name = args.folder.file_name().map(|name| name.to_string_lossy().into_owned());
        name.unwrap_or_else(|| "game".to_owned())
    });
    let written = init(&args.folder, &name)?;
    for path in &written {
        app.line(&format!("wrote {}", path.display()))?;
    }
    app.line(&format!(
        "\nNext:\n  cd {}\n  questlake ingest events.ndjson\n  questlake etl run\n  questlake status",
        args.folder.display()
    ))?;
    Ok(ExitCode::SUCCESS)
}
