//! `LoginBankIdService`: wire messages to orders, what is seen of them to answers.

use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;

use futures_util::Stream;
use futures_util::stream::unfold;
use tonic::{Request, Response, Status};

use crate::domain::bankid::{Device, OrderState};
use crate::domain::bankid_message::Message;
use crate::domain::client::ClientContext;
use crate::domain::id::BankIdLoginId;
use crate::domain::organization::{Organization, Portal};
use crate::domain::secret::Secret;
use crate::flows::attempt::Origin;
use crate::flows::bankid_order::{View, ViewStart};
use crate::flows::bankid_watch::{Frame, Watch};
use crate::flows::login_bankid::{LoginBankIdFlow, Named, Start};
use crate::proto;
use crate::proto::bank_id_view::Start as WireStart;
use crate::proto::login_bank_id_service_server::LoginBankIdService;

use super::access::authorize_fields;
use super::context::{CallerContext, open};
use super::eid_login::{MAX_SECRET_BYTES, failed, optional_secret};
use super::fields::Faults;
use super::login::{session_tokens, timestamp};
use super::status::FaultReason;

/// Shortest and longest device identifier.
const DEVICE_IDENTIFIER_BYTES: std::ops::RangeInclusive<usize> = 8..=128;

/// The service over its flow.
pub struct LoginBankIdHandlers {
    flow: Arc<LoginBankIdFlow>,
}

impl LoginBankIdHandlers {
    /// Over the BankID login flow.
    pub fn new(flow: Arc<LoginBankIdFlow>) -> Self {
        Self { flow }
    }
}

#[tonic::async_trait]
impl LoginBankIdService for LoginBankIdHandlers {
    async fn start_bank_id_login(
        &self,
        request: Request<proto::StartBankIdLoginRequest>,
    ) -> Result<Response<proto::StartBankIdLoginResponse>, Status> {
        let (context, message) = open(request)?;
        let start = parse_start(&context, message)?;
        let started = self.flow.start(start).await.map_err(|error| failed(&context, error))?;
        Ok(Response::new(proto::StartBankIdLoginResponse {
            login_id: started.id.as_str().to_owned(),
            binding_secret: started.binding_secret.expose().clone(),
            expire_time: Some(timestamp(started.expires)),
            view: Some(view(&started.view)),
        }))
    }

    type WatchBankIdLoginStream =
        Pin<Box<dyn Stream<Item = Result<proto::WatchBankIdLoginResponse, Status>> + Send>>;

    async fn watch_bank_id_login(
        &self,
        request: Request<proto::WatchBankIdLoginRequest>,
    ) -> Result<Response<Self::WatchBankIdLoginStream>, Status> {
        let (context, message) = open(request)?;
        let proto::WatchBankIdLoginRequest { organization, portal, login_id, binding_secret, client } =
            message;
        let named = Wire { organization, portal, login_id, binding_secret, client }.parse(&context)?;
        let watch = self.flow.watch(&named).await.map_err(|error| failed(&context, error))?;
        let frames = unfold(watch, |mut watch: Watch| async move {
            let frame = watch.next().await?;
            Some((Ok(wire_frame(&frame)), watch))
        });
        Ok(Response::new(Box::pin(frames)))
    }

    async fn complete_bank_id_login(
        &self,
        request: Request<proto::CompleteBankIdLoginRequest>,
    ) -> Result<Response<proto::CompleteBankIdLoginResponse>, Status> {
        let (context, message) = open(request)?;
        let proto::CompleteBankIdLoginRequest {
            organization,
            portal,
            login_id,
            binding_secret,
            return_nonce,
            client,
        } = message;
        let return_nonce = Secret::new(return_nonce);
        let wire = Wire { organization, portal, login_id, binding_secret, client };
        let (named, nonce) = wire.parse_with(&context, |faults| {
            optional_secret(faults, "return_nonce", return_nonce.expose().clone(), MAX_SECRET_BYTES)
        })?;
        let tokens = self.flow.complete(named, nonce).await.map_err(|error| failed(&context, error))?;
        Ok(Response::new(proto::CompleteBankIdLoginResponse { session: Some(session_tokens(&tokens)) }))
    }

    async fn cancel_bank_id_login(
        &self,
        request: Request<proto::CancelBankIdLoginRequest>,
    ) -> Result<Response<proto::CancelBankIdLoginResponse>, Status> {
        let (context, message) = open(request)?;
        let proto::CancelBankIdLoginRequest { organization, portal, login_id, binding_secret, client } =
            message;
        let named = Wire { organization, portal, login_id, binding_secret, client }.parse(&context)?;
        self.flow.cancel(named).await.map_err(|error| failed(&context, error))?;
        Ok(Response::new(proto::CancelBankIdLoginResponse {}))
    }
}

/// The fields that name an order, in each request about one.
struct Wire {
    organization: String,
    portal: i32,
    login_id: String,
    binding_secret: String,
    client: Option<proto::ClientContext>,
}

impl Wire {
    fn parse(self, context: &CallerContext) -> Result<Named, Status> {
        let (named, ()) = self.parse_with(context, |_| Some(()))?;
        Ok(named)
    }

    /// The same beside a further field: all faults are told at once.
    fn parse_with<T>(
        self,
        context: &CallerContext,
        further: impl FnOnce(&mut Faults) -> Option<T>,
    ) -> Result<(Named, T), Status> {
        let binding_secret = Secret::new(self.binding_secret);
        let (organization, portal) = authorize_fields(context, &self.organization, self.portal)?;
        let mut faults = Faults::default();
        let id = faults.parsed("login_id", &self.login_id, BankIdLoginId::parse);
        let binding_secret =
            faults.secret("binding_secret", binding_secret.expose().clone(), MAX_SECRET_BYTES);
        let further = further(&mut faults);
        let client = faults.client(context, self.client);
        let (Some(id), Some(binding_secret), Some(further), Some(client)) =
            (id, binding_secret, further, client)
        else {
            return Err(faults.refuse());
        };
        let origin = Origin { caller: Arc::clone(&context.caller), client, deadline: context.deadline };
        Ok((Named { organization, portal, id, binding_secret, origin }, further))
    }
}

fn parse_start(context: &CallerContext, message: proto::StartBankIdLoginRequest) -> Result<Start, Status> {
    let device_identifier = Secret::new(message.device_identifier);
    let (organization, portal) = authorize_fields(context, &message.organization, message.portal)?;
    let mut faults = Faults::default();
    let device = device(&mut faults, &organization, portal, message.device);
    let device_identifier = identifier(&mut faults, &device_identifier);
    let client = faults.client(context, message.client);
    let address = client.as_ref().and_then(|client| end_user_address(&mut faults, client));
    let (Some(device), Some(device_identifier), Some(client), Some(address)) =
        (device, device_identifier, client, address)
    else {
        return Err(faults.refuse());
    };
    let origin = Origin { caller: Arc::clone(&context.caller), client, deadline: context.deadline };
    Ok(Start { organization, portal, device, device_identifier, address, origin })
}

fn device(faults: &mut Faults, organization: &Organization, portal: Portal, value: i32) -> Option<Device> {
    let Some(policy) = organization.bankid_at(portal) else {
        faults.add("portal", FaultReason::NotAllowed, "this portal does not offer BankID");
        return None;
    };
    match proto::BankIdDevice::try_from(value) {
        Ok(proto::BankIdDevice::Same) if policy.return_pages.contains_key(&portal) => Some(Device::Same),
        Ok(proto::BankIdDevice::Same) => {
            let description = "this portal has no page to return to: only BANK_ID_DEVICE_OTHER";
            faults.add("device", FaultReason::NotAllowed, description);
            None
        }
        Ok(proto::BankIdDevice::Other) => Some(Device::Other),
        Ok(proto::BankIdDevice::Unspecified) => {
            faults.add("device", FaultReason::Missing, "required");
            None
        }
        Err(_) => {
            faults.add("device", FaultReason::OutOfRange, "no such device");
            None
        }
    }
}

#[expect(clippy::option_option, reason = "the outer one says whether it was well-formed, as in all helpers")]
fn identifier(faults: &mut Faults, value: &Secret<String>) -> Option<Option<Secret<String>>> {
    const FIELD: &str = "device_identifier";
    if !value.expose().is_empty() && value.expose().len() < *DEVICE_IDENTIFIER_BYTES.start() {
        faults.add(FIELD, FaultReason::TooShort, "shorter than the proto file says");
        return None;
    }
    optional_secret(faults, FIELD, value.expose().clone(), *DEVICE_IDENTIFIER_BYTES.end())
}

/// BankID wants the address of the end user's device: not that of the portal, which calls us.
fn end_user_address(faults: &mut Faults, client: &ClientContext) -> Option<IpAddr> {
    if client.address.is_none() {
        faults.add(
            "client.ip",
            FaultReason::Missing,
            "required: BankID compares it with the address of its app; may_assert_client_ip lets a caller tell it",
        );
    }
    client.address
}

fn wire_frame(frame: &Frame) -> proto::WatchBankIdLoginResponse {
    let status = match frame.state {
        OrderState::Pending => proto::BankIdStatus::Pending,
        OrderState::Complete => proto::BankIdStatus::Complete,
        // A session was fetched, or it was given up: for this watcher it is over.
        OrderState::Failed | OrderState::Cancelled | OrderState::Used => proto::BankIdStatus::Failed,
    };
    proto::WatchBankIdLoginResponse {
        status: status.into(),
        view: Some(view(&frame.view)),
        reference_code: frame.reference.as_ref().map_or_else(String::new, |code| code.as_str().to_owned()),
    }
}

fn view(view: &View) -> proto::BankIdView {
    let start = view.start.as_ref().map(|start| match start {
        ViewStart::Links { mobile, desktop } => WireStart::Links(proto::BankIdLinks {
            mobile_url: mobile.expose().clone(),
            desktop_url: desktop.expose().clone(),
        }),
        ViewStart::QrText(text) => WireStart::QrText(text.expose().clone()),
    });
    let Message { id, text_sv, text_en } = view.message;
    let message = proto::BankIdMessage {
        message_id: id.to_owned(),
        text_sv: text_sv.to_owned(),
        text_en: text_en.to_owned(),
    };
    proto::BankIdView { start, message: Some(message) }
}
