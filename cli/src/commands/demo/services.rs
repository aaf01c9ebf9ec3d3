//! The demo on servers: simulated events go through Kafka into the stores that the settings name.

use questlake_engine::pipeline::Engine;
use questlake_ingest::simulate::{SimulationOptions, Truth};

use crate::app::App;
use crate::commands::{ingest, simulate};
use crate::error::CliError;
use crate::terminal::Style;
use crate::terminal::numbers::thousands;

/// Sends simulated events to the topic, and takes all of them in as a member of its group.
pub(super) async fn take_in(
    app: &App,
    options: &SimulationOptions,
) -> Result<(Engine, Truth), CliError> {
    let Some(kafka) = &app.settings.kafka else {
        return Err(CliError::Usage(
            "--services needs servers: set kafka.brokers, and the URLs of stores; \
             `make demo-services` starts servers on this machine and does both"
                .to_owned(),
        ));
    };
    let engine = app.stop.interrupts(app.engine()).await?;
    let status = app.stop.interrupts(async { Ok(engine.status().await?) }).await?;
    if let Some(away) = status.stores.iter().find(|store| !store.healthy) {
        let detail = away.detail.as_deref().unwrap_or("it does not answer");
        return Err(CliError::Usage(format!("{}: {detail}", away.name)));
    }
    let held = status.accounting.consumed.max(status.hot.events.unwrap_or_default());
    if held > 0 {
        return Err(CliError::Usage(format!(
            "the stores hold {} records already, and the demo's figures are those of its own events \
             alone: name an empty database in stores.warehouse and stores.hot, empty folders in \
             stores.landing and stores.archive, and a new kafka.topic",
            thousands(held)
        )));
    }
    app.line(&app.output.style(Style::Bold, "Stores"))?;
    app.line(&format!("events     {}, topic {}", kafka.name(), kafka.topic))?;
    for store in &status.stores {
        app.line(&format!("{:<10} {}", store.store, store.name))?;
    }
    app.line("")?;
    let truth = simulate::send_events(app, options, None).await?;
    let folder = super::own_folder(app)?;
    simulate::write_truth(&truth, &folder.join("truth.json"))?;
    let lines = truth.accounting.lines;
    let counts = ingest::take_topic(app, &engine, kafka, ingest::Until::Records(lines)).await?;
    if counts.consumed < lines {
        return Err(CliError::Interrupted);
    }
    Ok((engine, truth))
}
