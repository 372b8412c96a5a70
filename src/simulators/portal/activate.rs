//! The page to choose a first password, with a code from a sheet or a link that staff had sent.

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Form;
use axum::response::{IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_SECURITY_POLICY;
use maud::{PreEscaped, html};
use serde::Deserialize;

use super::visit::Visit;
use super::{Field, faults};
use crate::proto;
use crate::proto::activate_credential_request::Proof;
use crate::proto::login_service_client::LoginServiceClient;
use crate::simulators::failure::Failure;

/// Takes a link's token, or the code of a sheet's QR picture, out of the fragment, which browsers do not send, into the form,
/// and out of the address bar.
const TAKE_PROOF: &str = r#"
const shown = new URLSearchParams(location.hash.slice(1));
const token = shown.get("token") ?? "";
const isLink = token.startsWith("gak_");
document.getElementById(isLink ? "link-token" : "code").value = token;
document.getElementById("typed").hidden = isLink;
if (location.hash) history.replaceState(null, "", location.pathname);
"#;

/// What a person shows and chooses.
#[derive(Default, Deserialize)]
pub(in crate::simulators) struct ActivateForm {
    #[serde(default)]
    link_token: String,
    #[serde(default)]
    user_name: String,
    #[serde(default)]
    code: String,
    #[serde(default)]
    new_password: String,
}

impl ActivateForm {
    fn proof(&self) -> Proof {
        if self.link_token.is_empty() {
            Proof::Code(proto::ActivationCode { user_name: self.user_name.clone(), code: self.code.clone() })
        } else {
            Proof::LinkToken(self.link_token.clone())
        }
    }
}

/// The page that a sheet or a link leads to.
pub(in crate::simulators) async fn activate_page(visit: Visit) -> Response {
    form(&visit, &ActivateForm::default(), None).await
}

async fn form(visit: &Visit, shown: &ActivateForm, failure: Option<&Failure>) -> Response {
    let offered = visit.offered().await.unwrap_or_default();
    let content = html! {
        @if let Some(failure) = failure { (failure) }
        form method="post" action={ (visit.door.path()) "/activate" } {
            input id="link-token" type="hidden" name="link_token" value=(shown.link_token);
            div id="typed" hidden[!shown.link_token.is_empty()] {
                (Field {
                    id: "user-name", name: "user_name", label: "User name", kind: "text",
                    autocomplete: "username", value: &shown.user_name, faults: faults(failure, "code.user_name"),
                })
                (Field {
                    id: "code", name: "code", label: "Code", kind: "text",
                    autocomplete: "one-time-code", value: &shown.code, faults: faults(failure, "code.code"),
                })
            }
            (Field {
                id: "new-password", name: "new_password", label: "Password of your own", kind: "password",
                autocomplete: "new-password", value: "", faults: faults(failure, "new_password"),
            })
            @if let Some(rule) = &offered.password_rule {
                p.hint { "At least " (rule.min_code_points) " characters. Spaces and whole sentences are fine." }
            }
            @if !offered.suggested_passphrase.is_empty() {
                p.hint { "A suggestion: " code { (offered.suggested_passphrase) } }
            }
            button { "Set the password" }
        }
        script { (PreEscaped(TAKE_PROOF)) }
    };
    let hash = STANDARD.encode(digest(&SHA256, TAKE_PROOF.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'self'; script-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    );
    ([(CONTENT_SECURITY_POLICY, policy)], visit.page("First password", content)).into_response()
}

/// Sets the password.
pub(in crate::simulators) async fn activate(visit: Visit, Form(shown): Form<ActivateForm>) -> Response {
    let request = proto::ActivateCredentialRequest {
        organization: visit.door.organization.clone(),
        portal: visit.door.proto_portal().into(),
        proof: Some(shown.proof()),
        new_password: shown.new_password.clone(),
        client: Some(visit.client.clone()),
    };
    let mut client = LoginServiceClient::new(visit.channel());
    match client.activate_credential(visit.call(request)).await {
        Ok(answer) => {
            let content = html! {
                section.done role="status" {
                    p { strong { "The password is set." } }
                    p { "Log in as " code { (answer.into_inner().user_name) } "." }
                }
                p { a href=(visit.door.path()) { "To the login" } }
            };
            visit.page("First password", content).into_response()
        }
        // A password that is refused uses neither code nor link up.
        Err(status) => form(&visit, &shown, Some(&Failure::of(&status))).await,
    }
}
