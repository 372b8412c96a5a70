//! Whom we take for BankID: its root, by its fingerprint, and nobody else.

use aws_lc_rs::digest::{SHA256, digest};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;

use super::settings::{BankIdSettingsError, Environment};
use crate::adapters::client_tls::TrustError;

/// SHA-256 of `BankID SSL Root CA v1`, valid from 2011-12-07 to 2034-12-31. Source: computed on the copies that two
/// independent public clients carry.
const PRODUCTION_ROOT: &str = "E6A2D45C0A1051C959428649F86A09A9B2152CD551993CC2EB4CF094BDACBECB";

/// SHA-256 of `Test BankID SSL Root CA v1 Test`, valid from 2014-11-21 to 2034-12-31. Source: the same.
const TEST_ROOT: &str = "F3D0740EBFB3700E3B81AA791FEE451472698C84E199C2EB48A443FF1D5B405C";

/// Refuses authorities that are not the environment's root alone. A root of BankID's test environment, or of a simulator,
/// would let others say who logs in.
pub(super) fn check(environment: &Environment, authorities_pem: &[u8]) -> Result<(), BankIdSettingsError> {
    let (environment, expected) = match environment {
        Environment::Production => ("production", PRODUCTION_ROOT),
        Environment::Test => ("test", TEST_ROOT),
        Environment::Other(_) => return Ok(()),
    };
    let roots = CertificateDer::pem_slice_iter(authorities_pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| BankIdSettingsError::Authorities(TrustError::Pem(error)))?;
    let found = match roots.as_slice() {
        [] => "none".to_owned(),
        [root] => fingerprint(root),
        more => format!("{} certificates", more.len()),
    };
    if found == expected {
        Ok(())
    } else {
        Err(BankIdSettingsError::NotBankIdsRoot { environment, expected, found })
    }
}

fn fingerprint(certificate: &CertificateDer<'_>) -> String {
    let digest = digest(&SHA256, certificate);
    let digits = digest.as_ref().iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .map(|digit| digit.to_ascii_uppercase())
        .collect()
}
