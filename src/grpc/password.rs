//! `PasswordService`: wire messages to changes of password, outcomes to answers.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::domain::password::Refusal;
use crate::domain::secret::Secret;
use crate::flows::attempt::Origin;
use crate::flows::change_password::{Change, ChangePasswordFlow, Error, Proof};
use crate::proto;
use crate::proto::change_password_request::Proof as WireProof;
use crate::proto::password_service_server::PasswordService;

use super::context::{CallerContext, open};
use super::fields::Faults;
use super::login::{attempt_failed, claimed_password};
use super::session::count;
use super::status::{self, FaultReason, FieldFault};

/// Longest access token that is looked at.
const MAX_ACCESS_TOKEN_BYTES: usize = 2048;
/// Longest change token that is looked at.
const MAX_CHANGE_TOKEN_BYTES: usize = 256;

/// The service over its flow.
pub struct PasswordHandlers {
    flow: Arc<ChangePasswordFlow>,
}

impl PasswordHandlers {
    /// Over the change-password flow.
    pub fn new(flow: Arc<ChangePasswordFlow>) -> Self {
        Self { flow }
    }
}

#[tonic::async_trait]
impl PasswordService for PasswordHandlers {
    async fn change_password(
        &self,
        request: Request<proto::ChangePasswordRequest>,
    ) -> Result<Response<proto::ChangePasswordResponse>, Status> {
        let (context, message) = open(request)?;
        let change = parse_change(&context, message)?;
        let ended = self.flow.change(change).await.map_err(|error| failed(&context, error))?;
        Ok(Response::new(proto::ChangePasswordResponse { ended_session_count: count(ended) }))
    }
}

fn parse_change(context: &CallerContext, message: proto::ChangePasswordRequest) -> Result<Change, Status> {
    let new_password = Secret::new(message.new_password);
    let mut faults = Faults::default();
    let proof = match faults.required("proof", message.proof) {
        Some(WireProof::Current(current)) => {
            let password = Secret::new(current.password);
            let token = faults.secret("current.access_token", current.access_token, MAX_ACCESS_TOKEN_BYTES);
            let password = claimed_password(&mut faults, "current.password", password);
            token.zip(password).map(|(access_token, password)| Proof::Current {
                access_token,
                password: password.into_secret(),
            })
        }
        Some(WireProof::ChangeToken(text)) => {
            faults.secret("change_token", text, MAX_CHANGE_TOKEN_BYTES).map(Proof::Ticket)
        }
        None => None,
    };
    let new_password = claimed_password(&mut faults, "new_password", new_password);
    let client = faults.client(context, message.client);
    let (Some(proof), Some(new_password), Some(client)) = (proof, new_password, client) else {
        return Err(faults.refuse());
    };
    let origin = Origin { caller: Arc::clone(&context.caller), client, deadline: context.deadline };
    Ok(Change { proof, new_password: new_password.into_secret(), origin })
}

fn failed(context: &CallerContext, error: Error) -> Status {
    match error {
        Error::Refused(refusals) => {
            let faults: Vec<FieldFault> = refusals.into_iter().map(new_password_fault).collect();
            status::password_refused(&faults)
        }
        Error::SessionInvalid => status::session_invalid(),
        Error::TicketInvalid(reference) => status::change_token_invalid(&reference),
        Error::Attempt(error) => attempt_failed(context, error),
    }
}

/// The same names as the domain's, as a violation of `new_password`.
pub(super) fn new_password_fault(refusal: Refusal) -> FieldFault {
    let (reason, description) = match refusal {
        Refusal::TooShort { .. } => (FaultReason::TooShort, "shorter than `PasswordRule.min_code_points`"),
        Refusal::TooLong => (FaultReason::TooLong, "at most 256 code points and 1,024 bytes"),
        Refusal::Common => (FaultReason::CommonPassword, "a common password: choose another"),
        Refusal::OrganizationWord => {
            (FaultReason::OrganizationWord, "a word of the organization: choose another")
        }
        Refusal::AccountName => (FaultReason::AccountName, "a name of the account: choose another"),
        Refusal::ControlCharacter => {
            (FaultReason::ControlCharacter, "holds a control character, such as a tab")
        }
        Refusal::SameAsCurrent => (FaultReason::SameAsCurrent, "the password that is in use: choose another"),
    };
    FieldFault { field: "new_password", reason, description }
}
