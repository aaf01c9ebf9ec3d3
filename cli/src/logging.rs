//! Log lines on standard error: compact text for people, or one JSON object a line.
//!
//! The level comes from the setting `log.level`; the variable `QUESTLAKE_LOG` takes finer filters,
//! such as `info,questlake_ingest=trace,datafusion=debug`, and wins.

use std::io::{self, IsTerminal, Write};

use questlake_engine::settings::{LogFormat, LogLevel, LogSettings};
use tracing::Subscriber;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::{self, MakeWriter};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{EnvFilter, Layer, Registry};

use crate::telemetry::SpanLayer;
use crate::terminal::progress::Bars;
use crate::terminal::takes_colours;

/// The variable with a finer filter.
pub(crate) const FILTER_VARIABLE: &str = "QUESTLAKE_LOG";

/// Why logging cannot begin.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LoggingError {
    /// The filter is not one.
    #[error(
        "{FILTER_VARIABLE}: `{filter}` is not a log filter; write for example `debug` or \
             `info,questlake_ingest=trace`"
    )]
    Filter {
        /// What was given.
        filter: String,
        /// What is wrong with it.
        source: ParseError,
    },
    /// Somebody else began before.
    #[error("logging has been started twice")]
    AlreadyStarted(#[source] tracing::subscriber::SetGlobalDefaultError),
}

/// Begins to log, without disturbing the progress bars; `spans` go their own way.
///
/// # Errors
/// The filter in `QUESTLAKE_LOG` cannot be read, or logging has begun before.
pub(crate) fn start(
    log: &LogSettings,
    bars: &Bars,
    spans: Option<SpanLayer>,
) -> Result<(), LoggingError> {
    let given = std::env::var(FILTER_VARIABLE).ok().filter(|filter| !filter.is_empty());
    let filter = filter(log.level, given.as_deref())?;
    let colours = takes_colours(io::stderr().is_terminal());
    let writer = LogWriter { bars: bars.clone() };
    let subscriber = subscriber(log, filter, colours, writer, spans);
    tracing::subscriber::set_global_default(subscriber).map_err(LoggingError::AlreadyStarted)
}

fn filter(level: LogLevel, given: Option<&str>) -> Result<EnvFilter, LoggingError> {
    let text = given.map_or_else(|| default_filter(level), ToString::to_string);
    EnvFilter::try_new(&text).map_err(|source| LoggingError::Filter { filter: text, source })
}

/// Libraries speak up from warnings on only: at lower levels they drown everything else.
fn default_filter(level: LogLevel) -> String {
    match level {
        LogLevel::Off | LogLevel::Error | LogLevel::Warn => level.as_str().to_string(),
        LogLevel::Info | LogLevel::Debug | LogLevel::Trace => {
            format!(
                "warn,questlake={0},questlake_engine={0},questlake_ingest={0},questlake_api={0}",
                level.as_str()
            )
        }
    }
}

fn subscriber<W>(
    log: &LogSettings,
    filter: EnvFilter,
    colours: bool,
    writer: W,
    spans: Option<SpanLayer>,
) -> Box<dyn Subscriber + Send + Sync>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = fmt::layer().with_writer(writer);
    let lines = match log.format {
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
        LogFormat::Text => {
            // Who says it matters to those who look for a mistake.
            let with_target = matches!(log.level, LogLevel::Debug | LogLevel::Trace);
            lines.compact().with_ansi(colours).with_target(with_target).boxed()
        }
    };
    Box::new(Registry::default().with(spans).with(lines.with_filter(filter)))
}

/// Writes lines to standard error above the progress bars.
struct LogWriter {
    bars: Bars,
}

impl<'writer> MakeWriter<'writer> for LogWriter {
    type Writer = LineWriter<'writer>;

    fn make_writer(&'writer self) -> Self::Writer {
        LineWriter { bars: &self.bars }
    }
}

/// Writes one line; a line comes as a whole.
struct LineWriter<'writer> {
    bars: &'writer Bars,
}

impl Write for LineWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.bars.write(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is logged with these settings.
    fn logged(format: LogFormat, level: LogLevel, given: Option<&str>) -> String {
        #[derive(Clone, Default)]
        struct Lines(Arc<Mutex<Vec<u8>>>);
        impl Write for Lines {
            fn write(&mut self, line: &[u8]) -> io::Result<usize> {
                self.0.lock().unwrap().extend_from_slice(line);
                Ok(line.len())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let lines = Lines::default();
        let writer = lines.clone();
        let log = LogSettings { level, format };
        let filter = filter(level, given).unwrap();
        let subscriber = subscriber(&log, filter, false, move || writer.clone(), None);
        tracing::subscriber::with_default(subscriber, || {
            tracing::info!(target: "questlake_engine::run", rows = 5, "model loaded");
            tracing::debug!(target: "questlake_engine::run", "plan made");
            tracing::info!(target: "datafusion", "noise");
            tracing::error!(target: "datafusion", "trouble");
        });
        let written = lines.0.lock().unwrap().clone();
        String::from_utf8(written).unwrap()
    }

    #[test]
    fn text_lines_are_for_people() {
        let text = logged(LogFormat::Text, LogLevel::Info, None);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2, "{text}");
        assert!(lines[0].ends_with("INFO model loaded rows=5"), "{text}");
        assert!(lines[1].ends_with("ERROR trouble"), "{text}");
        assert!(!text.contains('\x1b'));
    }

    #[test]
    fn json_lines_hold_fields() {
        let text = logged(LogFormat::Json, LogLevel::Info, None);
        let first = text.lines().next().unwrap();
        assert!(first.contains(r#""level":"INFO""#), "{first}");
        assert!(first.contains(r#""message":"model loaded","rows":5"#), "{first}");
        assert!(first.contains(r#""target":"questlake_engine::run""#), "{first}");
    }

    #[test]
    fn levels_and_filters_choose_lines() {
        let count = |level, given| logged(LogFormat::Text, level, given).lines().count();
        assert_eq!(count(LogLevel::Off, None), 0);
        assert_eq!(count(LogLevel::Error, None), 1);
        assert_eq!(count(LogLevel::Debug, None), 3);
        assert_eq!(count(LogLevel::Off, Some("trace")), 4);
        assert_eq!(count(LogLevel::Trace, Some("questlake_engine=debug")), 2);
    }

    #[test]
    fn a_filter_that_is_none_is_refused() {
        let error = filter(LogLevel::Info, Some("questlake=loud")).unwrap_err();
        assert!(error.to_string().starts_with("QUESTLAKE_LOG: `questlake=loud` is not"), "{error}");
    }
}
