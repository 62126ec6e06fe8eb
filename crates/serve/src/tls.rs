//! The certificate that the listeners show, and its exchange while they listen. TLS itself is
//! rustls' with ring.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::server::{ClientHello, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::{ServerConfig, version};

use crate::{Refused, files};

/// Longest file of certificates or keys: a chain has a few kilobytes.
const FILE_MAX: usize = 256 << 10;

/// The certificate in force.
#[derive(Debug)]
pub(crate) struct Certificate(RwLock<Arc<CertifiedKey>>);

impl Certificate {
    /// From two files in PEM.
    ///
    /// # Errors
    /// When they cannot be read, are no certificate and key, or do not belong together.
    pub(crate) fn read(cert: &str, key: &str) -> Result<Arc<Self>, Refused> {
        Ok(Arc::new(Self(RwLock::new(certified(cert, key)?))))
    }

    /// Reads the files again; what is in force stays when that fails.
    ///
    /// # Errors
    /// As [`Self::read`].
    pub(crate) fn renew(&self, cert: &str, key: &str) -> Result<(), Refused> {
        let fresh = certified(cert, key)?;
        // Who held the lock only copied a pointer.
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.read().unwrap_or_else(PoisonError::into_inner).clone())
    }
}

/// TLS 1.2 and 1.3 with this certificate; clients need none.
///
/// # Errors
/// When the library does not support these versions.
pub(crate) fn config(certificate: Arc<Certificate>) -> Result<ServerConfig, Refused> {
    let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
    let builder = builder.with_protocol_versions(&[&version::TLS13, &version::TLS12]);
    let builder = builder.map_err(|error| Refused(format!("TLS: {error}")))?;
    let mut config = builder.with_no_client_auth().with_cert_resolver(certificate);
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn certified(cert: &str, key: &str) -> Result<Arc<CertifiedKey>, Refused> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&public(cert)?).collect();
    let chain = chain.map_err(|error| Refused(format!("cert_file {cert}: {error}")))?;
    if chain.is_empty() {
        return Err(Refused(format!("cert_file {cert}: holds no certificate in PEM")));
    }
    let wrong = |error: &dyn std::fmt::Display| Refused(format!("key_file {key}: {error}"));
    let der = PrivateKeyDer::from_pem_slice(&secret(key)?).map_err(|error| wrong(&error))?;
    let signing = ring::sign::any_supported_type(&der).map_err(|error| wrong(&error))?;
    let certified = CertifiedKey::new(chain, signing);
    let together = certified.keys_match();
    together
        .map_err(|error| Refused(format!("{cert} and {key} do not belong together: {error}")))?;
    Ok(Arc::new(certified))
}

/// A file that anybody may read.
///
/// # Errors
/// When it cannot be read.
pub(crate) fn public(path: &str) -> Result<Vec<u8>, Refused> {
    let read = files::read(Path::new(path), FILE_MAX);
    let (bytes, _) = read.map_err(|error| Refused(format!("cannot read {path}: {error}")))?;
    Ok(bytes)
}

/// A file that others must not read.
///
/// # Errors
/// When it cannot be read, or when everybody can.
pub(crate) fn secret(path: &str) -> Result<Vec<u8>, Refused> {
    let read = files::read(Path::new(path), FILE_MAX);
    let (bytes, mode) = read.map_err(|error| Refused(format!("cannot read {path}: {error}")))?;
    if mode & 0o007 != 0 {
        return Err(Refused(format!(
            "everybody can read {path} (mode {mode:04o}): chmod o= {path}"
        )));
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::disallowed_methods, reason = "writes the files that are read")]

    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn made() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(vec!["ha1".to_owned()]).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    fn write(path: &Path, text: &str, mode: u32) -> String {
        let _ = std::fs::remove_file(path);
        std::fs::write(path, text).unwrap();
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
        path.to_string_lossy().into_owned()
    }

    #[test]
    fn what_does_not_belong_together_is_refused_and_changes_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let (cert, key) = made();
        let cert = write(&path("cert"), &cert, 0o644);
        let key = write(&path("key"), &key, 0o600);
        let certificate = Certificate::read(&cert, &key).unwrap();
        let shown = || certificate.0.read().unwrap().cert.clone();
        let first = shown();
        let (other_cert, other_key) = made();
        let other = write(&path("other"), &other_cert, 0o644);
        let open = write(&path("open"), &other_key, 0o644);
        let check = |cert: &str, key: &str, part: &str| {
            let error = certificate.renew(cert, key).expect_err(part).to_string();
            assert!(error.contains(part), "{error}");
            assert_eq!(shown(), first);
        };
        check(&other, &key, "do not belong together");
        check(&key, &key, "holds no certificate");
        check(&cert, &write(&path("junk"), "junk", 0o600), "key_file");
        check(&other, &open, "everybody can read");
        check("/absent", &key, "cannot read /absent");
        let other_key = write(&path("open"), &other_key, 0o640);
        certificate.renew(&other, &other_key).unwrap();
        assert_ne!(shown(), first);
    }
}
