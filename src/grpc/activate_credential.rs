//! `LoginService.ActivateCredential`: a wire message to an attempt, its outcome to an answer.

use std::sync::Arc;

use tonic::Status;

use crate::domain::secret::Secret;
use crate::flows::activate_credential::{Activated, Attempt, Error, Proof};
use crate::flows::attempt::Origin;
use crate::proto;
use crate::proto::activate_credential_request::Proof as WireProof;

use super::access::authorize_fields;
use super::context::CallerContext;
use super::fields::Faults;
use super::login::{attempt_failed, claimed_password, login_name};
use super::password::new_password_fault;
use super::session::count;
use super::status::{self, FieldFault};

/// Longest code as typed; ours have ten characters and a dash.
const MAX_CODE_BYTES: usize = 64;
/// Longest token of a link that is looked at.
const MAX_LINK_TOKEN_BYTES: usize = 256;

pub(super) fn parse(
    context: &CallerContext,
    message: proto::ActivateCredentialRequest,
) -> Result<Attempt, Status> {
    let new_password = Secret::new(message.new_password);
    let (organization, portal) = authorize_fields(context, &message.organization, message.portal)?;
    let mut faults = Faults::default();
    let proof = match faults.required("proof", message.proof) {
        Some(WireProof::Code(typed)) => {
            let code = faults.secret("code.code", typed.code, MAX_CODE_BYTES);
            let user_name = login_name(&mut faults, "code.user_name", &organization, typed.user_name);
            user_name.zip(code).map(|(user_name, code)| Proof::Code { user_name, code })
        }
        Some(WireProof::LinkToken(token)) => {
            faults.secret("link_token", token, MAX_LINK_TOKEN_BYTES).map(Proof::Token)
        }
        None => None,
    };
    let new_password = claimed_password(&mut faults, "new_password", new_password);
    let client = faults.client(context, message.client);
    let (Some(proof), Some(new_password), Some(client)) = (proof, new_password, client) else {
        return Err(faults.refuse());
    };
    let origin = Origin { caller: Arc::clone(&context.caller), client, deadline: context.deadline };
    Ok(Attempt { organization, portal, proof, new_password: new_password.into_secret(), origin })
}

pub(super) fn answer(activated: Activated) -> proto::ActivateCredentialResponse {
    proto::ActivateCredentialResponse {
        user_name: activated.user_name.map(|name| name.as_str().to_owned()).unwrap_or_default(),
        ended_session_count: count(activated.ended),
    }
}

pub(super) fn failed(context: &CallerContext, error: Error) -> Status {
    match error {
        Error::Refused(refusals) => {
            let faults: Vec<FieldFault> = refusals.into_iter().map(new_password_fault).collect();
            status::password_refused(&faults)
        }
        Error::Attempt(error) => attempt_failed(context, error),
    }
}
