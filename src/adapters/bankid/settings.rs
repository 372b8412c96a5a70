//! How BankID is talked to.

use std::time::Duration;

use reqwest::Url;

use crate::adapters::client_tls::TrustError;
use crate::adapters::http_client::HttpClientError;
use crate::domain::secret::Secret;

/// One relying party's access.
pub struct BankIdSettings {
    /// Which of BankID's servers.
    pub environment: Environment,
    /// The authorities that its certificate may come from, as PEM: trusted alone. In production and in BankID's test
    /// environment it must be BankID's root, which is known by its fingerprint.
    pub authorities_pem: Vec<u8>,
    /// Who we are.
    pub identity: Identity,
    /// The time for one request.
    pub timeout: Duration,
    /// Connections at the same time.
    pub connections: usize,
}

/// Which of BankID's servers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Environment {
    /// Where people log in.
    Production,
    /// BankID's own test environment.
    Test,
    /// Another address that speaks the same, such as the simulator: an https URL that ends in `/rp/v6.0`. None of
    /// BankID's own: those are known by their root.
    Other(String),
}

/// The relying party's certificate and key.
pub enum Identity {
    /// PEM: the chain, and the key (PKCS#8, or as old tools write it).
    Pem {
        /// The chain.
        chain: Vec<u8>,
        /// The key.
        key: Secret<Vec<u8>>,
    },
    /// PKCS#12 as a bank hands it out, old encryption (RC2, 3DES) too.
    Pkcs12 {
        /// The file.
        bytes: Secret<Vec<u8>>,
        /// Its password.
        password: Secret<String>,
    },
}

/// Why BankID cannot be talked to with these settings. The texts name the keys of the settings, and no secret.
#[derive(Debug, thiserror::Error)]
pub enum BankIdSettingsError {
    /// The address is none that may be used.
    #[error(
        "the URL of another BankID server is https, ends in {API_PATH}, and has no user, query or fragment; for BankID's \
         own servers say which environment it is"
    )]
    Url,
    /// Whom we are to trust is not BankID.
    #[error(
        "ca_file: BankID's {environment} environment is known by one certificate, whose SHA-256 is {expected}; \
         the file has {found}"
    )]
    NotBankIdsRoot {
        /// `production` or `test`.
        environment: &'static str,
        /// The fingerprint that is needed.
        expected: &'static str,
        /// What is there instead.
        found: String,
    },
    /// The authorities cannot be read.
    #[error("ca_file: {0}")]
    Authorities(TrustError),
    /// The certificate, or its key, cannot be read.
    #[error("the certificate for BankID cannot be used: {0}")]
    Identity(String),
    /// The client cannot be made.
    #[error(transparent)]
    Client(#[from] HttpClientError),
}

/// The path that every URL of the API begins with. The version of its documents goes on (6.1.11), the path stays.
const API_PATH: &str = "/rp/v6.0";

impl Environment {
    /// Where its requests go: the URL of `/auth` and its neighbours, without the last part.
    pub(super) fn base_url(&self) -> Result<Url, BankIdSettingsError> {
        let url = match self {
            Self::Production => "https://appapi2.bankid.com/rp/v6.0",
            Self::Test => "https://appapi2.test.bankid.com/rp/v6.0",
            Self::Other(url) => url,
        };
        let url = Url::parse(url).map_err(|_| BankIdSettingsError::Url)?;
        let is_bare = url.username().is_empty() && url.password().is_none() && url.query().is_none();
        let formed = url.scheme() == "https" && is_bare && url.fragment().is_none() && url.path() == API_PATH;
        let is_bankids = url.host_str().is_some_and(|host| {
            let host = host.trim_end_matches('.');
            host == "bankid.com" || host.ends_with(".bankid.com")
        });
        let is_other = matches!(self, Self::Other(_));
        if formed && is_bankids != is_other { Ok(url) } else { Err(BankIdSettingsError::Url) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_environment_has_its_address() {
        let of = |environment: &Environment| environment.base_url().unwrap().to_string();
        assert_eq!(of(&Environment::Production), "https://appapi2.bankid.com/rp/v6.0");
        assert_eq!(of(&Environment::Test), "https://appapi2.test.bankid.com/rp/v6.0");
        let other = "https://localhost:8443/rp/v6.0";
        assert_eq!(of(&Environment::Other(other.to_owned())), other);
    }

    /// The root of another address is not checked, so BankID's own is no other address (trap: a test root there).
    #[test]
    fn another_address_is_https_bare_and_none_of_bankids() {
        for url in [
            "",
            "localhost",
            "http://localhost/rp/v6.0",
            "https://localhost/rp/v5.1",
            "https://localhost/rp/v6.0/",
            "https://localhost/rp/v6.0?a=b",
            "https://localhost/rp/v6.0#a",
            "https://me@localhost/rp/v6.0",
            "https://:pw@localhost/rp/v6.0",
            "https://appapi2.bankid.com/rp/v6.0",
            "https://APPAPI2.test.BankID.com/rp/v6.0",
            "https://appapi2.bankid.com./rp/v6.0",
            "https://bankid.com/rp/v6.0",
        ] {
            assert!(Environment::Other(url.to_owned()).base_url().is_err(), "{url}");
        }
        assert!(Environment::Other("https://notbankid.com/rp/v6.0".to_owned()).base_url().is_ok());
    }
}
