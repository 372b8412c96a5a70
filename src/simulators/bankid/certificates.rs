//! Certificates of the simulated BankID: a root, the server's, and those of relying parties.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig};
use rustls_pki_types::PrivateKeyDer;

use super::SimulatorError;
use crate::domain::secret::Secret;

/// A relying party's certificate and key, as PEM.
pub struct ClientIdentity {
    /// The certificate.
    pub chain_pem: Vec<u8>,
    /// The key, PKCS#8.
    pub key_pem: Secret<Vec<u8>>,
}

/// The two authorities: who vouches for BankID, and who for relying parties.
pub(super) struct Authorities {
    root: CertifiedIssuer<'static, KeyPair>,
    relying_parties: CertifiedIssuer<'static, KeyPair>,
}

impl Authorities {
    pub(super) fn new() -> Result<Self, SimulatorError> {
        let authority = |name| {
            let mut params = named(name, &[])?;
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            CertifiedIssuer::self_signed(params, KeyPair::generate()?)
        };
        Ok(Self {
            root: authority("Simulated BankID SSL Root CA")?,
            relying_parties: authority("Simulated BankID RP CA")?,
        })
    }

    pub(super) fn root_pem(&self) -> String {
        self.root.pem()
    }

    pub(super) fn client(&self, name: &str) -> Result<ClientIdentity, SimulatorError> {
        let key = KeyPair::generate()?;
        let mut params = named(name, &[])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let certificate = params.signed_by(&key, &self.relying_parties)?;
        Ok(ClientIdentity {
            chain_pem: certificate.pem().into_bytes(),
            key_pem: Secret::new(key.serialize_pem().into_bytes()),
        })
    }

    /// TLS 1.2 and 1.3 with a client certificate, as BankID has it.
    pub(super) fn server(&self) -> Result<ServerConfig, SimulatorError> {
        let key = KeyPair::generate()?;
        let mut params = named("Simulated BankID", &["localhost", "127.0.0.1", "::1"])?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        let certificate = params.signed_by(&key, &self.root)?;
        let mut roots = RootCertStore::empty();
        roots.add(self.relying_parties.der().clone())?;
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier =
            WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider)).build()?;
        Ok(ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )?)
    }
}

fn named(name: &str, hosts: &[&str]) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(hosts.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, name);
    Ok(params)
}
