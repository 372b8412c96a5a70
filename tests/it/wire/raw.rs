//! Calls written frame by frame with the `h2` crate: what a well-behaved client would never send.

use std::net::SocketAddr;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use guardian_auth::proto;
use h2::client::SendRequest;
use http::uri::PathAndQuery;
use http::{HeaderMap, Request, StatusCode};
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tonic_types::pb;

/// Where a login goes.
pub const LOGIN: &str = "/guardian.auth.v1.LoginService/LoginWithPassword";

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    /// Headers and trailers.
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The number in `grpc-status`.
    pub fn code(&self) -> i32 {
        self.headers.get("grpc-status").map_or(-1, |value| value.to_str().unwrap().parse().unwrap())
    }

    /// `google.rpc.Status` in the details, if there is one.
    pub fn details(&self) -> Option<pb::Status> {
        let engine = base64::engine::GeneralPurpose::new(
            &base64::alphabet::STANDARD,
            base64::engine::GeneralPurposeConfig::new()
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent),
        );
        let value = self.headers.get("grpc-status-details-bin")?;
        Some(pb::Status::decode(engine.decode(value).unwrap().as_slice()).unwrap())
    }

    /// Details of this kind.
    pub fn details_of<M: Message + Default>(&self, name: &str) -> Vec<M> {
        let url = format!("type.googleapis.com/google.rpc.{name}");
        let details = self.details().map(|status| status.details).unwrap_or_default();
        details
            .iter()
            .filter(|any| any.type_url == url)
            .map(|any| M::decode(any.value.as_slice()).unwrap())
            .collect()
    }

    /// The reason; empty if the call went well. Fails if there is not exactly one.
    pub fn reason(&self) -> String {
        if self.code() == 0 {
            return String::new();
        }
        let mut infos: Vec<pb::ErrorInfo> = self.details_of("ErrorInfo");
        assert_eq!(infos.len(), 1, "exactly one ErrorInfo: {self:?}");
        let info = infos.remove(0);
        assert_eq!(info.domain, "guardian-auth");
        info.reason
    }

    /// `field REASON` of each violation.
    pub fn violations(&self) -> Vec<String> {
        let requests: Vec<pb::BadRequest> = self.details_of("BadRequest");
        let violations = requests.iter().flat_map(|request| &request.field_violations);
        violations.map(|violation| format!("{} {}", violation.field, violation.reason)).collect()
    }

    /// The message of an answer that went well.
    pub fn message<M: Message + Default>(&self) -> M {
        let length = u32::from_be_bytes(self.body[1..5].try_into().unwrap()) as usize;
        M::decode(&self.body[5..5 + length]).unwrap()
    }
}

/// A message as gRPC frames it.
pub fn framed(message: &impl Message) -> Bytes {
    prefixed(0, &message.encode_to_vec())
}

/// Bytes with a flag and a true length before them.
pub fn prefixed(flag: u8, bytes: &[u8]) -> Bytes {
    let length = u32::try_from(bytes.len()).unwrap();
    [&[flag], length.to_be_bytes().as_slice(), bytes].concat().into()
}

/// A login at the sample organization.
pub fn login(login_name: &str) -> proto::LoginWithPasswordRequest {
    proto::LoginWithPasswordRequest {
        organization: super::ORGANIZATION.to_owned(),
        portal: proto::Portal::Parent.into(),
        login_name: login_name.to_owned(),
        password: "hunter2-hunter2".to_owned(),
        client: None,
    }
}

/// A connection over HTTP/2.
#[derive(Clone)]
pub struct Client {
    send: SendRequest<Bytes>,
}

impl Client {
    /// Without TLS.
    pub async fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap()).await
    }

    /// Over something that is connected.
    pub async fn over(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) -> Self {
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(async move { drop(connection.await) });
        Self { send }
    }

    /// A native gRPC call.
    pub async fn call(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer, h2::Error> {
        let headers = [&[("content-type", "application/grpc"), ("te", "trailers")], headers].concat();
        self.post(path, &headers, body).await
    }

    /// Any POST. `path` goes out as it is, also without a slash.
    pub async fn post(&self, path: &str, headers: &[(&str, &str)], body: Bytes) -> Result<Answer, h2::Error> {
        let mut uri = http::uri::Parts::default();
        uri.scheme = Some("http".parse().unwrap());
        uri.authority = Some("guardian.example".parse().unwrap());
        uri.path_and_query = Some(PathAndQuery::try_from(path).unwrap());
        let mut request = Request::post(http::Uri::from_parts(uri).unwrap());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.send(request.body(()).unwrap(), body).await
    }

    /// Any request.
    pub async fn send(&self, request: Request<()>, body: Bytes) -> Result<Answer, h2::Error> {
        let mut send = self.send.clone().ready().await?;
        let (response, mut stream) = send.send_request(request, body.is_empty())?;
        if !body.is_empty() {
            // The other side may have answered and closed its ear already.
            drop(stream.send_data(body, true));
        }
        let (parts, mut incoming) = response.await?.into_parts();
        let (mut headers, mut whole) = (parts.headers, BytesMut::new());
        while let Some(chunk) = incoming.data().await {
            let chunk = chunk?;
            incoming.flow_control().release_capacity(chunk.len())?;
            whole.extend_from_slice(&chunk);
        }
        if let Some(trailers) = incoming.trailers().await? {
            headers.extend(trailers);
        }
        Ok(Answer { status: parts.status, headers, body: whole.freeze() })
    }
}

/// The header of a caller's token.
pub fn bearer(kind: guardian_auth::domain::caller::CallerKind) -> String {
    format!("Bearer {}", super::token(kind))
}
