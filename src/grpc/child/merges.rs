//! Children that are there twice.

use tonic::{Request, Response, Status};

use super::ChildHandlers;
use crate::grpc::status;
use crate::proto;

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn find_duplicate_children(
    _handlers: &ChildHandlers,
    _request: Request<proto::FindDuplicateChildrenRequest>,
) -> Result<Response<proto::FindDuplicateChildrenResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn merge_children(
    _handlers: &ChildHandlers,
    _request: Request<proto::MergeChildrenRequest>,
) -> Result<Response<proto::MergeChildrenResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn undo_merge_children(
    _handlers: &ChildHandlers,
    _request: Request<proto::UndoMergeChildrenRequest>,
) -> Result<Response<proto::UndoMergeChildrenResponse>, Status> {
    Err(status::method_unknown())
}
