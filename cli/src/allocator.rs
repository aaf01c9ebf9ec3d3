//! The one setting of the allocator that matters here, which it reads before `main`.
//!
//! Freed memory is given back to the system after a second by itself. Operators that spill free
//! large buffers and allocate others many times a second: a query then held up to twice what it
//! may, and a load a quarter more than it needs, at the same cost in time as with 10 ms.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// Milliseconds until freed memory is given back.
const PURGE_DELAY: (&str, &str) = ("MIMALLOC_PURGE_DELAY", "10");

/// Begins the program anew, as the same process, unless the setting is made.
pub(crate) fn begin_with_setting() {
    let (name, milliseconds) = PURGE_DELAY;
    if std::env::var_os(name).is_some() {
        return;
    }
    let Ok(program) = std::env::current_exe() else { return };
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(called) = arguments.next() {
        command.arg0(called);
    }
    // It returns only if it fails, and more memory is no reason not to work.
    let _ = command.args(arguments).env(name, milliseconds).exec();
}
