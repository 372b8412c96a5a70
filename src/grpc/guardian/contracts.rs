//! Childminders' contracts.

use tonic::{Request, Response, Status};

use super::GuardianHandlers;
use crate::grpc::status;
use crate::proto;

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn confirm_contract(
    _handlers: &GuardianHandlers,
    _request: Request<proto::ConfirmContractRequest>,
) -> Result<Response<proto::ConfirmContractResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn remove_contract(
    _handlers: &GuardianHandlers,
    _request: Request<proto::RemoveContractRequest>,
) -> Result<Response<proto::RemoveContractResponse>, Status> {
    Err(status::method_unknown())
}
