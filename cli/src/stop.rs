//! How the program is told to stop.
//!
//! The handlers of Ctrl-C and SIGTERM are installed once, before anything else begins, so that a
//! stop is never the system's default action: between two files, or right after a server has said
//! that it listens, as well as in the middle of the work.

use std::future::Future;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::error::CliError;

/// Whether the program was told to stop. Cheap to clone; clones see the same.
#[derive(Debug, Clone)]
pub(crate) struct Stop {
    told: watch::Receiver<bool>,
}

impl Stop {
    /// Installs the handlers. Call it within the runtime.
    pub(crate) fn on_signals() -> Result<Self, CliError> {
        let mut interrupted = signal(SignalKind::interrupt()).map_err(CliError::Runtime)?;
        let mut terminated = signal(SignalKind::terminate()).map_err(CliError::Runtime)?;
        let (sender, told) = watch::channel(false);
        tokio::spawn(async move {
            tokio::select! {
                _ = interrupted.recv() => {}
                _ = terminated.recv() => {}
            }
            sender.send_replace(true);
            // Whoever looks later still sees it.
            sender.closed().await;
        });
        Ok(Self { told })
    }

    /// Whether it was told by now.
    pub(crate) fn is_told(&self) -> bool {
        *self.told.borrow()
    }

    /// Waits until it is told; at once if it was.
    pub(crate) fn told(&self) -> impl Future<Output = ()> + Send + use<> {
        let mut told = self.told.clone();
        async move {
            // The sender lives as long as there is a receiver, unless the runtime ends.
            let _ = told.wait_for(|told| *told).await;
        }
    }

    /// Runs `work` until it ends or the program is told to stop. Whatever is committed stays; what
    /// is under way is rolled back.
    pub(crate) async fn interrupts<T>(
        &self,
        work: impl Future<Output = Result<T, CliError>>,
    ) -> Result<T, CliError> {
        tokio::select! {
            biased;
            () = self.told() => Err(CliError::Interrupted),
            result = work => result,
        }
    }
}

/// Waits for the next Ctrl-C, for what can be interrupted more than once.
pub(crate) async fn next_interrupt() {
    // The handler is installed: this only listens as well.
    if let Ok(mut interrupted) = signal(SignalKind::interrupt()) {
        interrupted.recv().await;
    } else {
        std::future::pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_stop_before_anybody_waits_is_not_lost() {
        let (sender, told) = watch::channel(false);
        let stop = Stop { told };
        assert!(!stop.is_told());
        sender.send_replace(true);
        assert!(stop.is_told());
        stop.told().await;
        let interrupted = stop.clone().interrupts(async { Ok(()) }).await;
        assert!(matches!(interrupted, Err(CliError::Interrupted)));
    }
}
