//! Locking and unlocking accounts.

use tonic::{Request, Response, Status};

use super::GuardianHandlers;
use crate::grpc::status;
use crate::proto;

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn lock_guardian(
    _handlers: &GuardianHandlers,
    _request: Request<proto::LockGuardianRequest>,
) -> Result<Response<proto::LockGuardianResponse>, Status> {
    Err(status::method_unknown())
}

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn unlock_guardian(
    _handlers: &GuardianHandlers,
    _request: Request<proto::UnlockGuardianRequest>,
) -> Result<Response<proto::UnlockGuardianResponse>, Status> {
    Err(status::method_unknown())
}
