//! TLS of the connections that we open: whom it trusts.

use std::sync::Arc;

use rustls::client::WantsClientCert;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

/// Why the TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TrustError {
    /// The text is no PEM of certificates.
    #[error("the certificate authorities cannot be read: {0}")]
    Pem(#[from] rustls_pki_types::pem::Error),
    /// There is no certificate in it.
    #[error("the file of certificate authorities has none in it")]
    Empty,
    /// One cannot be used.
    #[error("the certificate authorities cannot be used: {0}")]
    Tls(#[from] rustls::Error),
}

/// Settings that trust the authorities of this PEM text and no other, or those of the web if there is none. TLS 1.2 and
/// 1.3, the provider `aws-lc-rs`. The authorities of the web are part of the program: its image has no others.
///
/// # Errors
/// See [`TrustError`].
pub fn client_config(authorities_pem: Option<&[u8]>) -> Result<ClientConfig, TrustError> {
    Ok(trusting(authorities_pem)?.with_no_client_auth())
}

/// The same, and a certificate of our own is shown: the chain, our end first, and its key.
///
/// # Errors
/// See [`TrustError`]; a key that is not the certificate's is [`TrustError::Tls`].
pub fn mutual_config(
    authorities_pem: Option<&[u8]>,
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ClientConfig, TrustError> {
    Ok(trusting(authorities_pem)?.with_client_auth_cert(chain, key)?)
}

fn trusting(
    authorities_pem: Option<&[u8]>,
) -> Result<ConfigBuilder<ClientConfig, WantsClientCert>, TrustError> {
    let mut roots = RootCertStore::empty();
    match authorities_pem {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(pem) => {
            for root in CertificateDer::pem_slice_iter(pem) {
                roots.add(root?)?;
            }
        }
    }
    if roots.is_empty() {
        return Err(TrustError::Empty);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    Ok(ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots))
}

/// Whether a host is this machine, so that what goes there without TLS is on no line.
pub fn is_loopback(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    host == "localhost" || address.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_file_the_authorities_of_the_web_are_trusted() {
        assert!(client_config(None).is_ok());
    }

    #[test]
    fn a_file_without_an_authority_is_refused() {
        assert!(matches!(client_config(Some(b"")), Err(TrustError::Empty)));
        assert!(matches!(client_config(Some(b"no certificate")), Err(TrustError::Empty)));
        let broken = b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
        assert!(matches!(client_config(Some(broken)), Err(TrustError::Tls(_))));
    }

    #[test]
    fn loopback_is_named_or_numbered() {
        for host in ["localhost", "127.0.0.1", "127.8.8.8", "::1", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.example.org", "10.0.0.1", "0.0.0.0", "mail", "", "[::2]"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
