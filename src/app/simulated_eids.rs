//! The simulated eIDs of `dev`: started before the service, whose configuration they become part of.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::net::TcpListener;

use super::Outside;
use crate::config::{Config, OidcClientAuth, SimulatedEids as Simulated};
use crate::domain::secret::Secret;
use crate::ports::entropy::random_bytes;
use crate::simulators::bankid::BankIdSimulator;
use crate::simulators::oidc::{Broker, OidcSimulator, RelyingParty};

/// Who copies a code from one window to another needs longer than a camera.
const CODE_SLACK: Duration = Duration::from_secs(15);

/// Simulated eIDs. They stop when they are dropped.
pub struct SimulatedEids {
    bankid: Arc<BankIdSimulator>,
    providers: SocketAddr,
    _oidc: OidcSimulator,
}

/// Where they listen, taken before they start.
pub struct EidListeners {
    bankid: TcpListener,
    providers: TcpListener,
}

impl EidListeners {
    /// Takes the address of BankID's API and that of the `OpenID` providers.
    ///
    /// # Errors
    /// If one is taken.
    pub async fn bind(bankid: SocketAddr, providers: SocketAddr) -> anyhow::Result<Self> {
        let listen = async |flag: &str, address: SocketAddr| {
            TcpListener::bind(address).await.with_context(|| {
                format!("{flag}: {address} cannot be listened on; is something else using it? {flag} takes another")
            })
        };
        Ok(Self {
            bankid: listen("--bankid", bankid).await?,
            providers: listen("--providers", providers).await?,
        })
    }
}

impl SimulatedEids {
    /// Starts them, and lets the sample organizations use them. `pages` is where logins come back to; what BankID lets us
    /// in with is written into `data_dir`.
    ///
    /// # Errors
    /// If a key or a certificate cannot be made or written.
    pub fn start(
        listeners: EidListeners,
        config: &mut Config,
        pages: SocketAddr,
        data_dir: &Path,
        outside: &Outside,
    ) -> anyhow::Result<Self> {
        let Outside { clock, entropy } = outside;
        let bankid = BankIdSimulator::start(listeners.bankid, Arc::clone(clock), Arc::clone(entropy))
            .context("starting the simulated BankID")?;
        bankid.forgive_codes(CODE_SLACK);
        let providers = listeners.providers.local_addr()?;
        let identity = bankid.client_identity_pem();
        let simulated = Simulated {
            pages,
            bankid_url: bankid.base_url(),
            bankid_ca_file: write(data_dir, "bankid-root.pem", &bankid.authorities_pem())?,
            bankid_certificate_file: write(data_dir, "bankid-client.pem", &identity.chain_pem)?,
            bankid_key_file: write(data_dir, "bankid-client-key.pem", identity.key_pem.expose())?,
            providers,
        };
        config.use_simulated_eids(&simulated, |_| {
            Secret::new(URL_SAFE_NO_PAD.encode(random_bytes::<32>(entropy.as_ref())))
        });
        let oidc = OidcSimulator::start(listeners.providers, relying_parties(config), clock, entropy)
            .context("starting the simulated OpenID providers")?;
        Ok(Self { bankid: Arc::new(bankid), providers, _oidc: oidc })
    }

    /// The simulated BankID.
    pub fn bankid(&self) -> Arc<BankIdSimulator> {
        Arc::clone(&self.bankid)
    }

    /// Where the providers are.
    pub const fn providers(&self) -> SocketAddr {
        self.providers
    }
}

/// What the brokers register of the configured providers.
fn relying_parties(config: &Config) -> Vec<RelyingParty> {
    let party = |access: &crate::config::OidcAccess| {
        let broker = Broker::ALL.into_iter().find(|broker| broker.path() == access.provider.as_str())?;
        let OidcClientAuth::SecretBasic(secret) = &access.client_auth else { return None };
        Some(RelyingParty {
            broker,
            client_id: access.client_id.clone(),
            client_secret: secret.copied(),
            redirect_uris: vec![access.redirect_uri.clone()],
        })
    };
    config.oidc.iter().filter_map(party).collect()
}

/// A new file for nobody else's eyes.
fn write(directory: &Path, name: &str, bytes: &[u8]) -> anyhow::Result<PathBuf> {
    let path = directory.join(name);
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&path).with_context(|| format!("making {}", path.display()))?;
    file.write_all(bytes).with_context(|| format!("writing {}", path.display()))?;
    Ok(path)
}
