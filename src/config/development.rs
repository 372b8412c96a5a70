//! The configuration of the `dev` command: everything on this machine, two sample organizations.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use crate::domain::caller::{AllOrSome, Caller, CallerKind, TokenDigest};
use crate::domain::identifier::{Email, Region};
use crate::domain::limits::LimitPolicy;
use crate::domain::organization::{
    Correspondence, LinkPage, Organization, OrganizationId, Portal, PortalPages, ResetPolicy, SessionPolicy,
};
use crate::domain::password::PasswordPolicy;
use crate::domain::password_reset::ResetMethod;
use crate::domain::secret::Secret;
use crate::domain::staff::StaffPolicy;

use super::Config;
use super::callers::ConfiguredCaller;
use super::hash::Hash;
use super::keys::{Keys, MasterKey};
use super::limits::{Limits, LimitsBackend};
use super::listen::Listen;
use super::log::{Log, LogLevel};
use super::mail::Mail;
use super::store::{Store, StoreBackend};
use super::workers::Workers;

impl Config {
    /// A database file in `data_dir`, counters in memory, loopback ports 50051 and 9090, reflection on; a Swedish and a Dutch
    /// organization with three callers each, and an operator.
    ///
    /// Mails go into the folder `mailbox` of `data_dir` and link to the pages at `pages`.
    ///
    /// `digest_of` is asked once for each caller's name and gives the digest of the token made for it.
    pub fn development(
        data_dir: &Path,
        master_key: Secret<[u8; 32]>,
        pages: SocketAddr,
        mut digest_of: impl FnMut(&str) -> TokenDigest,
    ) -> Self {
        let listen = Listen { reflection: true, ..Listen::on_loopback() };
        let organizations: Vec<_> = [
            ("sample-kommun", "Sample kommun", Region::Se, vec![Portal::Parent, Portal::Staff]),
            (
                "voorbeeld-opvang",
                "Voorbeeld Opvang",
                Region::Nl,
                vec![Portal::Parent, Portal::Childminder, Portal::Staff],
            ),
        ]
        .into_iter()
        .filter_map(|(id, name, region, portals)| {
            Some(organization(OrganizationId::parse(id)?, name, region, &portals, pages))
        })
        .collect();
        let mut callers = Vec::new();
        for Organization { id, portals, .. } in &organizations {
            let mut add = |suffix: &str, kind, portals: AllOrSome<Portal>| {
                let name = format!("{}-{suffix}", id.as_str());
                let digest = digest_of(&name);
                let organizations = AllOrSome::Some(vec![id.clone()]);
                callers.push(caller(name, kind, organizations, portals, digest));
            };
            add("portal", CallerKind::Portal, AllOrSome::Some(portals.clone()));
            add("admin", CallerKind::AdminPortal, AllOrSome::Some(portals.clone()));
            add("sync", CallerKind::Sync, AllOrSome::All);
        }
        let digest = digest_of("operator");
        let operator =
            caller("operator".to_owned(), CallerKind::Operator, AllOrSome::All, AllOrSome::All, digest);
        callers.push(operator);
        Self {
            issuer: format!("http://{}", listen.grpc),
            listen,
            store: Store {
                backend: StoreBackend::Sqlite { path: data_dir.join("guardian-auth.sqlite") },
                migrate_on_start: true,
            },
            limits: Limits { backend: LimitsBackend::Memory, replicas: 1 },
            hash: Hash::default(),
            keys: Keys { master: vec![MasterKey { id: "dev".to_owned(), key: master_key }] },
            mail: Some(Mail::Folder { path: data_dir.join("mailbox") }),
            sms: None,
            workers: Workers { enabled: true },
            organizations,
            bankid: Vec::new(),
            oidc: Vec::new(),
            callers,
            log: Log { level: LogLevel::Info },
            traces: None,
        }
    }
}

/// The Dutch organization has a legal basis for BSN, the Swedish one has no debtor numbers that people know.
fn reset_methods(region: Region) -> Vec<ResetMethod> {
    match region {
        Region::Se => vec![ResetMethod::DebtorNumberAndEmail, ResetMethod::Email],
        Region::Nl => vec![ResetMethod::DebtorNumberAndBsn, ResetMethod::DebtorNumberAndEmail],
    }
}

/// As the simulators have them.
fn page(organization: &OrganizationId, portal: Portal, pages: SocketAddr) -> Option<PortalPages> {
    let home = format!("http://{pages}/portal/{}/{}", organization.as_str(), portal.as_str());
    let reset = LinkPage::parse(&format!("{home}/new-password#token={}", LinkPage::PLACE))?;
    let activation = LinkPage::parse(&format!("{home}/activate#token={}", LinkPage::PLACE));
    Some(PortalPages { home, reset, activation })
}

fn organization(
    id: OrganizationId,
    display_name: &str,
    region: Region,
    portals: &[Portal],
    pages: SocketAddr,
) -> Organization {
    let methods = reset_methods(region);
    let correspondence =
        Email::parse(&format!("no-reply@{}.example", id.as_str())).ok().map(|from_address| Correspondence {
            from_name: display_name.to_owned(),
            from_address,
            contact: String::new(),
            pages: portals.iter().filter_map(|portal| Some((*portal, page(&id, *portal, pages)?))).collect(),
        });
    Organization {
        display_name: display_name.to_owned(),
        region,
        strip_leading_zeros: false,
        portals: portals.to_vec(),
        password: PasswordPolicy::default(),
        session: SessionPolicy::default(),
        limits: LimitPolicy::default(),
        correspondence,
        reset: Some(ResetPolicy { methods, link_lifetime: Duration::from_hours(1) }),
        bankid: None,
        oidc: Vec::new(),
        staff: StaffPolicy {
            // No eID is needed to try things.
            password_is_enough_because: Some("development on one machine, with sample data".to_owned()),
            ..StaffPolicy::default()
        },
        id,
    }
}

fn caller(
    name: String,
    kind: CallerKind,
    organizations: AllOrSome<OrganizationId>,
    portals: AllOrSome<Portal>,
    digest: TokenDigest,
) -> ConfiguredCaller {
    let may_assert_client_address = kind == CallerKind::Portal;
    let caller =
        Caller { name, kind, organizations, portals, may_assert_client_address, origins: Vec::new() };
    ConfiguredCaller { caller, token_digests: vec![digest], subject_names: Vec::new() }
}
