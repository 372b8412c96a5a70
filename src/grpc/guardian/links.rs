//! Links between guardians and children.

use tonic::{Request, Response, Status};

use super::GuardianHandlers;
use crate::grpc::status;
use crate::proto;

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn add_child_link(
    _handlers: &GuardianHandlers,
    _request: Request<proto::AddChildLinkRequest>,
) -> Result<Response<proto::AddChildLinkResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn confirm_child_link(
    _handlers: &GuardianHandlers,
    _request: Request<proto::ConfirmChildLinkRequest>,
) -> Result<Response<proto::ConfirmChildLinkResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn remove_child_link(
    _handlers: &GuardianHandlers,
    _request: Request<proto::RemoveChildLinkRequest>,
) -> Result<Response<proto::RemoveChildLinkResponse>, Status> {
    Err(status::method_unknown())
}
