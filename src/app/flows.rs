//! The flows over their parts, and the services over the flows.

use std::sync::Arc;

use tokio_util::task::TaskTracker;
use tonic::service::Routes;

use super::lasting::Counts;
use super::staff::{self, StaffFlows};
use super::{Outside, parts};
use crate::adapters::access_tokens::JwtKeyring;
use crate::adapters::argon2::Argon2Pool;
use crate::adapters::key_vault::DerivedKeyVault;
use crate::adapters::revocations::RecentRevocations;
use crate::adapters::store::SqlStore;
use crate::config::Config;
use crate::domain::password::Blocklist;
use crate::flows::change_password::ChangePasswordFlow;
use crate::flows::devices::Devices;
use crate::flows::gate::Gate;
use crate::flows::last_done::LastDone;
use crate::flows::login_bankid::LoginBankIdFlow;
use crate::flows::login_oidc::LoginOidcFlow;
use crate::flows::login_password::LoginFlow;
use crate::flows::organizations::Organizations;
use crate::flows::outbox::Wake;
use crate::flows::password_reset::PasswordResetFlow;
use crate::flows::refusal_log::{RefusalLog, RefusalWriter, refusal_log};
use crate::flows::session::SessionFlow;
use crate::flows::session_tokens::TokenMint;
use crate::flows::upkeep::Upkeep;
use crate::grpc::login::LoginHandlers;
use crate::grpc::login_bankid::LoginBankIdHandlers;
use crate::grpc::login_oidc::LoginOidcHandlers;
use crate::grpc::password::PasswordHandlers;
use crate::grpc::password_reset::PasswordResetHandlers;
use crate::grpc::session::SessionHandlers;
use crate::ports::rate_limiter::RateLimiter;
use crate::proto::login_bank_id_service_server::LoginBankIdServiceServer;
use crate::proto::login_oidc_service_server::LoginOidcServiceServer;
use crate::proto::login_service_server::LoginServiceServer;
use crate::proto::password_reset_service_server::PasswordResetServiceServer;
use crate::proto::password_service_server::PasswordServiceServer;
use crate::proto::session_service_server::SessionServiceServer;

/// What the handlers are made of.
pub(super) struct Flows {
    pub(super) login: Arc<LoginFlow>,
    pub(super) session: Arc<SessionFlow>,
    pub(super) change_password: Arc<ChangePasswordFlow>,
    pub(super) password_reset: Arc<PasswordResetFlow>,
    pub(super) upkeep: Upkeep,
    pub(super) refusals: RefusalWriter,
    pub(super) refusal_log: RefusalLog,
    pub(super) organizations: Arc<Organizations>,
    pub(super) wake: Wake,
    pub(super) mint: TokenMint,
    pub(super) staff: StaffFlows,
}

pub(super) fn routes(
    login: Arc<LoginFlow>,
    session: Arc<SessionFlow>,
    change_password: Arc<ChangePasswordFlow>,
    password_reset: Arc<PasswordResetFlow>,
    (oidc, bankid): (Arc<LoginOidcFlow>, Arc<LoginBankIdFlow>),
    staff: &StaffFlows,
    max_request_bytes: usize,
) -> Routes {
    let login = LoginServiceServer::new(LoginHandlers::new(login, Arc::clone(&staff.activate_credential)));
    let session = SessionServiceServer::new(SessionHandlers::new(session));
    let password = PasswordServiceServer::new(PasswordHandlers::new(change_password));
    let reset = PasswordResetServiceServer::new(PasswordResetHandlers::new(password_reset));
    let oidc = LoginOidcServiceServer::new(LoginOidcHandlers::new(oidc));
    let bankid = LoginBankIdServiceServer::new(LoginBankIdHandlers::new(bankid));
    let routes = Routes::new(login.max_decoding_message_size(max_request_bytes))
        .add_service(oidc.max_decoding_message_size(max_request_bytes))
        .add_service(bankid.max_decoding_message_size(max_request_bytes))
        .add_service(session.max_decoding_message_size(max_request_bytes))
        .add_service(password.max_decoding_message_size(max_request_bytes))
        .add_service(reset.max_decoding_message_size(max_request_bytes));
    staff.add_to(routes, max_request_bytes)
}

/// What is known of tokens and sessions without asking the store. Clones are one.
#[derive(Clone)]
pub(super) struct Known {
    pub(super) ring: Arc<JwtKeyring>,
    revocations: Arc<RecentRevocations>,
    feed_read: LastDone,
}

impl Known {
    /// Nothing yet.
    pub(super) fn new(config: &Config) -> Self {
        Self {
            ring: Arc::new(JwtKeyring::new(config.issuer.clone())),
            revocations: Arc::default(),
            feed_read: LastDone::default(),
        }
    }
}

/// What flows share.
pub(super) struct FlowParts<'a> {
    pub(super) store: &'a SqlStore,
    pub(super) vault: &'a Arc<DerivedKeyVault>,
    pub(super) limiter: Arc<dyn RateLimiter>,
    pub(super) gate: &'a Gate,
    pub(super) hasher: &'a Arc<Argon2Pool>,
    pub(super) attempts: &'a TaskTracker,
    pub(super) known: &'a Known,
    pub(super) counts: &'a Counts,
}

pub(super) fn flows(config: &Config, outside: &Outside, parts: &FlowParts<'_>) -> Flows {
    let Outside { clock, entropy } = outside;
    let FlowParts { store, vault, limiter, gate, hasher, attempts, known, counts } = parts;
    let wake = Wake::default();
    let blocklist = Arc::new(Blocklist::embedded());
    let organizations = Arc::new(Organizations::new(config.organizations.iter().cloned()));
    let Known { ring, revocations, feed_read } = Known::clone(known);
    let shared_store = Arc::new(SqlStore::clone(store));
    let mint = TokenMint::new(Arc::clone(vault) as _, Arc::clone(&ring) as _, Arc::clone(entropy));
    let (refusals, writer) =
        refusal_log(Arc::clone(&shared_store) as _, Arc::clone(&counts.refusals_dropped));
    let login = LoginFlow {
        gate: Gate::clone(gate),
        hasher: Arc::clone(hasher) as _,
        organizations: Arc::clone(&organizations),
        store: Arc::clone(&shared_store) as _,
        vault: Arc::clone(vault) as _,
        mint: mint.clone(),
        devices: Devices::new(Arc::clone(vault) as _, Arc::clone(entropy)),
        refusals: refusals.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        tasks: TaskTracker::clone(attempts),
    };
    let session = Arc::new(SessionFlow {
        organizations: Arc::clone(&organizations),
        store: Arc::clone(&shared_store) as _,
        access: Arc::clone(&ring) as _,
        revocations: Arc::clone(&revocations) as _,
        mint: mint.clone(),
        vault: Arc::clone(vault) as _,
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        reuse: counts.reuse.clone(),
    });
    let change_password = ChangePasswordFlow {
        gate: Gate::clone(gate),
        hasher: Arc::clone(hasher) as _,
        blocklist: Arc::clone(&blocklist),
        organizations: Arc::clone(&organizations),
        sessions: Arc::clone(&session),
        store: Arc::clone(&shared_store) as _,
        vault: Arc::clone(vault) as _,
        revocations: Arc::clone(&revocations) as _,
        refusals: refusals.clone(),
        wake: wake.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        tasks: TaskTracker::clone(attempts),
    };
    let password_reset = PasswordResetFlow {
        limiter: Arc::clone(limiter),
        gate: Gate::clone(gate),
        hasher: Arc::clone(hasher) as _,
        blocklist: Arc::clone(&blocklist),
        store: Arc::clone(&shared_store) as _,
        vault: Arc::clone(vault) as _,
        revocations: Arc::clone(&revocations) as _,
        refusals: refusals.clone(),
        sends_text_messages: parts::sends_text_messages(config),
        wake: wake.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        tasks: TaskTracker::clone(attempts),
    };
    let shared = staff::Shared {
        store: &shared_store,
        ring: &ring,
        revocations: &revocations,
        organizations: &organizations,
        blocklist,
        refusals: &refusals,
        wake: &wake,
    };
    let staff = staff::flows(config, outside, parts, shared);
    let keys = parts::signing_keys(SqlStore::clone(store), Arc::clone(vault), Arc::clone(&ring), outside);
    let upkeep = Upkeep {
        store: shared_store,
        revocations,
        organizations: Arc::clone(&organizations),
        keys: Arc::new(keys),
        clock: Arc::clone(clock),
        feed_read,
    };
    Flows {
        login: Arc::new(login),
        session,
        change_password: Arc::new(change_password),
        password_reset: Arc::new(password_reset),
        wake,
        upkeep,
        refusals: writer,
        refusal_log: refusals,
        organizations,
        mint,
        staff,
    }
}
