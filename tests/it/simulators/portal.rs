//! The stand-in portal before a service that answers as the proto files say.

use std::future::IntoFuture as _;
use std::net::SocketAddr;
use std::time::Duration;

use guardian_auth::domain::organization::Portal;
use guardian_auth::domain::reference_code::ReferenceCode;
use guardian_auth::grpc::status::{self, FaultReason, FieldFault};
use guardian_auth::proto;
use guardian_auth::proto::login_service_server::{LoginService, LoginServiceServer};
use guardian_auth::proto::login_with_password_response::Outcome;
use guardian_auth::proto::password_reset_service_server::{PasswordResetService, PasswordResetServiceServer};
use guardian_auth::proto::request_password_reset_request::Identification;
use tokio::net::TcpListener;
use tonic::service::Routes;
use tonic::{Request, Response, Status, async_trait};

use super::{BROWSER, Running};

/// A service that answers as the proto files say, to the one caller that it knows.
struct Scripted;

impl Scripted {
    async fn start() -> SocketAddr {
        let routes = Routes::new(LoginServiceServer::new(Self))
            .add_service(PasswordResetServiceServer::new(Self))
            .into_axum_router();
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, routes).into_future());
        address
    }

    /// What every call carries.
    fn check<T>(request: &Request<T>) -> Result<(), Status> {
        let metadata = request.metadata();
        let is_ours =
            metadata.get("authorization").is_some_and(|value| value == "Bearer a-token-that-is-in-no-page");
        let has_deadline = metadata.get("grpc-timeout").is_some();
        if is_ours && has_deadline { Ok(()) } else { Err(status::caller_unknown()) }
    }
}

#[async_trait]
impl LoginService for Scripted {
    async fn activate_credential(
        &self,
        request: Request<proto::ActivateCredentialRequest>,
    ) -> Result<Response<proto::ActivateCredentialResponse>, Status> {
        Self::check(&request)?;
        Err(status::method_unknown())
    }

    async fn list_login_methods(
        &self,
        request: Request<proto::ListLoginMethodsRequest>,
    ) -> Result<Response<proto::ListLoginMethodsResponse>, Status> {
        Self::check(&request)?;
        assert_eq!(request.get_ref().locale, "sv-SE");
        Ok(Response::new(proto::ListLoginMethodsResponse {
            methods: vec![proto::LoginMethod::Password.into()],
            password_rule: Some(proto::PasswordRule {
                min_code_points: 15,
                max_code_points: 256,
                blocklist: true,
            }),
            suggested_passphrase: "lingon-cykel-fyrtorn-vante".to_owned(),
            reset_methods: vec![
                proto::ResetMethod::DebtorNumberAndEmail.into(),
                proto::ResetMethod::DebtorNumberAndBsn.into(),
            ],
            oidc_providers: Vec::new(),
        }))
    }

    async fn login_with_password(
        &self,
        request: Request<proto::LoginWithPasswordRequest>,
    ) -> Result<Response<proto::LoginWithPasswordResponse>, Status> {
        Self::check(&request)?;
        let message = request.into_inner();
        let client = message.client.unwrap();
        assert_eq!((client.ip.as_str(), client.user_agent.as_str()), ("127.0.0.1", "tests/it"));
        let outcome = match message.login_name.as_str() {
            "10234" => {
                assert_eq!(message.password, "right & proper");
                let tokens = proto::SessionTokens {
                    guardian_id: "a-guardian".to_owned(),
                    access_token: "an-access-token".to_owned(),
                    ..proto::SessionTokens::default()
                };
                Outcome::Session(tokens)
            }
            "change" => Outcome::PasswordChangeRequired(proto::PasswordChangeRequired::default()),
            "known-device" => {
                assert_eq!(client.device_token, "device-token_1");
                return Err(status::wrong_portal(Portal::Childminder, &reference()));
            }
            _ => return Err(status::rate_limited(Duration::from_millis(90_500), Some(&reference()))),
        };
        let device_token = "device-token_1".to_owned();
        Ok(Response::new(proto::LoginWithPasswordResponse { outcome: Some(outcome), device_token }))
    }
}

#[async_trait]
impl PasswordResetService for Scripted {
    async fn request_password_reset(
        &self,
        request: Request<proto::RequestPasswordResetRequest>,
    ) -> Result<Response<proto::RequestPasswordResetResponse>, Status> {
        Self::check(&request)?;
        let message = request.into_inner();
        assert_eq!(
            (message.organization.as_str(), message.portal()),
            ("sample-kommun", proto::Portal::Parent)
        );
        let fault = |field, reason| FieldFault { field, reason, description: "fixed text" };
        match message.identification {
            Some(Identification::DebtorNumberAndEmail(typed)) if typed.email == " Kim@Example.se;" => {
                assert_eq!((typed.debtor_number.as_str(), message.locale.as_str()), ("10 234", "nl"));
            }
            Some(Identification::DebtorNumberAndBsn(typed)) if typed.bsn == "999990019" => {}
            Some(Identification::DebtorNumberAndBsn(_)) => {
                let faults = [fault("debtor_number_and_bsn.bsn", FaultReason::Malformed)];
                return Err(status::invalid_request(&faults));
            }
            _ => return Err(status::invalid_request(&[fault("identification", FaultReason::Missing)])),
        }
        Ok(Response::new(proto::RequestPasswordResetResponse {
            reference_code: reference().as_str().to_owned(),
            link_lifetime: Some(prost_types::Duration { seconds: 3600, nanos: 0 }),
        }))
    }

    async fn inspect_reset_token(
        &self,
        _: Request<proto::InspectResetTokenRequest>,
    ) -> Result<Response<proto::InspectResetTokenResponse>, Status> {
        Err(status::method_unknown())
    }

    async fn confirm_password_reset(
        &self,
        request: Request<proto::ConfirmPasswordResetRequest>,
    ) -> Result<Response<proto::ConfirmPasswordResetResponse>, Status> {
        Self::check(&request)?;
        assert_eq!(request.get_ref().reset_token, "abc-def_123");
        if request.get_ref().new_password == "short" {
            let refused = |reason| FieldFault { field: "new_password", reason, description: "fixed text" };
            return Err(status::password_refused(&[
                refused(FaultReason::TooShort),
                refused(FaultReason::SameAsCurrent),
            ]));
        }
        Ok(Response::new(proto::ConfirmPasswordResetResponse { ended_session_count: 3 }))
    }
}

fn reference() -> ReferenceCode {
    ReferenceCode::parse("7K3MXA4C").unwrap()
}

#[tokio::test]
async fn the_portal_asks_for_a_link_and_shows_the_reference_code() {
    let running = Running::before(Scripted::start().await).await;
    let path = "/portal/sample-kommun/parent/forgot";
    let forms = running.get(path).await;
    forms.has(&[
        "value=\"RESET_METHOD_DEBTOR_NUMBER_AND_EMAIL\"",
        "value=\"RESET_METHOD_DEBTOR_NUMBER_AND_BSN\"",
        "<label for=\"reset-method-debtor-number-and-email-email\">",
    ]);
    assert!(!forms.body.contains("\"RESET_METHOD_EMAIL\""), "it is not offered");

    let typed = "method=RESET_METHOD_DEBTOR_NUMBER_AND_EMAIL&debtor_number=10+234&email=+Kim%40Example.se%3B&locale=nl";
    let answer = running.post(path, typed).await;
    answer.has(&[
        "7K3MXA4C",
        "works for 60 minutes",
        "If what you typed fits an account",
        "Sample &lt;kommun&gt;",
    ]);

    let typed = "method=RESET_METHOD_DEBTOR_NUMBER_AND_BSN&debtor_number=%22%3E1&bsn=99&locale=sv";
    let answer = running.post(path, typed).await;
    answer.has(&[
        "INVALID_REQUEST",
        "aria-invalid=\"true\" aria-describedby=\"reset-method-debtor-number-and-bsn-bsn-faults\"",
        "It does not look right.",
        "value=\"&quot;&gt;1\"",
        "<option value=\"sv\" selected>",
    ]);
    assert!(!answer.body.contains("value=\"99\""), "a BSN is not sent back");
    assert_eq!(answer.body.matches("aria-invalid=\"true\"").count(), 1, "only in the form that was sent");
    running
        .post(path, "method=carrier+pigeon")
        .await
        .has(&["INVALID_REQUEST", "<code>identification</code>"]);
}

#[tokio::test]
async fn the_portal_sets_a_password_and_shows_why_one_is_refused() {
    let running = Running::before(Scripted::start().await).await;
    let path = "/portal/sample-kommun/parent/new-password";
    running.get(path).await.has(&["At least 15 characters", "lingon-cykel-fyrtorn-vante"]);
    let refused = running.post(path, "reset_token=abc-def_123&new_password=short").await;
    refused.has(&[
        "PASSWORD_REFUSED",
        "<p class=\"fault\" id=\"new-password-faults\">It is too short. fixed text</p>",
        "name=\"reset_token\" value=\"abc-def_123\"",
    ]);
    assert!(!refused.body.contains("value=\"short\""));
    let set = running.post(path, "reset_token=abc-def_123&new_password=lingon-cykel-fyrtorn-vante").await;
    set.has(&["The new password is set.", "Sessions that ended: 3."]);
    assert!(!set.body.contains("abc-def_123") && !set.body.contains("lingon-cykel"));
}

#[tokio::test]
async fn the_portal_logs_in_and_keeps_the_device_token_in_a_cookie() {
    let running = Running::before(Scripted::start().await).await;
    let path = "/portal/sample-kommun/parent";
    let answer = running.post(path, "login_name=10234&password=right+%26+proper").await;
    answer.has(&["Logged in.", "a-guardian"]);
    assert!(!answer.body.contains("an-access-token"));
    let cookie = "set-cookie: device=device-token_1; path=/portal/sample-kommun/parent; max-age=15552000; httponly; samesite=lax";
    assert!(answer.head.contains(cookie), "{}", answer.head);
    running.post(path, "login_name=change&password=x").await.has(&["a new one must be chosen first"]);
    running.post(path, "login_name=x&password=x").await.has(&["RATE_LIMITED", "7K3MXA4C", "91 seconds"]);

    let host = running.address;
    let headers =
        format!("host: {host}\r\norigin: http://{host}\r\ncookie: a=b; device=device-token_1\r\n{BROWSER}");
    let answer = running.send("POST", path, &headers, "login_name=known-device&password=x").await;
    answer.has(&["WRONG_PORTAL", "<a href=\"childminder\">childminder</a>"]);
}
