//! Logins with an eID.

#![allow(unused_variables, clippy::todo, reason = "contract")]
use async_trait::async_trait;

use crate::domain::audit::Event;
use crate::domain::eid_login::EidAccount;
use crate::domain::id::BankIdLoginId;
use crate::domain::organization::OrganizationId;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::store::{
    BankIdOrder, CollectorLease, DeniedEidLogin, EidLoginStore, EidOpenOutcome, LoginBankIdStore,
    LoginOidcStore, NewEidSession, OidcAttempt, Progress, TakenAttempt,
};

use super::SqlStore;

#[async_trait]
impl EidLoginStore for SqlStore {
    async fn eid_accounts(
        &self,
        organization: &OrganizationId,
        digests: &[[u8; 32]],
    ) -> Result<Vec<EidAccount>, PortError> {
        todo!()
    }
    async fn family_names(
        &self,
        organization: &OrganizationId,
        digests: &[[u8; 32]],
    ) -> Result<Vec<String>, PortError> {
        todo!()
    }
    async fn open_eid_session(&self, new: &NewEidSession) -> Result<EidOpenOutcome, PortError> {
        todo!()
    }
    async fn deny_eid_login(&self, denied: &DeniedEidLogin) -> Result<bool, PortError> {
        todo!()
    }
    async fn sweep_evidence(&self, now: Timestamp) -> Result<u64, PortError> {
        todo!()
    }
}

#[async_trait]
impl LoginOidcStore for SqlStore {
    async fn add_oidc_attempt(&self, attempt: &OidcAttempt) -> Result<(), PortError> {
        todo!()
    }
    async fn take_oidc_attempt(
        &self,
        states: &[[u8; 32]],
        bindings: &[[u8; 32]],
    ) -> Result<TakenAttempt, PortError> {
        todo!()
    }
    async fn sweep_oidc_attempts(&self, before: Timestamp) -> Result<u64, PortError> {
        todo!()
    }
}

#[async_trait]
impl LoginBankIdStore for SqlStore {
    async fn add_bankid_order(&self, order: &BankIdOrder, lease: &CollectorLease) -> Result<(), PortError> {
        todo!()
    }
    async fn bankid_order(&self, id: &BankIdLoginId) -> Result<Option<BankIdOrder>, PortError> {
        todo!()
    }
    async fn bankid_orders(&self, ids: &[BankIdLoginId]) -> Result<Vec<BankIdOrder>, PortError> {
        todo!()
    }
    async fn lease_bankid_orders(
        &self,
        lease: &CollectorLease,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<BankIdOrder>, PortError> {
        todo!()
    }
    async fn renew_bankid_leases(&self, lease: &CollectorLease) -> Result<Vec<BankIdLoginId>, PortError> {
        todo!()
    }
    async fn release_bankid_orders(&self, collector: &str, now: Timestamp) -> Result<(), PortError> {
        todo!()
    }
    async fn note_bankid_progress(
        &self,
        id: &BankIdLoginId,
        collector: &str,
        progress: &Progress,
    ) -> Result<bool, PortError> {
        todo!()
    }
    async fn cancel_bankid_order(&self, id: &BankIdLoginId, event: &Event) -> Result<bool, PortError> {
        todo!()
    }
    async fn count_bankid_orders(&self) -> Result<u64, PortError> {
        todo!()
    }
    async fn sweep_bankid_orders(&self, before: Timestamp) -> Result<u64, PortError> {
        todo!()
    }
}
