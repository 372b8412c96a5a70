//! Finding guardians.

use jiff::civil::Date;
use tonic::{Request, Response, Status};

use super::{GuardianHandlers, wire_state};
use crate::domain::id::ChildId;
use crate::domain::organization::Organization;
use crate::flows::guardian_search::{Error, Query};
use crate::grpc::at_work::at_work;
use crate::grpc::context::open;
use crate::grpc::fields::Faults;
use crate::grpc::login::login_name;
use crate::grpc::name_words::{foreign_page_token, name_words, page};
use crate::ports::store::GuardianSummary;
use crate::proto;
use crate::proto::search_guardians_request::By;

use super::identifiers::national_id;

pub(super) async fn search_guardians(
    handlers: &GuardianHandlers,
    request: Request<proto::SearchGuardiansRequest>,
) -> Result<Response<proto::SearchGuardiansResponse>, Status> {
    let (context, message) = open(request)?;
    let work = at_work(&context, &message.organization)?;
    let today = handlers.search.parts.today().map_err(|error| context.port_failed(&error))?;
    let mut faults = Faults::default();
    let query =
        faults.required("by", message.by).and_then(|by| query(&mut faults, &work.organization, by, today));
    let page = page(&mut faults, message.page_size, &message.page_token);
    let (Some(query), Some(page)) = (query, page) else { return Err(faults.refuse()) };
    let found = handlers.search.guardians(&work, &query, &page).await.map_err(|error| match error {
        Error::PageToken => foreign_page_token().refuse(),
        Error::Port(error) => context.port_failed(&error),
    })?;
    Ok(Response::new(proto::SearchGuardiansResponse {
        guardians: found.rows.into_iter().map(summary).collect(),
        next_page_token: found.next.unwrap_or_default(),
    }))
}

fn query(faults: &mut Faults, organization: &Organization, by: By, today: Date) -> Option<Query> {
    match by {
        By::Name(typed) => name_words(faults, "name", &typed).map(Query::Name),
        By::NationalId(typed) => {
            national_id(faults, "national_id", organization, typed, today).map(Query::NationalId)
        }
        By::LoginName(typed) => login_name(faults, "login_name", organization, typed).map(Query::LoginName),
        By::ChildName(typed) => name_words(faults, "child_name", &typed).map(Query::ChildName),
        By::ChildId(id) => faults.parsed("child_id", &id, ChildId::parse).map(Query::Child),
    }
}

/// A guardian in a list, on the wire.
pub(super) fn summary(found: GuardianSummary) -> proto::GuardianSummary {
    proto::GuardianSummary {
        guardian_id: found.id.as_str().to_owned(),
        given_name: found.given_name,
        family_name: found.family_name,
        state: wire_state(found.state).into(),
        children: found.children,
    }
}
