//! What happened.

use tonic::{Request, Response, Status};

use super::GuardianHandlers;
use crate::grpc::status;
use crate::proto;

#[expect(clippy::unused_async, reason = "it will ask the store")]
pub(super) async fn list_audit_events(
    _handlers: &GuardianHandlers,
    _request: Request<proto::ListAuditEventsRequest>,
) -> Result<Response<proto::ListAuditEventsResponse>, Status> {
    Err(status::method_unknown())
}
