//! What TLS clients of servers have in common.

use std::path::PathBuf;

/// Chooses the cryptography of every TLS client that does not choose for itself. Several are
/// compiled in, for other crates' sake, and without a choice such a client panics.
pub fn choose_cryptography() {
    // Another store may have chosen before.
    let _ = rustls::crypto::ring::default_provider().install_default();
}

/// The file with the certificates that this system trusts, if it has one: `SSL_CERT_FILE`, or the
/// place where its distribution keeps it.
pub fn system_certificates() -> Option<PathBuf> {
    openssl_probe::probe().cert_file
}
