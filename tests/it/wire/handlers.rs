//! Handlers that authorize like the real ones and then do what the login name says.

use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use guardian_auth::domain::reference_code::ReferenceCode;
use guardian_auth::grpc::access::authorize_fields;
use guardian_auth::grpc::context::{caller_context, open};
use guardian_auth::grpc::fields::Faults;
use guardian_auth::grpc::status;
use guardian_auth::proto::{
    self, login_bank_id_service_server as login_bankid, login_service_server as login,
    password_service_server as password, session_service_server as session,
};
use tokio::sync::Semaphore;
use tonic::{Request, Response, Status};

/// Holds calls with the login name `wait` until it is opened.
#[derive(Clone)]
pub struct Gate {
    /// One permit for each call that came to the gate.
    pub arrived: Arc<Semaphore>,
    /// One permit lets one call through.
    pub open: Arc<Semaphore>,
}

impl Default for Gate {
    fn default() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }
}

impl Gate {
    pub fn handlers(&self) -> Handlers {
        Handlers(self.clone())
    }
}

/// The handlers.
pub struct Handlers(Gate);

#[tonic::async_trait]
impl login::LoginService for Handlers {
    async fn list_login_methods(
        &self,
        request: Request<proto::ListLoginMethodsRequest>,
    ) -> Result<Response<proto::ListLoginMethodsResponse>, Status> {
        let (context, message) = open(request)?;
        authorize_fields(&context, &message.organization, message.portal)?;
        Ok(Response::new(proto::ListLoginMethodsResponse::default()))
    }

    async fn activate_credential(
        &self,
        request: Request<proto::ActivateCredentialRequest>,
    ) -> Result<Response<proto::ActivateCredentialResponse>, Status> {
        let (context, message) = open(request)?;
        authorize_fields(&context, &message.organization, message.portal)?;
        Ok(Response::new(proto::ActivateCredentialResponse::default()))
    }

    /// Answers with what it was told of the end user: `address|user agent|device token` as the device token.
    async fn login_with_password(
        &self,
        request: Request<proto::LoginWithPasswordRequest>,
    ) -> Result<Response<proto::LoginWithPasswordResponse>, Status> {
        let (context, message) = open(request)?;
        authorize_fields(&context, &message.organization, message.portal)?;
        let mut faults = Faults::default();
        let name = faults.text("login_name", message.login_name, 4096);
        let client = faults.client(&context, message.client);
        let (Some(name), Some(client)) = (name, client) else { return Err(faults.refuse()) };
        match name.as_str() {
            "panic" => panic!("the payload quotes {}", message.password),
            "foreign" => return Err(Status::internal(format!("quotes {}", message.password))),
            "denied" => return Err(status::invalid_credentials(&ReferenceCode::new([0; 8]))),
            "wait" => {
                self.0.arrived.add_permits(1);
                self.0.open.acquire().await.unwrap().forget();
            }
            _ => {}
        }
        let address = client.address.map(|address| address.to_string()).unwrap_or_default();
        let device = client.device_token.as_ref().map_or("", |token| token.expose());
        let device_token = format!("{address}|{:?}|{}|{device}", client.network(), client.user_agent);
        Ok(Response::new(proto::LoginWithPasswordResponse { outcome: None, device_token }))
    }
}

#[tonic::async_trait]
impl session::SessionService for Handlers {
    async fn verify_session(
        &self,
        request: Request<proto::VerifySessionRequest>,
    ) -> Result<Response<proto::VerifySessionResponse>, Status> {
        let (context, message) = open(request)?;
        authorize_fields(&context, &message.organization, message.portal)?;
        Ok(Response::new(proto::VerifySessionResponse::default()))
    }

    async fn refresh_session(
        &self,
        request: Request<proto::RefreshSessionRequest>,
    ) -> Result<Response<proto::RefreshSessionResponse>, Status> {
        caller_context(&request)?;
        Err(status::session_invalid())
    }

    async fn end_session(
        &self,
        request: Request<proto::EndSessionRequest>,
    ) -> Result<Response<proto::EndSessionResponse>, Status> {
        caller_context(&request)?;
        Err(status::session_invalid())
    }

    async fn end_all_sessions(
        &self,
        request: Request<proto::EndAllSessionsRequest>,
    ) -> Result<Response<proto::EndAllSessionsResponse>, Status> {
        caller_context(&request)?;
        Err(status::session_invalid())
    }

    async fn list_sessions(
        &self,
        request: Request<proto::ListSessionsRequest>,
    ) -> Result<Response<proto::ListSessionsResponse>, Status> {
        caller_context(&request)?;
        Err(status::session_invalid())
    }

    async fn get_signing_keys(
        &self,
        request: Request<proto::GetSigningKeysRequest>,
    ) -> Result<Response<proto::GetSigningKeysResponse>, Status> {
        caller_context(&request)?;
        Ok(Response::new(proto::GetSigningKeysResponse::default()))
    }
}

#[tonic::async_trait]
impl password::PasswordService for Handlers {
    async fn change_password(
        &self,
        request: Request<proto::ChangePasswordRequest>,
    ) -> Result<Response<proto::ChangePasswordResponse>, Status> {
        caller_context(&request)?;
        Err(status::session_invalid())
    }
}

/// Messages of a stream.
pub const WATCHED: u32 = 20;

#[tonic::async_trait]
impl login_bankid::LoginBankIdService for Handlers {
    async fn start_bank_id_login(
        &self,
        request: Request<proto::StartBankIdLoginRequest>,
    ) -> Result<Response<proto::StartBankIdLoginResponse>, Status> {
        caller_context(&request)?;
        Err(status::session_invalid())
    }

    type WatchBankIdLoginStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchBankIdLoginResponse, Status>> + Send>>;

    /// Tells [`WATCHED`] times of nothing, each time in a frame of its own.
    async fn watch_bank_id_login(
        &self,
        request: Request<proto::WatchBankIdLoginRequest>,
    ) -> Result<Response<Self::WatchBankIdLoginStream>, Status> {
        caller_context(&request)?;
        let told = unfold(0, |told| async move {
            tokio::task::yield_now().await;
            (told < WATCHED).then(|| (Ok(proto::WatchBankIdLoginResponse::default()), told + 1))
        });
        Ok(Response::new(Box::pin(told)))
    }

    async fn complete_bank_id_login(
        &self,
        request: Request<proto::CompleteBankIdLoginRequest>,
    ) -> Result<Response<proto::CompleteBankIdLoginResponse>, Status> {
        caller_context(&request)?;
        Err(status::session_invalid())
    }

    async fn cancel_bank_id_login(
        &self,
        request: Request<proto::CancelBankIdLoginRequest>,
    ) -> Result<Response<proto::CancelBankIdLoginResponse>, Status> {
        caller_context(&request)?;
        Err(status::session_invalid())
    }
}
