//! Finding guardians.

use tonic::{Request, Response, Status};

use super::GuardianHandlers;
use crate::grpc::status;
use crate::proto;

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn search_guardians(
    _handlers: &GuardianHandlers,
    _request: Request<proto::SearchGuardiansRequest>,
) -> Result<Response<proto::SearchGuardiansResponse>, Status> {
    Err(status::method_unknown())
}
