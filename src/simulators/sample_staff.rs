//! Gives sample staff their passwords, by the link that the command line made.

use std::net::SocketAddr;

use tonic::Request;
use tonic::transport::Endpoint;

use crate::proto;
use crate::proto::activate_credential_request::Proof;
use crate::proto::login_service_client::LoginServiceClient;

/// Chooses the password of an account of staff, as its owner would at the page that the link leads to.
///
/// # Errors
/// If the service is not there or refuses.
pub async fn activate(
    grpc: SocketAddr,
    caller_token: &str,
    organization: &str,
    link_token: &str,
    password: &str,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let channel = Endpoint::from_shared(format!("http://{grpc}"))?.connect().await?;
    let mut request = Request::new(proto::ActivateCredentialRequest {
        organization: organization.to_owned(),
        portal: proto::Portal::Staff.into(),
        proof: Some(Proof::LinkToken(link_token.to_owned())),
        new_password: password.to_owned(),
        client: None,
    });
    request.metadata_mut().insert("authorization", format!("Bearer {caller_token}").parse()?);
    LoginServiceClient::new(channel).activate_credential(request).await?;
    Ok(())
}
