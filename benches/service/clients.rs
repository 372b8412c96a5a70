//! The portal's side: a few connections, used in turn, with the caller's token on each call.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Context as _;
use guardian_auth::proto;
use guardian_auth::proto::login_oidc_service_client::LoginOidcServiceClient;
use guardian_auth::proto::login_service_client::LoginServiceClient;
use guardian_auth::proto::login_with_password_response::Outcome;
use guardian_auth::proto::password_reset_service_client::PasswordResetServiceClient;
use guardian_auth::proto::request_password_reset_request::Identification;
use guardian_auth::proto::session_service_client::SessionServiceClient;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};

use super::guardians;
use super::service::ORGANIZATION;

/// A portal with its connections.
#[derive(Clone)]
pub struct Portal {
    channels: Arc<[Channel]>,
    bearer: MetadataValue<Ascii>,
}

impl Portal {
    /// Connects.
    pub async fn connect(address: SocketAddr, connections: usize, token: &str) -> anyhow::Result<Self> {
        let endpoint = Endpoint::from_shared(format!("http://{address}"))?;
        let mut channels = Vec::with_capacity(connections);
        for _ in 0..connections {
            channels.push(endpoint.connect().await?);
        }
        let bearer = format!("Bearer {token}").parse().context("the token is no header")?;
        Ok(Self { channels: channels.into(), bearer })
    }

    /// Logs a guardian in with the right password.
    pub async fn log_in(
        &self,
        turn: usize,
        guardian: usize,
    ) -> Result<proto::LoginWithPasswordResponse, Status> {
        let message = proto::LoginWithPasswordRequest {
            organization: ORGANIZATION.to_owned(),
            portal: proto::Portal::Parent.into(),
            login_name: guardians::login_name(guardian),
            password: guardians::PASSWORD.to_owned(),
            client: Some(client(guardian)),
        };
        let mut client = LoginServiceClient::new(self.channel(turn));
        client.login_with_password(self.request(message)).await.map(tonic::Response::into_inner)
    }

    /// Logs in and takes the access token.
    pub async fn access_token(&self, turn: usize, guardian: usize) -> anyhow::Result<String> {
        match self.log_in(turn, guardian).await?.outcome {
            Some(Outcome::Session(session)) => Ok(session.access_token),
            Some(Outcome::PasswordChangeRequired(_)) | None => anyhow::bail!("a login gave no session"),
        }
    }

    /// Verifies an access token.
    pub async fn verify(&self, turn: usize, token: &str) -> Result<proto::VerifySessionResponse, Status> {
        let message = proto::VerifySessionRequest {
            access_token: token.to_owned(),
            organization: ORGANIZATION.to_owned(),
            portal: proto::Portal::Parent.into(),
        };
        let mut client = SessionServiceClient::new(self.channel(turn));
        client.verify_session(self.request(message)).await.map(tonic::Response::into_inner)
    }

    /// Asks for a link to reset the password of a guardian.
    pub async fn request_reset(
        &self,
        turn: usize,
        guardian: usize,
    ) -> Result<proto::RequestPasswordResetResponse, Status> {
        let typed = proto::DebtorNumberAndEmail {
            debtor_number: guardians::login_name(guardian),
            email: guardians::email(guardian),
        };
        let message = proto::RequestPasswordResetRequest {
            organization: ORGANIZATION.to_owned(),
            portal: proto::Portal::Parent.into(),
            identification: Some(Identification::DebtorNumberAndEmail(typed)),
            locale: "sv".to_owned(),
            client: Some(client(guardian)),
        };
        let mut client = PasswordResetServiceClient::new(self.channel(turn));
        client.request_password_reset(self.request(message)).await.map(tonic::Response::into_inner)
    }

    /// Begins a login at the provider.
    pub async fn start_oidc(
        &self,
        turn: usize,
        guardian: usize,
    ) -> Result<proto::StartOidcLoginResponse, Status> {
        let message = proto::StartOidcLoginRequest {
            organization: ORGANIZATION.to_owned(),
            portal: proto::Portal::Parent.into(),
            provider: "slow".to_owned(),
            locale: String::new(),
            login_hint: String::new(),
            client: Some(client(guardian)),
        };
        let mut client = LoginOidcServiceClient::new(self.channel(turn));
        client.start_oidc_login(self.request(message)).await.map(tonic::Response::into_inner)
    }

    fn channel(&self, turn: usize) -> Channel {
        self.channels[turn % self.channels.len()].clone()
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.metadata_mut().insert("authorization", self.bearer.clone());
        request
    }
}

/// A guardian at home, on no known device.
fn client(guardian: usize) -> proto::ClientContext {
    proto::ClientContext {
        ip: guardians::address(guardian),
        user_agent: guardians::USER_AGENT.to_owned(),
        device_token: String::new(),
    }
}
