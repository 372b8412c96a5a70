//! The one reader of environment and files: typed, every fault at once.

mod bankid;
mod callers;
mod correspondence;
mod development;
mod fault;
mod form;
mod hash;
mod keys;
mod limits;
mod listen;
mod log;
mod mail;
mod oidc;
mod organizations;
mod reader;
mod redis_servers;
#[cfg(feature = "dev")]
mod simulated;
mod sms;
mod source;
mod staff;
mod store;
mod traces;
mod tree;
mod url;
mod workers;

use std::path::Path;

use crate::domain::organization::Organization;

pub use bankid::{BankIdAccess, BankIdEnvironment, BankIdIdentity};
pub use callers::ConfiguredCaller;
pub use fault::{Fault, Faults, Origin};
pub use hash::Hash;
pub use keys::{Keys, MasterKey};
pub use limits::{Limits, LimitsBackend};
pub use listen::{Listen, Tls};
pub use log::{Log, LogLevel};
pub use mail::{Mail, Smtp, SmtpSecurity};
pub use oidc::{OidcAccess, OidcClientAuth, OidcPushed};
pub use reader::KeyReference;
pub use redis_servers::{HostPort, Redis, RedisLogin, RedisServers, RedisTls};
#[cfg(feature = "dev")]
pub use simulated::SimulatedEids;
pub use sms::Sms;
use source::{Pass, held, look_at};
pub use source::{Reading, Seen, Source, first_that_is_no_file, look};
pub use store::{Store, StoreBackend};
pub use traces::Traces;
pub use workers::Workers;

use form::Parsed;
use reader::{Journal, Reader};
use tree::Table;

/// The whole configuration, sound in itself. Every key is in `docs/configuration.md`.
#[derive(Debug)]
pub struct Config {
    /// The `iss` of access tokens: an https URL.
    pub issuer: String,
    /// Ports, TLS and the bounds of connections.
    pub listen: Listen,
    /// Where durable state is kept.
    pub store: Store,
    /// Where the counters of the rate limits are kept.
    pub limits: Limits,
    /// Cost and size of the password hashing pool.
    pub hash: Hash,
    /// Master keys.
    pub keys: Keys,
    /// How mails leave this service; `None`: it sends none.
    pub mail: Option<Mail>,
    /// How text messages leave this service; `None`: it sends none.
    pub sms: Option<Sms>,
    /// What this process does beside answering calls.
    pub workers: Workers,
    /// The tenants; at least one, ids unique.
    pub organizations: Vec<Organization>,
    /// How BankID is talked to, for each organization that uses it.
    pub bankid: Vec<BankIdAccess>,
    /// How each provider is talked to.
    pub oidc: Vec<OidcAccess>,
    /// Who may call; at least one, names and credentials unique.
    pub callers: Vec<ConfiguredCaller>,
    /// What is logged.
    pub log: Log,
    /// Where spans of calls are sent; `None`: there are none.
    pub traces: Option<Traces>,
}

impl Config {
    /// Reads the file, if there is one, and lays the environment over it.
    ///
    /// # Errors
    /// Every fault at once, so that one round mends them all.
    pub fn load(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
    ) -> Result<Self, Faults> {
        Self::load_with_files(path, environment, Pass::First).0
    }

    /// The same, and what the file and those that it names held when they were read.
    fn load_with_files(
        path: Option<&Path>,
        environment: impl Iterator<Item = (String, String)>,
        pass: Pass,
    ) -> (Result<Self, Faults>, Seen) {
        let journal = Journal::of(pass);
        let unreadable = |error: &std::io::Error| Fault {
            key: "configuration file".to_owned(),
            origin: None,
            what: format!("cannot be read ({})", error.kind()),
            remedy: "check the path, and that this process may read it".to_owned(),
        };
        let (text, mut faults) = match path.map(|path| whole(path, &journal)).transpose() {
            Ok(text) => (text.unwrap_or_default(), Vec::new()),
            Err(error) => (String::new(), vec![unreadable(&error)]),
        };
        let (mut root, grammar) = tree::from_toml(&text);
        faults.extend(grammar);
        if let Some(faults) = Faults::gathered(faults) {
            // What the keys hold is not known: complaints about them would mislead.
            return (Err(faults), journal.take_files());
        }
        let misplaced = tree::overlay(&mut root, environment);
        for fault in misplaced {
            journal.add(fault);
        }
        let config = Self::read(&journal, &root);
        let files = journal.take_files();
        let read = match (config, Faults::gathered(journal.into_parts().0)) {
            (Some(config), None) => Ok(config),
            (_, Some(faults)) => Err(faults),
            (None, None) => unreachable!("a reader that gives nothing records why"),
        };
        (read, files)
    }

    /// Every key there is, in the order of reading; `docs/configuration.md` is compared with it.
    pub fn reference() -> Vec<KeyReference> {
        let journal = Journal::describing();
        Self::read(&journal, &Table::new());
        journal.into_parts().1
    }

    fn read(journal: &Journal, root: &Table) -> Option<Self> {
        let mut root = Reader::root(journal, root);
        let issuer = root.required("issuer", "the `iss` of access tokens", &ISSUER);
        let listen = root.section("listen", listen::read);
        let store = root.section("store", store::read);
        let limits = root.section("limits", limits::read);
        let hash = root.section("hash", hash::read);
        let keys = root.section("keys", keys::read);
        let mail = root.optional_section("mail", mail::read);
        let sms = root.optional_section("sms", sms::read);
        let workers = root.section("workers", workers::read);
        let organizations = organizations::read(&mut root, mail.is_some());
        let callers = callers::read(&mut root, &organizations);
        let log = root.section("log", log::read);
        let traces = root.optional_section("traces", traces::read);
        if let (Some(store), Some(limits)) = (&store, &limits)
            && matches!(store.backend, StoreBackend::Sqlite { .. })
            && limits.replicas > 1
        {
            root.fault(
                "limits.replicas",
                "is over 1 with SQLite",
                "replicas need `store.backend = \"postgres\"`",
            );
        }
        let by_certificate = callers.iter().any(|caller| !caller.subject_names.is_empty());
        if by_certificate && !root.is_given("listen.tls.client_ca_file") {
            root.fault(
                "listen.tls.client_ca_file",
                "is required: a caller is known by its certificate",
                "name the file with the authorities of client certificates",
            );
        }
        root.finish();
        let (mut tenants, mut bankid, mut oidc) = (Vec::new(), Vec::new(), Vec::new());
        for read in organizations {
            tenants.extend(read.organization);
            bankid.extend(read.bankid);
            oidc.extend(read.oidc);
        }
        Some(Self {
            issuer: issuer?,
            listen: listen?,
            store: store?,
            limits: limits?,
            hash,
            keys: keys?,
            mail: match mail {
                Some(read) => Some(read?),
                None => None,
            },
            sms: match sms {
                Some(read) => Some(read?),
                None => None,
            },
            workers,
            organizations: tenants,
            bankid,
            oidc,
            callers,
            log,
            traces: match traces {
                Some(read) => Some(read?),
                None => None,
            },
        })
    }
}

/// The text of the configuration file.
fn whole(path: &Path, journal: &Journal) -> std::io::Result<String> {
    if !journal.pass().may_open(path) {
        journal.names(path, None);
        return Err(std::io::Error::from(std::io::ErrorKind::NotSeekable));
    }
    let read = std::fs::read_to_string(path);
    journal.names(path, read.as_ref().map_or_else(|_| look_at(path), |text| held(text.as_bytes())));
    read
}

/// The variables of this process, for [`Config::load`].
pub fn environment() -> impl Iterator<Item = (String, String)> {
    // Not `vars`: it panics at the first variable that is not UTF-8, ours or not.
    std::env::vars_os()
        .map(|(name, text)| (name.to_string_lossy().into_owned(), text.to_string_lossy().into_owned()))
}

/// Verifiers compare `iss` byte by byte (RFC 9068 §4), so there is one spelling: no closing slash, no query.
const ISSUER: Parsed<String> = Parsed {
    form: "an https URL without query and closing slash; http on this machine only",
    parse: url::parse_base,
};
