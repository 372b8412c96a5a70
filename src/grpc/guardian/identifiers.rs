//! Changing numbers.

use tonic::{Request, Response, Status};

use super::GuardianHandlers;
use crate::grpc::status;
use crate::proto;

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn change_identifier(
    _handlers: &GuardianHandlers,
    _request: Request<proto::ChangeIdentifierRequest>,
) -> Result<Response<proto::ChangeIdentifierResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn reject_number_proposal(
    _handlers: &GuardianHandlers,
    _request: Request<proto::RejectNumberProposalRequest>,
) -> Result<Response<proto::RejectNumberProposalResponse>, Status> {
    Err(status::method_unknown())
}
