//! Accounts that are there twice, and what persons may ask for.

use tonic::{Request, Response, Status};

use super::GuardianHandlers;
use crate::grpc::status;
use crate::proto;

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn find_duplicates(
    _handlers: &GuardianHandlers,
    _request: Request<proto::FindDuplicatesRequest>,
) -> Result<Response<proto::FindDuplicatesResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn merge_guardians(
    _handlers: &GuardianHandlers,
    _request: Request<proto::MergeGuardiansRequest>,
) -> Result<Response<proto::MergeGuardiansResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn undo_merge(
    _handlers: &GuardianHandlers,
    _request: Request<proto::UndoMergeRequest>,
) -> Result<Response<proto::UndoMergeResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn export_guardian(
    _handlers: &GuardianHandlers,
    _request: Request<proto::ExportGuardianRequest>,
) -> Result<Response<proto::ExportGuardianResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn erase_guardian(
    _handlers: &GuardianHandlers,
    _request: Request<proto::EraseGuardianRequest>,
) -> Result<Response<proto::EraseGuardianResponse>, Status> {
    Err(status::method_unknown())
}
