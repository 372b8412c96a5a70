//! Logins with an eID: BankID and `OpenID` providers from configuration, and the flows over them.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use anyhow::Context as _;
use prometheus_client::registry::Registry;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Outside;
use super::flows::FlowParts;
use crate::adapters::bankid::{BankIdClient, BankIdSettings, Environment, Identity};
use crate::adapters::oidc::{ClientAuth, OidcProvider, OidcSettings, Pushed};
use crate::adapters::store::SqlStore;
use crate::config::{
    BankIdAccess, BankIdEnvironment, BankIdIdentity, Config, OidcAccess, OidcClientAuth, OidcPushed,
};
use crate::domain::oidc::ProviderId;
use crate::domain::organization::OrganizationId;
use crate::domain::secret::Secret;
use crate::flows::bankid_board::BankIdBoard;
use crate::flows::bankid_collector::{self, BankIdCollector, Counted};
use crate::flows::bankid_order::BankIds;
use crate::flows::bankid_status::BankIdStatus;
use crate::flows::eid_login::EidLogin;
use crate::flows::login_bankid::LoginBankIdFlow;
use crate::flows::login_oidc::LoginOidcFlow;
use crate::flows::organizations::Organizations;
use crate::flows::refusal_log::RefusalLog;
use crate::flows::session_tokens::TokenMint;
use crate::ports::bankid::BankId;
use crate::ports::identity_provider::IdentityProvider;
use crate::telemetry::watched::{
    BANKID_ORDERS, BANKID_ORDERS_OWN, BANKID_REACHABLE, watch_counters, watch_gauge, watch_gauges,
};

/// The flows of logins with an eID, and who works beside them.
pub(super) struct EidFlows {
    pub(super) oidc: Arc<LoginOidcFlow>,
    pub(super) bankid: Arc<LoginBankIdFlow>,
    collector: Arc<BankIdCollector>,
    board: Arc<BankIdBoard>,
    statuses: Vec<BankIdStatus>,
}

/// What the flows share with those of passwords.
pub(super) struct Shared<'a> {
    pub(super) parts: &'a FlowParts<'a>,
    /// The same store by connections of its own, for those who work beside the calls.
    pub(super) worker_store: &'a SqlStore,
    pub(super) organizations: &'a Arc<Organizations>,
    pub(super) mint: &'a TokenMint,
    pub(super) refusals: &'a RefusalLog,
    /// Streams end with it.
    pub(super) drain: &'a CancellationToken,
}

impl EidFlows {
    pub(super) fn new(config: &Config, outside: &Outside, shared: &Shared<'_>) -> anyhow::Result<Self> {
        let Outside { clock, entropy } = outside;
        let FlowParts { store, vault, limiter, gate, attempts, counts, .. } = shared.parts;
        let store = Arc::new(SqlStore::clone(store));
        let worker_store = Arc::new(SqlStore::clone(shared.worker_store));
        let bankids: BankIds = Arc::new(bankids(config)?);
        let eid = Arc::new(EidLogin {
            limiter: Arc::clone(limiter),
            store: Arc::clone(&store) as _,
            vault: Arc::clone(vault) as _,
            mint: shared.mint.clone(),
            refusals: shared.refusals.clone(),
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
        });
        let oidc = LoginOidcFlow {
            limiter: Arc::clone(limiter),
            gate: (*gate).clone(),
            providers: providers(config)?,
            store: Arc::clone(&store) as _,
            vault: Arc::clone(vault) as _,
            eid: Arc::clone(&eid),
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
            tasks: TaskTracker::clone(attempts),
        };
        let board = Arc::new(BankIdBoard::new(
            Arc::clone(&worker_store) as _,
            Arc::clone(vault) as _,
            Arc::clone(&bankids),
        ));
        let mut collector = BankIdCollector::new(bankid_collector::Parts {
            organizations: Arc::clone(shared.organizations),
            bankids: Arc::clone(&bankids),
            store: worker_store,
            vault: Arc::clone(vault) as _,
            board: Arc::clone(&board),
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
        });
        collector.counts = counts.bankid.clone();
        let collector = Arc::new(collector);
        let status = |(organization, bankid): (&OrganizationId, &Arc<dyn BankId>)| BankIdStatus {
            organization: organization.clone(),
            bankid: Arc::clone(bankid),
            is_reachable: Arc::default(),
        };
        let statuses = bankids.iter().map(status).collect();
        let bankid = LoginBankIdFlow {
            limiter: Arc::clone(limiter),
            gate: (*gate).clone(),
            bankids,
            store,
            vault: Arc::clone(vault) as _,
            collector: Arc::clone(&collector),
            board: Arc::clone(&board),
            eid,
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
            tasks: TaskTracker::clone(attempts),
            drain: shared.drain.clone(),
        };
        Ok(Self { oidc: Arc::new(oidc), bankid: Arc::new(bankid), collector, board, statuses })
    }

    /// Metrics whose values live in the flows.
    pub(super) fn watch(&self, registry: &mut Registry) {
        let outcomes = [
            ("collected", Counted::Collect),
            ("collect_failed", Counted::CollectFailed),
            ("restarted", Counted::Restart),
            ("complete", Counted::Complete),
            ("failed", Counted::Failed),
        ];
        let counters = outcomes.into_iter().map(|(event, counted)| {
            let counts = self.collector.counts.clone();
            let read = Box::new(move || counts.of(counted)) as Box<dyn Fn() -> u64 + Send + Sync>;
            (vec![("event", event.to_owned())], read)
        });
        watch_counters(
            registry,
            BANKID_ORDERS,
            "What happened to BankID orders that this replica collects",
            counters,
        );
        let collector = Arc::clone(&self.collector);
        #[expect(clippy::cast_precision_loss, reason = "no replica has 2^53 orders")]
        let own = move || collector.own() as f64;
        watch_gauge(registry, BANKID_ORDERS_OWN, "BankID orders that this replica collects now", own);
        let reachable = self.statuses.iter().map(|status| {
            let is_reachable = Arc::clone(&status.is_reachable);
            let read = move || if is_reachable.load(Ordering::Relaxed) { 1.0 } else { 0.0 };
            let labels = vec![("organization", status.organization.as_str().to_owned())];
            (labels, Box::new(read) as Box<dyn Fn() -> f64 + Send + Sync>)
        });
        let help = "Whether BankID let the certificate of an organization in when it was last asked";
        watch_gauges(registry, BANKID_REACHABLE, help, reachable);
    }

    /// Collects and follows orders, where any organization uses BankID.
    pub(super) fn spawn(self, tasks: &TaskTracker, stop: &CancellationToken) {
        if self.statuses.is_empty() {
            return;
        }
        for status in self.statuses {
            tasks.spawn(status.run(stop.clone()));
        }
        tasks.spawn(Arc::clone(&self.collector).run(stop.clone()));
        let (board, collector, stop) = (self.board, self.collector, stop.clone());
        tasks.spawn(async move { board.follow(|id| collector.is_own(id), stop).await });
    }
}

fn bankids(config: &Config) -> anyhow::Result<HashMap<OrganizationId, Arc<dyn BankId>>> {
    let client = |access: &BankIdAccess| {
        let client = bankid_client(access)?;
        Ok((access.organization.clone(), Arc::new(client) as Arc<dyn BankId>))
    };
    config.bankid.iter().map(client).collect()
}

fn bankid_client(access: &BankIdAccess) -> anyhow::Result<BankIdClient> {
    let key = format!("organizations.bankid of {}", access.organization.as_str());
    let identity = match &access.identity {
        BankIdIdentity::Pem { certificate_file, key_file } => {
            Identity::Pem { chain: read(&key, certificate_file)?, key: Secret::new(read(&key, key_file)?) }
        }
        BankIdIdentity::Pkcs12 { file, password } => {
            Identity::Pkcs12 { bytes: Secret::new(read(&key, file)?), password: password.copied() }
        }
    };
    let settings = BankIdSettings {
        environment: environment(&access.environment, &key)?,
        authorities_pem: read(&key, &access.ca_file)?,
        identity,
        timeout: access.timeout,
        connections: access.connections,
    };
    BankIdClient::new(settings).context(key)
}

#[cfg(feature = "dev")]
#[expect(clippy::unnecessary_wraps, reason = "a build without simulators refuses one of them")]
fn environment(environment: &BankIdEnvironment, _key: &str) -> anyhow::Result<Environment> {
    Ok(match environment {
        BankIdEnvironment::Production => Environment::Production,
        BankIdEnvironment::Test => Environment::Test,
        BankIdEnvironment::Other(url) => Environment::Other(url.clone()),
    })
}

/// What speaks like BankID and is not BankID lets everybody in as whom they like: not in a build for people.
#[cfg(not(feature = "dev"))]
fn environment(environment: &BankIdEnvironment, key: &str) -> anyhow::Result<Environment> {
    match environment {
        BankIdEnvironment::Production => Ok(Environment::Production),
        BankIdEnvironment::Test => Ok(Environment::Test),
        BankIdEnvironment::Other(_) => {
            anyhow::bail!("{key}: environment \"other\" is for simulators, and this build is for people")
        }
    }
}

type Providers = HashMap<(OrganizationId, ProviderId), Arc<dyn IdentityProvider>>;

fn providers(config: &Config) -> anyhow::Result<Providers> {
    let provider = |access: &OidcAccess| {
        let key =
            format!("organizations.oidc {:?} of {}", access.provider.as_str(), access.organization.as_str());
        let settings = oidc_settings(access, &key)?;
        let provider = OidcProvider::new(settings).context(key)?;
        let name = (access.organization.clone(), access.provider.clone());
        Ok((name, Arc::new(provider) as Arc<dyn IdentityProvider>))
    };
    config.oidc.iter().map(provider).collect()
}

fn oidc_settings(access: &OidcAccess, key: &str) -> anyhow::Result<OidcSettings> {
    let client_auth = match &access.client_auth {
        OidcClientAuth::SecretBasic(secret) => ClientAuth::SecretBasic(secret.copied()),
        OidcClientAuth::SecretPost(secret) => ClientAuth::SecretPost(secret.copied()),
        OidcClientAuth::PrivateKeyJwt { key_file, key_id } => {
            let pem = String::from_utf8(read(key, key_file)?).context("private_key_file: no PEM")?;
            ClientAuth::PrivateKeyJwt { key_pem: Secret::new(pem), key_id: key_id.clone() }
        }
        OidcClientAuth::Tls => ClientAuth::Tls,
    };
    let client_certificate = match &access.client_certificate {
        None => None,
        Some((chain, file)) => Some((read(key, chain)?, Secret::new(read(key, file)?))),
    };
    Ok(OidcSettings {
        issuer: access.issuer.clone(),
        client_id: access.client_id.clone(),
        client_auth,
        client_certificate,
        redirect_uri: access.redirect_uri.clone(),
        scopes: access.scopes.clone(),
        acr_values: access.acr_values.clone(),
        extra_params: access.extra_params.clone(),
        mapping: access.mapping.clone(),
        strength: access.strength.clone(),
        pkce_unannounced: access.pkce_unannounced,
        pushed: match access.pushed {
            OidcPushed::Announced => Pushed::Announced,
            OidcPushed::Always => Pushed::Always,
            OidcPushed::Never => Pushed::Never,
        },
        authorities_pem: access.ca_file.as_deref().map(|file| read(key, file)).transpose()?,
        timeout: access.timeout,
    })
}

fn read(key: &str, path: &Path) -> anyhow::Result<Vec<u8>> {
    std::fs::read(path).with_context(|| format!("{key}: reading {}", path.display()))
}

/// Whether BankID lets an organization's certificate in.
pub(super) async fn probe_bankid(access: &BankIdAccess) -> anyhow::Result<String> {
    bankid_client(access)?.probe().await?;
    Ok("BankID lets our certificate in".to_owned())
}
