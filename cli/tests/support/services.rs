//! The services that `make services` starts, shared by all tests of a program.

use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Whoever stops a service keeps the others from using any.
static SERVICES: RwLock<()> = RwLock::new(());

/// The services while nobody stops one.
pub(crate) fn use_services() -> RwLockReadGuard<'static, ()> {
    SERVICES.read().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// The services while nobody else uses them.
pub(crate) fn own_services() -> RwLockWriteGuard<'static, ()> {
    SERVICES.write().unwrap_or_else(|poisoned| poisoned.into_inner())
}

/// Where a service is.
pub(crate) fn address(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| {
        panic!(
            "{variable} is not set: run `make services`, and then \
             `eval \"$(scripts/services.sh env)\"`; `make test` does both"
        )
    })
}

/// Does something with a unit of the services: `kill`, `start`, `restart`, `pause` or `resume`.
pub(crate) fn service(what: &str, unit: &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let status = Command::new(root.join("scripts/services.sh"))
        .args([what, unit])
        .stdout(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success(), "scripts/services.sh {what} {unit} failed");
}

/// Runs asynchronous work on this thread.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
