//! `FallbackCredentialService`: wire messages to credentials that staff issue, outcomes to answers.

use std::sync::Arc;
use std::time::Duration;

use prost::Message as _;
use tonic::{Request, Response, Status};

use crate::domain::fallback_credential::{ActivationEnd, ActivationState, sheet_lifetime};
use crate::domain::id::GuardianId;
use crate::domain::login_password::AccountState;
use crate::domain::message::Channel;
use crate::domain::organization::{Organization, Portal};
use crate::domain::passphrase::Locale;
use crate::flows::duty::AtWork;
use crate::flows::fallback_credential::{By, Error, FallbackCredentialFlow, Issue, Listed, Wanted};
use crate::flows::gate::Refusal;
use crate::ports::error::PortError;
use crate::proto;
use crate::proto::fallback_credential_service_server::FallbackCredentialService;
use crate::proto::issue_fallback_credential_request::Delivery;

use super::at_work::{at_work, refused, request_key, wire_portal};
use super::context::{CallerContext, open};
use super::fields::Faults;
use super::login::{MAX_LOCALE_BYTES, timestamp};
use super::session::count;
use super::status::{self, FaultReason};

/// Longest page token that is looked at.
const MAX_PAGE_TOKEN_BYTES: usize = 512;

/// The service over its flow.
pub struct FallbackCredentialHandlers {
    flow: Arc<FallbackCredentialFlow>,
}

impl FallbackCredentialHandlers {
    /// Over the flow of fallback credentials.
    pub fn new(flow: Arc<FallbackCredentialFlow>) -> Self {
        Self { flow }
    }
}

#[tonic::async_trait]
impl FallbackCredentialService for FallbackCredentialHandlers {
    async fn issue_fallback_credential(
        &self,
        request: Request<proto::IssueFallbackCredentialRequest>,
    ) -> Result<Response<proto::IssueFallbackCredentialResponse>, Status> {
        let (context, message) = open(request)?;
        let work = at_work(&context, &message.organization)?;
        let issue = parse_issue(&context, &work, message)?;
        let issued = self.flow.issue(&work, issue).await.map_err(|error| failed(&context, &work, error))?;
        let mut answer = proto::IssueFallbackCredentialResponse {
            credential_id: issued.id.as_str().to_owned(),
            user_name: issued.user_name.as_str().to_owned(),
            expire_time: Some(timestamp(issued.expires)),
            ..Default::default()
        };
        if let Some(sheet) = issued.sheet {
            answer.activation_code.clone_from(sheet.code.expose());
            answer.activation_url = sheet.url.map(|url| url.expose().clone()).unwrap_or_default();
            answer.sheet_text.clone_from(sheet.text.expose());
        }
        Ok(Response::new(answer))
    }

    async fn revoke_fallback_credential(
        &self,
        request: Request<proto::RevokeFallbackCredentialRequest>,
    ) -> Result<Response<proto::RevokeFallbackCredentialResponse>, Status> {
        let (context, message) = open(request)?;
        let mut work = at_work(&context, &message.organization)?;
        let mut faults = Faults::default();
        let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
        let portal = guardian_portal(&mut faults, &work.organization, message.portal);
        let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
        let (Some(key), Some(portal), Some(guardian)) = (key, portal, guardian) else {
            return Err(faults.refuse());
        };
        work.request = key;
        let ended = self.flow.revoke(&work, &guardian, portal).await;
        let ended = ended.map_err(|error| failed(&context, &work, error))?;
        Ok(Response::new(proto::RevokeFallbackCredentialResponse { ended_session_count: count(ended) }))
    }

    async fn list_fallback_credentials(
        &self,
        request: Request<proto::ListFallbackCredentialsRequest>,
    ) -> Result<Response<proto::ListFallbackCredentialsResponse>, Status> {
        let (context, message) = open(request)?;
        let work = at_work(&context, &message.organization)?;
        let mut faults = Faults::default();
        let guardian = faults.optional_parsed("guardian_id", &message.guardian_id, GuardianId::parse);
        let size = faults.page_size("page_size", message.page_size);
        let page_token = faults.optional_text("page_token", message.page_token, MAX_PAGE_TOKEN_BYTES);
        let (Some(guardian), Some(size), Some(page_token)) = (guardian, size, page_token) else {
            return Err(faults.refuse());
        };
        let wanted = Wanted {
            guardian,
            only_waiting: message.only_waiting,
            page_size: u32::from(size),
            page_token: Some(page_token).filter(|text| !text.is_empty()),
        };
        let page = self.flow.list(&work, wanted).await.map_err(|error| failed(&context, &work, error))?;
        Ok(Response::new(proto::ListFallbackCredentialsResponse {
            credentials: page.credentials.iter().map(listed).collect(),
            next_page_token: page.next.unwrap_or_default(),
        }))
    }

    async fn approve_issuing(
        &self,
        request: Request<proto::ApproveIssuingRequest>,
    ) -> Result<Response<proto::ApproveIssuingResponse>, Status> {
        let (context, message) = open(request)?;
        let mut work = at_work(&context, &message.organization)?;
        let mut faults = Faults::default();
        let key = request_key(&mut faults, &context, &message.request_id, &message.encode_to_vec());
        let colleague = faults.parsed("staff_id", &message.staff_id, GuardianId::parse);
        let (Some(key), Some(colleague)) = (key, colleague) else { return Err(faults.refuse()) };
        work.request = key;
        let until = self.flow.approve(&work, &colleague).await;
        let until = until.map_err(|error| failed(&context, &work, error))?;
        Ok(Response::new(proto::ApproveIssuingResponse { expire_time: Some(timestamp(until)) }))
    }
}

fn parse_issue(
    context: &CallerContext,
    work: &AtWork,
    message: proto::IssueFallbackCredentialRequest,
) -> Result<Issue, Status> {
    let mut faults = Faults::default();
    let portal = guardian_portal(&mut faults, &work.organization, message.portal);
    let guardian = faults.parsed("guardian_id", &message.guardian_id, GuardianId::parse);
    let by = faults.required("delivery", message.delivery).and_then(|delivery| by(&mut faults, &delivery));
    let locale = faults.optional_text("locale", message.locale, MAX_LOCALE_BYTES);
    let (Some(portal), Some(guardian), Some(by), Some(locale)) = (portal, guardian, by, locale) else {
        return Err(faults.refuse());
    };
    let locale = (!locale.is_empty()).then(|| Locale::from_tag(&locale));
    Ok(Issue { portal, guardian, by, locale, deadline: context.deadline })
}

/// A portal of the organization that guardians log in at.
fn guardian_portal(faults: &mut Faults, organization: &Organization, portal: i32) -> Option<Portal> {
    let portal = faults.portal("portal", portal)?;
    let is_guardians = match portal {
        Portal::Parent | Portal::Childminder => organization.portals.contains(&portal),
        Portal::Staff => false,
    };
    if !is_guardians {
        let description = "not a portal that guardians of the organization log in at";
        faults.add("portal", FaultReason::NotAllowed, description);
        return None;
    }
    Some(portal)
}

fn by(faults: &mut Faults, delivery: &Delivery) -> Option<By> {
    match delivery {
        Delivery::Sheet(sheet) => {
            // What is no span, as one under zero, is too short.
            let asked = sheet.lifetime.map(|span| Duration::try_from(span).unwrap_or_default());
            let lifetime = sheet_lifetime(asked);
            if lifetime.is_none() {
                faults.add("sheet.lifetime", FaultReason::OutOfRange, "1 hour to 30 days");
            }
            lifetime.map(By::Sheet)
        }
        Delivery::Link(link) => match proto::ContactChannel::try_from(link.channel) {
            Ok(proto::ContactChannel::Email) => Some(By::Link(Channel::Email)),
            Ok(proto::ContactChannel::Sms) => Some(By::Link(Channel::Sms)),
            Ok(proto::ContactChannel::Unspecified) => {
                faults.add("link.channel", FaultReason::Missing, "required");
                None
            }
            Err(_) => {
                faults.add("link.channel", FaultReason::OutOfRange, "no such channel");
                None
            }
        },
    }
}

fn listed(listed: &Listed) -> proto::FallbackCredential {
    use proto::FallbackCredentialState as Wire;
    let state = match listed.state {
        ActivationState::Waiting => Wire::Waiting,
        ActivationState::Expired => Wire::Expired,
        ActivationState::Ended(ActivationEnd::Used) => Wire::Activated,
        ActivationState::Ended(ActivationEnd::Replaced) => Wire::Replaced,
        ActivationState::Ended(ActivationEnd::Revoked) => Wire::Revoked,
        ActivationState::Ended(ActivationEnd::Exhausted) => Wire::Exhausted,
    };
    let issued = &listed.issued;
    proto::FallbackCredential {
        credential_id: issued.id.as_str().to_owned(),
        guardian_id: issued.guardian.as_str().to_owned(),
        portal: wire_portal(issued.portal).into(),
        state: state.into(),
        issuing_staff_id: issued
            .issued_by
            .as_ref()
            .map(|staff| staff.as_str().to_owned())
            .unwrap_or_default(),
        issue_time: Some(timestamp(issued.issued)),
        expire_time: Some(timestamp(issued.expires)),
    }
}

fn failed(context: &CallerContext, work: &AtWork, error: Error) -> Status {
    match error {
        Error::Refused(why) => refused(work, why),
        Error::NoGuardian => status::not_found("guardian_id"),
        Error::NoColleague => status::not_found("staff_id"),
        Error::NotActive(state) => status::state_conflict(match state {
            AccountState::Active => "account_active",
            AccountState::Locked => "account_locked",
            AccountState::Merged => "account_merged",
            AccountState::Erased => "account_erased",
        }),
        Error::NotConfirmed => status::link_not_confirmed(),
        Error::NeedsApproval(limit) => status::issuing_needs_approval(&work.on_duty.staff, limit),
        Error::NoContact => status::state_conflict("no_usable_contact"),
        Error::NoPage => not_allowed(
            "link",
            "the portal has no page for links: hand over a sheet, or configure `pages.….activation`",
        ),
        Error::NoWay => {
            not_allowed("link.channel", "there is no way for messages by this channel: hand over a sheet")
        }
        Error::Oneself => not_allowed("staff_id", "nobody approves for oneself: ask another administrator"),
        Error::PageToken => {
            let mut faults = Faults::default();
            let description = "not a page token of this list: begin at the first page";
            faults.add("page_token", FaultReason::Malformed, description);
            faults.refuse()
        }
        Error::Gate(refusal) => match refusal {
            Refusal::RateLimited { retry_after } => status::rate_limited(retry_after, None),
            Refusal::Overloaded { retry_after } => status::overloaded(retry_after, None),
            Refusal::Expired => status::deadline_exceeded(),
            Refusal::Failed(detail) => {
                let detail = detail.to_owned();
                context.port_failed(&PortError::Unavailable { dependency: "hashing pool", detail })
            }
        },
        Error::Port(error) => context.port_failed(&error),
    }
}

fn not_allowed(field: &'static str, description: &'static str) -> Status {
    let mut faults = Faults::default();
    faults.add(field, FaultReason::NotAllowed, description);
    faults.refuse()
}
