//! Finding children.

use tonic::{Request, Response, Status};

use super::ChildHandlers;
use crate::grpc::status;
use crate::proto;

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn search_children(
    _handlers: &ChildHandlers,
    _request: Request<proto::SearchChildrenRequest>,
) -> Result<Response<proto::SearchChildrenResponse>, Status> {
    Err(status::method_unknown())
}
