//! `GuardianService`: one room a story.

use tonic::{Request, Response, Status};

use super::at_work::refused;
use super::context::CallerContext;
use super::status;
use crate::domain::login_password::AccountState;
use crate::flows::audit_events::AuditEventsFlow;
use crate::flows::child_links::ChildLinkFlow;
use crate::flows::duty::AtWork;
use crate::flows::guardian_change::Error;
use crate::flows::guardian_locks::GuardianLockFlow;
use crate::flows::guardian_record::GuardianRecordFlow;
use crate::flows::guardian_search::GuardianSearchFlow;
use crate::flows::identifiers::IdentifierFlow;
use crate::flows::staff_parts::StaffParts;
use crate::proto;
use crate::proto::guardian_service_server::GuardianService;

mod contracts;
mod events;
mod identifiers;
mod links;
mod locks;
mod merges;
mod record;
mod search;

pub(in crate::grpc) use merges::{Fields, not_found_duplicates, not_merged};

/// The service over its flows.
pub struct GuardianHandlers {
    search: GuardianSearchFlow,
    record: GuardianRecordFlow,
    links: ChildLinkFlow,
    identifiers: IdentifierFlow,
    locks: GuardianLockFlow,
    events: AuditEventsFlow,
    parts: StaffParts,
}

impl GuardianHandlers {
    /// Over what the flows of staff share.
    pub fn new(parts: StaffParts) -> Self {
        Self {
            search: GuardianSearchFlow { parts: parts.clone() },
            record: GuardianRecordFlow { parts: parts.clone() },
            links: ChildLinkFlow { parts: parts.clone() },
            identifiers: IdentifierFlow { parts: parts.clone() },
            locks: GuardianLockFlow { parts: parts.clone() },
            events: AuditEventsFlow { parts: parts.clone() },
            parts,
        }
    }
}

/// The answer to a change of a guardian that was not made.
fn change_failed(context: &CallerContext, work: &AtWork, error: Error) -> Status {
    match error {
        Error::Refused(why) => refused(work, why),
        Error::NoGuardian => status::not_found("guardian_id"),
        Error::NoChild => status::not_found("child_id"),
        Error::LinkRemoved => status::state_conflict("link_removed"),
        Error::Merged => status::state_conflict("account_merged"),
        Error::Erased => status::state_conflict("account_erased"),
        Error::Port(error) => context.port_failed(&error),
    }
}

/// What an account may do, on the wire.
const fn wire_state(state: AccountState) -> proto::GuardianState {
    match state {
        AccountState::Active => proto::GuardianState::Active,
        AccountState::Locked => proto::GuardianState::Locked,
        AccountState::Merged => proto::GuardianState::Merged,
        AccountState::Erased => proto::GuardianState::Erased,
    }
}

#[tonic::async_trait]
impl GuardianService for GuardianHandlers {
    async fn search_guardians(
        &self,
        request: Request<proto::SearchGuardiansRequest>,
    ) -> Result<Response<proto::SearchGuardiansResponse>, Status> {
        search::search_guardians(self, request).await
    }

    async fn get_guardian(
        &self,
        request: Request<proto::GetGuardianRequest>,
    ) -> Result<Response<proto::GetGuardianResponse>, Status> {
        record::get_guardian(self, request).await
    }

    async fn show_national_ids(
        &self,
        request: Request<proto::ShowNationalIdsRequest>,
    ) -> Result<Response<proto::ShowNationalIdsResponse>, Status> {
        record::show_national_ids(self, request).await
    }

    async fn add_child_link(
        &self,
        request: Request<proto::AddChildLinkRequest>,
    ) -> Result<Response<proto::AddChildLinkResponse>, Status> {
        links::add_child_link(self, request).await
    }

    async fn confirm_child_link(
        &self,
        request: Request<proto::ConfirmChildLinkRequest>,
    ) -> Result<Response<proto::ConfirmChildLinkResponse>, Status> {
        links::confirm_child_link(self, request).await
    }

    async fn remove_child_link(
        &self,
        request: Request<proto::RemoveChildLinkRequest>,
    ) -> Result<Response<proto::RemoveChildLinkResponse>, Status> {
        links::remove_child_link(self, request).await
    }

    async fn confirm_contract(
        &self,
        request: Request<proto::ConfirmContractRequest>,
    ) -> Result<Response<proto::ConfirmContractResponse>, Status> {
        contracts::confirm_contract(self, request).await
    }

    async fn remove_contract(
        &self,
        request: Request<proto::RemoveContractRequest>,
    ) -> Result<Response<proto::RemoveContractResponse>, Status> {
        contracts::remove_contract(self, request).await
    }

    async fn change_identifier(
        &self,
        request: Request<proto::ChangeIdentifierRequest>,
    ) -> Result<Response<proto::ChangeIdentifierResponse>, Status> {
        identifiers::change_identifier(self, request).await
    }

    async fn reject_number_proposal(
        &self,
        request: Request<proto::RejectNumberProposalRequest>,
    ) -> Result<Response<proto::RejectNumberProposalResponse>, Status> {
        identifiers::reject_number_proposal(self, request).await
    }

    async fn lock_guardian(
        &self,
        request: Request<proto::LockGuardianRequest>,
    ) -> Result<Response<proto::LockGuardianResponse>, Status> {
        locks::lock_guardian(self, request).await
    }

    async fn unlock_guardian(
        &self,
        request: Request<proto::UnlockGuardianRequest>,
    ) -> Result<Response<proto::UnlockGuardianResponse>, Status> {
        locks::unlock_guardian(self, request).await
    }

    async fn find_duplicates(
        &self,
        request: Request<proto::FindDuplicatesRequest>,
    ) -> Result<Response<proto::FindDuplicatesResponse>, Status> {
        merges::find_duplicates(self, request).await
    }

    async fn merge_guardians(
        &self,
        request: Request<proto::MergeGuardiansRequest>,
    ) -> Result<Response<proto::MergeGuardiansResponse>, Status> {
        merges::merge_guardians(self, request).await
    }

    async fn undo_merge(
        &self,
        request: Request<proto::UndoMergeRequest>,
    ) -> Result<Response<proto::UndoMergeResponse>, Status> {
        merges::undo_merge(self, request).await
    }

    async fn export_guardian(
        &self,
        request: Request<proto::ExportGuardianRequest>,
    ) -> Result<Response<proto::ExportGuardianResponse>, Status> {
        merges::export_guardian(self, request).await
    }

    async fn erase_guardian(
        &self,
        request: Request<proto::EraseGuardianRequest>,
    ) -> Result<Response<proto::EraseGuardianResponse>, Status> {
        merges::erase_guardian(self, request).await
    }

    async fn list_audit_events(
        &self,
        request: Request<proto::ListAuditEventsRequest>,
    ) -> Result<Response<proto::ListAuditEventsResponse>, Status> {
        events::list_audit_events(self, request).await
    }
}
