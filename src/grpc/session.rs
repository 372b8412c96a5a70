//! `SessionService`: wire messages to questions about sessions, outcomes to answers.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use crate::domain::id::SessionId;
use crate::domain::session::Session;
use crate::flows::session::{EndProof, Error, SessionFlow};
use crate::proto;
use crate::proto::session_service_server::SessionService;

use super::access::{authorize, authorize_fields};
use super::context::{CallerContext, open};
use super::fields::Faults;
use super::jwks::MAX_AGE_SECONDS;
use super::login::{session_tokens, timestamp};
use super::status::{self, FaultReason};

/// Longest access token that is looked at; ours have less than half of it.
const MAX_ACCESS_TOKEN_BYTES: usize = 2048;
/// Longest refresh token that is looked at.
const MAX_REFRESH_TOKEN_BYTES: usize = 256;
/// Longest page token that is looked at.
const MAX_PAGE_TOKEN_BYTES: usize = 512;

/// The service over its flow.
pub struct SessionHandlers {
    flow: Arc<SessionFlow>,
}

impl SessionHandlers {
    /// Over the session flow.
    pub fn new(flow: Arc<SessionFlow>) -> Self {
        Self { flow }
    }
}

#[tonic::async_trait]
impl SessionService for SessionHandlers {
    async fn verify_session(
        &self,
        request: Request<proto::VerifySessionRequest>,
    ) -> Result<Response<proto::VerifySessionResponse>, Status> {
        let (context, message) = open(request)?;
        let (organization, portal) = authorize_fields(&context, &message.organization, message.portal)?;
        let token = access_token(message.access_token)?;
        let claims = self
            .flow
            .verify(&context.caller, &token, &organization.id, portal)
            .map_err(|error| failed(&context, &error))?;
        Ok(Response::new(proto::VerifySessionResponse {
            guardian_id: claims.guardian.as_str().to_owned(),
            session_id: claims.session.as_str().to_owned(),
            authentication_methods: vec![claims.method.amr().to_owned()],
            authentication_class: claims.method.acr().to_owned(),
            authentication_time: Some(timestamp(claims.authenticated)),
            expire_time: Some(timestamp(claims.expires)),
        }))
    }

    async fn refresh_session(
        &self,
        request: Request<proto::RefreshSessionRequest>,
    ) -> Result<Response<proto::RefreshSessionResponse>, Status> {
        let (context, message) = open(request)?;
        let mut faults = Faults::default();
        let token = faults.secret("refresh_token", message.refresh_token, MAX_REFRESH_TOKEN_BYTES);
        let client = faults.client(&context, message.client);
        let (Some(token), Some(client)) = (token, client) else { return Err(faults.refuse()) };
        let tokens = self
            .flow
            .refresh(&context.caller, token.expose(), &client)
            .await
            .map_err(|error| failed(&context, &error))?;
        // For the request log; the flow has asked the same already.
        authorize(&context, &tokens.session.organization, tokens.session.portal)?;
        Ok(Response::new(proto::RefreshSessionResponse { session: Some(session_tokens(&tokens)) }))
    }

    async fn end_session(
        &self,
        request: Request<proto::EndSessionRequest>,
    ) -> Result<Response<proto::EndSessionResponse>, Status> {
        use proto::end_session_request::Token;
        let (context, message) = open(request)?;
        let mut faults = Faults::default();
        let token = match faults.required("token", message.token) {
            Some(Token::AccessToken(text)) => faults
                .secret("access_token", text, MAX_ACCESS_TOKEN_BYTES)
                .map(|text| Token::AccessToken(text.expose().clone())),
            Some(Token::RefreshToken(text)) => faults
                .secret("refresh_token", text, MAX_REFRESH_TOKEN_BYTES)
                .map(|text| Token::RefreshToken(text.expose().clone())),
            None => None,
        };
        let other = faults.optional_parsed("session_id", &message.session_id, SessionId::parse);
        let (Some(token), Some(other)) = (token, other) else { return Err(faults.refuse()) };
        let proof = match &token {
            Token::AccessToken(text) => EndProof::Access(text),
            Token::RefreshToken(text) => EndProof::Refresh(text),
        };
        let ended =
            self.flow.end(&context.caller, proof, other).await.map_err(|error| failed(&context, &error))?;
        Ok(Response::new(proto::EndSessionResponse { ended_count: count(ended) }))
    }

    async fn end_all_sessions(
        &self,
        request: Request<proto::EndAllSessionsRequest>,
    ) -> Result<Response<proto::EndAllSessionsResponse>, Status> {
        let (context, message) = open(request)?;
        let token = access_token(message.access_token)?;
        let ended =
            self.flow.end_all(&context.caller, &token).await.map_err(|error| failed(&context, &error))?;
        Ok(Response::new(proto::EndAllSessionsResponse { ended_count: count(ended) }))
    }

    async fn list_sessions(
        &self,
        request: Request<proto::ListSessionsRequest>,
    ) -> Result<Response<proto::ListSessionsResponse>, Status> {
        let (context, message) = open(request)?;
        let mut faults = Faults::default();
        let token = faults.secret("access_token", message.access_token, MAX_ACCESS_TOKEN_BYTES);
        let size = faults.page_size("page_size", message.page_size);
        let page_token = faults.optional_text("page_token", message.page_token, MAX_PAGE_TOKEN_BYTES);
        let (Some(token), Some(size), Some(page_token)) = (token, size, page_token) else {
            return Err(faults.refuse());
        };
        let page_token = Some(page_token.as_str()).filter(|text| !text.is_empty());
        let page = self
            .flow
            .list(&context.caller, token.expose(), u32::from(size), page_token)
            .await
            .map_err(|error| failed(&context, &error))?;
        let sessions = page.sessions.iter().map(|session| summary(session, &page.current)).collect();
        Ok(Response::new(proto::ListSessionsResponse {
            sessions,
            next_page_token: page.next.unwrap_or_default(),
        }))
    }

    async fn get_signing_keys(
        &self,
        request: Request<proto::GetSigningKeysRequest>,
    ) -> Result<Response<proto::GetSigningKeysResponse>, Status> {
        let (_, _) = open(request)?;
        let keys = self.flow.signing_keys().keys.into_iter().map(|(kid, public)| proto::SigningKey {
            key_id: kid,
            algorithm: "EdDSA".to_owned(),
            public_key: public.to_vec(),
        });
        Ok(Response::new(proto::GetSigningKeysResponse {
            keys: keys.collect(),
            max_age: Some(prost_types::Duration { seconds: MAX_AGE_SECONDS, nanos: 0 }),
        }))
    }
}

fn access_token(text: String) -> Result<String, Status> {
    let mut faults = Faults::default();
    match faults.text("access_token", text, MAX_ACCESS_TOKEN_BYTES) {
        Some(text) => Ok(text),
        None => Err(faults.refuse()),
    }
}

fn failed(context: &CallerContext, error: &Error) -> Status {
    match error {
        Error::Invalid => status::session_invalid(),
        Error::PageToken => {
            let mut faults = Faults::default();
            faults.add(
                "page_token",
                FaultReason::Malformed,
                "not a page token of this list: begin at the first page",
            );
            faults.refuse()
        }
        Error::Port(error) => context.port_failed(error),
    }
}

fn summary(session: &Session, current: &SessionId) -> proto::SessionSummary {
    proto::SessionSummary {
        session_id: session.id.as_str().to_owned(),
        current: session.id == *current,
        authentication_time: Some(timestamp(session.authenticated)),
        refresh_time: Some(timestamp(session.refreshed)),
        expire_time: Some(timestamp(session.expires())),
        user_agent: session.user_agent.clone(),
    }
}

/// Sessions of one guardian fit a wire integer.
pub(super) fn count(ended: usize) -> i32 {
    i32::try_from(ended).unwrap_or(i32::MAX)
}
