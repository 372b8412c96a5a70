//! Looking at one guardian.

use tonic::{Request, Response, Status};

use super::GuardianHandlers;
use crate::grpc::status;
use crate::proto;

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn get_guardian(
    _handlers: &GuardianHandlers,
    _request: Request<proto::GetGuardianRequest>,
) -> Result<Response<proto::GetGuardianResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn show_national_ids(
    _handlers: &GuardianHandlers,
    _request: Request<proto::ShowNationalIdsRequest>,
) -> Result<Response<proto::ShowNationalIdsResponse>, Status> {
    Err(status::method_unknown())
}
