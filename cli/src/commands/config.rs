//! `questlake config`

use std::process::ExitCode;

use crate::app::App;
use crate::error::CliError;

pub(crate) fn run(app: &App) -> Result<ExitCode, CliError> {
    app.line(app.settings.render().trim_end())?;
    Ok(ExitCode::SUCCESS)
}
