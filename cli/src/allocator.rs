//! The allocator, and the one of its settings that matters here.
//!
//! Freed memory is given back to the system after a second by itself. Operators that spill free
//! large buffers and allocate others many times a second: a query then held up to twice what it
//! may. Giving back after 10 ms costs a load a sixth of its processor time, so it is for those who
//! have promised to stay within a limit.

use libmimalloc_sys::{mi_option_set, mi_option_t};

// DataFusion and the decoder allocate and free large buffers from several threads all the time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// `mi_option_purge_delay`, which the bindings do not name: milliseconds until freed memory is
/// given back.
const PURGE_DELAY: mi_option_t = 15;

/// From now on freed memory goes back to the system within 10 ms, unless the allocator's own variable
/// says otherwise.
#[allow(unsafe_code, reason = "the allocator's options are reached by its C interface alone")]
pub(crate) fn give_back_soon() {
    if std::env::var_os("MIMALLOC_PURGE_DELAY").is_none() {
        // SAFETY: it takes two numbers and stores the second as the value of the option that the
        // first names; any thread may call it at any time.
        unsafe { mi_option_set(PURGE_DELAY, 10) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(unsafe_code, reason = "the allocator's options are reached by its C interface alone")]
    fn the_option_is_the_purge_delay() {
        // SAFETY: it reads one number.
        let value = || unsafe { libmimalloc_sys::mi_option_get(PURGE_DELAY) };
        assert_eq!(value(), 1000, "its default; another option has this number now");
        give_back_soon();
        assert_eq!(value(), 10);
    }
}
