//! TLS of the gRPC port: ALPN for HTTP/2 and HTTP/1.1, client certificates asked for and not required.

use std::sync::Arc;

use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use crate::domain::caller::SubjectName;

/// Why the TLS settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is no PEM of the right kind.
    #[error("the {what} cannot be read: {source}")]
    Pem {
        /// Which one.
        what: &'static str,
        /// Why.
        source: rustls_pki_types::pem::Error,
    },
    /// The certificates of callers cannot be verified with this.
    #[error("the certificate authorities of callers cannot be used: {0}")]
    Verifier(#[from] rustls::server::VerifierBuilderError),
    /// Certificate and key do not fit, or a certificate is malformed.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// The settings from PEM text: our certificate chain and key, and the authorities that sign callers' certificates.
/// TLS 1.2 and 1.3, the provider `aws-lc-rs`.
///
/// # Errors
/// See [`Error`].
pub fn server_config(
    chain: &[u8],
    key: &[u8],
    client_authorities: Option<&[u8]>,
) -> Result<ServerConfig, Error> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let pem = |what| move |source| Error::Pem { what, source };
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain).collect::<Result<_, _>>().map_err(pem("certificate chain"))?;
    let key = PrivateKeyDer::from_pem_slice(key).map_err(pem("private key"))?;
    let builder =
        ServerConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions()?;
    let builder = match client_authorities {
        None => builder.with_no_client_auth(),
        Some(authorities) => {
            let mut roots = RootCertStore::empty();
            for root in CertificateDer::pem_slice_iter(authorities) {
                roots.add(root.map_err(pem("certificate authorities of callers"))?)?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider)
                .allow_unauthenticated()
                .build()?;
            builder.with_client_cert_verifier(verifier)
        }
    };
    let mut config = builder.with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// When the first certificate of a PEM chain ends, in seconds since 1970-01-01T00:00:00Z.
///
/// # Errors
/// [`Error::Pem`] if there is none.
pub fn end_of_certificate(chain: &[u8]) -> Result<i64, Error> {
    let pem = |source| Error::Pem { what: "certificate chain", source };
    let first = CertificateDer::from_pem_slice(chain).map_err(pem)?;
    let parsed = X509Certificate::from_der(&first);
    let (_, certificate) = parsed.map_err(|_| pem(rustls_pki_types::pem::Error::NoItemsFound))?;
    Ok(certificate.validity().not_after.timestamp())
}

/// The names in the subject alternative name of a verified certificate. The common name counts for nothing.
pub(super) fn subject_names(certificate: &CertificateDer<'_>) -> Vec<SubjectName> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    names.value.general_names.iter().filter_map(subject_name).collect()
}

fn subject_name(name: &GeneralName<'_>) -> Option<SubjectName> {
    match name {
        // Told apart by their kind in the certificate, not by their look.
        GeneralName::DNSName(dns) => match SubjectName::parse(&dns.to_ascii_lowercase())? {
            name @ SubjectName::Dns(_) => Some(name),
            SubjectName::Uri(_) => None,
        },
        GeneralName::URI(uri) => match SubjectName::parse(uri)? {
            name @ SubjectName::Uri(_) => Some(name),
            SubjectName::Dns(_) => None,
        },
        GeneralName::OtherName(..)
        | GeneralName::RFC822Name(_)
        | GeneralName::X400Address(_)
        | GeneralName::DirectoryName(_)
        | GeneralName::EDIPartyName(_)
        | GeneralName::IPAddress(_)
        | GeneralName::RegisteredID(_)
        | GeneralName::Invalid(..) => None,
    }
}
