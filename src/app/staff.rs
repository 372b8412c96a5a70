//! The flows of staff over their parts, and their services over the flows.

use std::sync::Arc;

use tonic::service::Routes;

use super::flows::FlowParts;
use super::{Outside, parts};
use crate::adapters::access_tokens::JwtKeyring;
use crate::adapters::revocations::RecentRevocations;
use crate::adapters::store::SqlStore;
use crate::config::Config;
use crate::domain::password::Blocklist;
use crate::flows::activate_credential::ActivateCredentialFlow;
use crate::flows::duty::Duty;
use crate::flows::fallback_credential::FallbackCredentialFlow;
use crate::flows::organizations::Organizations;
use crate::flows::outbox::Wake;
use crate::flows::refusal_log::RefusalLog;
use crate::flows::staff_accounts::StaffAccounts;
use crate::flows::staff_parts::StaffParts;
use crate::grpc::child::ChildHandlers;
use crate::grpc::fallback_credential::FallbackCredentialHandlers;
use crate::grpc::guardian::GuardianHandlers;
use crate::grpc::staff::StaffHandlers;
use crate::proto::child_service_server::ChildServiceServer;
use crate::proto::fallback_credential_service_server::FallbackCredentialServiceServer;
use crate::proto::guardian_service_server::GuardianServiceServer;
use crate::proto::staff_service_server::StaffServiceServer;

/// What the handlers of staff are made of.
pub(super) struct StaffFlows {
    pub(super) duty: Arc<Duty>,
    /// Guardians choose passwords with what staff issue: a part of `LoginService`.
    pub(super) activate_credential: Arc<ActivateCredentialFlow>,
    accounts: Arc<StaffAccounts>,
    fallback_credential: Arc<FallbackCredentialFlow>,
    parts: StaffParts,
}

/// What the flows of staff share with the others.
pub(super) struct Shared<'a> {
    pub(super) store: &'a Arc<SqlStore>,
    pub(super) ring: &'a Arc<JwtKeyring>,
    pub(super) revocations: &'a Arc<RecentRevocations>,
    pub(super) organizations: &'a Arc<Organizations>,
    pub(super) blocklist: Arc<Blocklist>,
    pub(super) refusals: &'a RefusalLog,
    pub(super) wake: &'a Wake,
}

impl StaffFlows {
    /// Adds the services of staff.
    pub(super) fn add_to(&self, routes: Routes, max_request_bytes: usize) -> Routes {
        let guardian = GuardianServiceServer::new(GuardianHandlers::new(self.parts.clone()));
        let child = ChildServiceServer::new(ChildHandlers::new(self.parts.clone()));
        let staff = StaffServiceServer::new(StaffHandlers::new(Arc::clone(&self.accounts)));
        let credentials = FallbackCredentialHandlers::new(Arc::clone(&self.fallback_credential));
        let credentials = FallbackCredentialServiceServer::new(credentials);
        routes
            .add_service(guardian.max_decoding_message_size(max_request_bytes))
            .add_service(child.max_decoding_message_size(max_request_bytes))
            .add_service(staff.max_decoding_message_size(max_request_bytes))
            .add_service(credentials.max_decoding_message_size(max_request_bytes))
    }
}

pub(super) fn flows(
    config: &Config,
    outside: &Outside,
    parts: &FlowParts<'_>,
    shared: Shared<'_>,
) -> StaffFlows {
    let Outside { clock, entropy } = outside;
    let FlowParts { store: _, vault, limiter, gate, hasher, attempts, .. } = parts;
    let Shared { store, ring, revocations, organizations, blocklist, refusals, wake } = shared;
    let sends_text_messages = parts::sends_text_messages(config);
    let duty = Duty {
        access: Arc::clone(ring) as _,
        revocations: Arc::clone(revocations) as _,
        store: Arc::clone(store) as _,
        organizations: Arc::clone(organizations),
        vault: Arc::clone(vault) as _,
        clock: Arc::clone(clock),
    };
    let accounts = StaffAccounts {
        store: Arc::clone(store) as _,
        vault: Arc::clone(vault) as _,
        revocations: Arc::clone(revocations) as _,
        sends_text_messages,
        wake: wake.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
    };
    let fallback_credential = FallbackCredentialFlow {
        gate: (*gate).clone(),
        hasher: Arc::clone(hasher) as _,
        store: Arc::clone(store) as _,
        vault: Arc::clone(vault) as _,
        revocations: Arc::clone(revocations) as _,
        wake: wake.clone(),
        sends_text_messages,
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
    };
    let activate_credential = ActivateCredentialFlow {
        limiter: Arc::clone(limiter),
        gate: (*gate).clone(),
        hasher: Arc::clone(hasher) as _,
        blocklist,
        organizations: Arc::clone(organizations),
        store: Arc::clone(store) as _,
        vault: Arc::clone(vault) as _,
        revocations: Arc::clone(revocations) as _,
        refusals: refusals.clone(),
        sends_text_messages,
        wake: wake.clone(),
        clock: Arc::clone(clock),
        entropy: Arc::clone(entropy),
        tasks: (*attempts).clone(),
    };
    StaffFlows {
        duty: Arc::new(duty),
        activate_credential: Arc::new(activate_credential),
        accounts: Arc::new(accounts),
        fallback_credential: Arc::new(fallback_credential),
        parts: StaffParts {
            store: Arc::clone(store) as _,
            vault: Arc::clone(vault) as _,
            revocations: Arc::clone(revocations) as _,
            clock: Arc::clone(clock),
            entropy: Arc::clone(entropy),
        },
    }
}
