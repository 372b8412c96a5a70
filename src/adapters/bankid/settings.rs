//! How BankID is talked to.

use std::time::Duration;

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
    /// Another address that speaks the same, such as the simulator: an https URL that ends in `/rp/v6.0`.
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
