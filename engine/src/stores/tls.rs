//! What TLS clients of servers have in common.

use std::path::{Path, PathBuf};
use std::sync::Once;

use tracing::warn;

/// The variable that names the file of the certificates to trust, in place of the system's.
const TRUSTED_FILE: &str = "SSL_CERT_FILE";

static TRUSTED_FILE_LOOK: Once = Once::new();

/// Chooses the cryptography of every TLS client that does not choose for itself. Several are
/// compiled in, for other crates' sake, and without a choice such a client panics.
pub fn choose_cryptography() {
    // Another store may have chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// Warns, once, where the environment names certificates that are not there: some clients take the
/// system's then without a word, and others trust nobody.
pub fn look_for_trusted_file() {
    TRUSTED_FILE_LOOK.call_once(|| {
        if let Some(file) = std::env::var_os(TRUSTED_FILE)
            && !Path::new(&file).is_file()
        {
            let file = file.display();
            warn!("{TRUSTED_FILE} names {file}, which is no file: servers may be refused over TLS");
        }
    });
}

/// The file with the certificates that this system trusts, if it has one: `SSL_CERT_FILE`, or the
/// place where its distribution keeps it.
pub fn system_certificates() -> Option<PathBuf> {
    openssl_probe::probe().cert_file
}
