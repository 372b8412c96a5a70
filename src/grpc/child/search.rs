//! Finding children.

use tonic::{Request, Response, Status};

use super::ChildHandlers;
use crate::flows::guardian_search::Error;
use crate::grpc::at_work::at_work;
use crate::grpc::context::open;
use crate::grpc::fields::Faults;
use crate::grpc::name_words::{foreign_page_token, name_words, page};
use crate::ports::store::{ChildSummary, SchoolName};
use crate::proto;

pub(super) async fn search_children(
    handlers: &ChildHandlers,
    request: Request<proto::SearchChildrenRequest>,
) -> Result<Response<proto::SearchChildrenResponse>, Status> {
    let (context, message) = open(request)?;
    let work = at_work(&context, &message.organization)?;
    let mut faults = Faults::default();
    let words = name_words(&mut faults, "name", &message.name);
    let page = page(&mut faults, message.page_size, &message.page_token);
    let (Some(words), Some(page)) = (words, page) else { return Err(faults.refuse()) };
    let found = handlers.search.children(&work, &words, &page).await.map_err(|error| match error {
        Error::PageToken => foreign_page_token().refuse(),
        Error::Port(error) => context.port_failed(&error),
    })?;
    Ok(Response::new(proto::SearchChildrenResponse {
        children: found.rows.into_iter().map(summary).collect(),
        next_page_token: found.next.unwrap_or_default(),
    }))
}

fn summary(found: ChildSummary) -> proto::ChildSummary {
    proto::ChildSummary {
        child_id: found.id.as_str().to_owned(),
        given_name: found.given_name,
        family_name: found.family_name,
        school: Some(wire_school(found.school)),
    }
}

/// A school on the wire.
pub(in crate::grpc) fn wire_school(school: SchoolName) -> proto::School {
    proto::School { school_id: school.id.as_str().to_owned(), display_name: school.name }
}
