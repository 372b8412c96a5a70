//! `ChildService`: one room a story.

use tonic::{Request, Response, Status};

use crate::flows::guardian_search::GuardianSearchFlow;
use crate::flows::staff_parts::StaffParts;
use crate::proto;
use crate::proto::child_service_server::ChildService;

mod merges;
mod search;

pub(super) use search::wire_school;

/// The service over its flows.
pub struct ChildHandlers {
    search: GuardianSearchFlow,
}

impl ChildHandlers {
    /// Over what the flows of staff share.
    pub const fn new(parts: StaffParts) -> Self {
        Self { search: GuardianSearchFlow { parts } }
    }
}

#[tonic::async_trait]
impl ChildService for ChildHandlers {
    async fn search_children(
        &self,
        request: Request<proto::SearchChildrenRequest>,
    ) -> Result<Response<proto::SearchChildrenResponse>, Status> {
        search::search_children(self, request).await
    }

    async fn find_duplicate_children(
        &self,
        request: Request<proto::FindDuplicateChildrenRequest>,
    ) -> Result<Response<proto::FindDuplicateChildrenResponse>, Status> {
        merges::find_duplicate_children(self, request).await
    }

    async fn merge_children(
        &self,
        request: Request<proto::MergeChildrenRequest>,
    ) -> Result<Response<proto::MergeChildrenResponse>, Status> {
        merges::merge_children(self, request).await
    }

    async fn undo_merge_children(
        &self,
        request: Request<proto::UndoMergeChildrenRequest>,
    ) -> Result<Response<proto::UndoMergeChildrenResponse>, Status> {
        merges::undo_merge_children(self, request).await
    }
}
