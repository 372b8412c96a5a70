//! The pages to ask for a reset link, and to set a new password with it.

use aws_lc_rs::digest::{SHA256, digest};
use axum::extract::Form;
use axum::response::{Html, IntoResponse as _, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::CONTENT_SECURITY_POLICY;
use maud::{Markup, PreEscaped, Render as _, html};
use serde::Deserialize;

use super::visit::Visit;
use super::{Field, faults};
use crate::proto;
use crate::proto::password_reset_service_client::PasswordResetServiceClient;
use crate::proto::request_password_reset_request::Identification;
use crate::simulators::failure::Failure;
use crate::simulators::frame;

/// Takes the token out of the fragment, which browsers do not send, into the form, and out of the address bar.
const TAKE_TOKEN: &str = r#"
const token = new URLSearchParams(location.hash.slice(1)).get("token");
if (token) {
  document.getElementById("reset-token").value = token;
  history.replaceState(null, "", location.pathname);
}
"#;

/// What a person types who forgot the password.
#[derive(Default, Deserialize)]
pub(in crate::simulators) struct ForgotForm {
    #[serde(default)]
    method: String,
    #[serde(default)]
    debtor_number: String,
    #[serde(default)]
    email: String,
    #[serde(default)]
    bsn: String,
    #[serde(default)]
    locale: String,
}

impl ForgotForm {
    /// `None` if the method is none of those on the page: the service says then what is missing.
    fn identification(&self) -> Option<Identification> {
        let (debtor_number, email, bsn) = (self.debtor_number.clone(), self.email.clone(), self.bsn.clone());
        match proto::ResetMethod::from_str_name(&self.method)? {
            proto::ResetMethod::DebtorNumberAndEmail => {
                Some(Identification::DebtorNumberAndEmail(proto::DebtorNumberAndEmail {
                    debtor_number,
                    email,
                }))
            }
            proto::ResetMethod::DebtorNumberAndBsn => {
                Some(Identification::DebtorNumberAndBsn(proto::DebtorNumberAndBsn { debtor_number, bsn }))
            }
            proto::ResetMethod::Email => Some(Identification::Email(email)),
            proto::ResetMethod::Unspecified => None,
        }
    }
}

/// The forms to ask for a link, one for each way that is offered.
pub(in crate::simulators) async fn forgot_page(visit: Visit) -> Html<String> {
    let content = forgot_forms(&visit, &ForgotForm::default(), None).await;
    visit.page("Forgot the password", content)
}

async fn forgot_forms(visit: &Visit, typed: &ForgotForm, failure: Option<&Failure>) -> Markup {
    let methods = match visit.offered().await {
        Ok(offered) => offered
            .reset_methods
            .iter()
            .filter_map(|method| proto::ResetMethod::try_from(*method).ok())
            .collect(),
        Err(status) if failure.is_none() => return Failure::of(&status).render(),
        Err(_) => Vec::new(),
    };
    html! {
        @if let Some(failure) = failure { (failure) }
        @if methods.is_empty() && failure.is_none() {
            section { p { "This portal resets no passwords by mail. Contact " (visit.door.display_name) "." } }
        }
        @for method in methods { (forgot_form(visit, method, typed, failure)) }
        p { a href=(visit.door.path()) { "Back to the login" } }
    }
}

fn forgot_form(
    visit: &Visit,
    method: proto::ResetMethod,
    typed: &ForgotForm,
    failure: Option<&Failure>,
) -> Markup {
    let name = method.as_str_name();
    let (heading, has_number, has_email, has_bsn) = match method {
        proto::ResetMethod::DebtorNumberAndEmail => {
            ("With debtor number and e-mail address", true, true, false)
        }
        proto::ResetMethod::DebtorNumberAndBsn => ("With debtor number and BSN", true, false, true),
        proto::ResetMethod::Email => ("With the e-mail address", false, true, false),
        proto::ResetMethod::Unspecified => return Markup::default(),
    };
    // Values and faults belong to the form that was sent.
    let nothing = ForgotForm::default();
    let (typed, failure) = if typed.method == name { (typed, failure) } else { (&nothing, None) };
    let id = |field: &str| format!("{}-{field}", name.to_ascii_lowercase().replace('_', "-"));
    html! {
        form method="post" action={ (visit.door.path()) "/forgot" } {
            h2 { (heading) }
            input type="hidden" name="method" value=(name);
            @if has_number {
                (Field {
                    id: &id("debtor-number"), name: "debtor_number", label: "Debtor number or user name", kind: "text",
                    autocomplete: "username", value: &typed.debtor_number, faults: faults(failure, "debtor_number"),
                })
            }
            @if has_email {
                // Of kind `text`: people type ` Kim@Example.se;`, and the service reads it.
                (Field {
                    id: &id("email"), name: "email", label: "E-mail address", kind: "text",
                    autocomplete: "email", value: &typed.email, faults: faults(failure, "email"),
                })
            }
            @if has_bsn {
                (Field {
                    id: &id("bsn"), name: "bsn", label: "BSN", kind: "text",
                    autocomplete: "off", value: "", faults: faults(failure, "bsn"),
                })
            }
            label for=(id("locale")) { "Language of the mail" }
            select id=(id("locale")) name="locale" {
                @for (tag, language) in [("", "The one on file"), ("sv", "Svenska"), ("nl", "Nederlands"), ("en", "English")] {
                    option value=(tag) selected[typed.locale == tag] { (language) }
                }
            }
            button { "Send me a link" }
        }
    }
}

/// Asks for a link. The answer is the same whether there is such an account or not, and so is this page.
pub(in crate::simulators) async fn forgot(visit: Visit, Form(form): Form<ForgotForm>) -> Html<String> {
    let request = proto::RequestPasswordResetRequest {
        organization: visit.door.organization.clone(),
        portal: visit.door.proto_portal().into(),
        identification: form.identification(),
        locale: form.locale.clone(),
        client: Some(visit.client.clone()),
    };
    let mut client = PasswordResetServiceClient::new(visit.channel());
    let answer = match client.request_password_reset(visit.call(request)).await {
        Ok(answer) => answer.into_inner(),
        Err(status) => {
            let content = forgot_forms(&visit, &form, Some(&Failure::of(&status))).await;
            return visit.page("Forgot the password", content);
        }
    };
    let lifetime = answer.link_lifetime.and_then(|lifetime| u64::try_from(lifetime.seconds).ok());
    let content = html! {
        section.done role="status" {
            p { strong { "If what you typed fits an account, a mail is on its way to the address on file." } }
            @if let Some(seconds) = lifetime { p { "The link in it works for " (frame::duration(seconds)) "." } }
            dl { dt { "Reference code" } dd.code { (answer.reference_code) } }
            p { "No mail after some minutes? Look into the spam folder, then contact " (visit.door.display_name) " and tell them the code." }
        }
        p { a href="/mailbox" { "To the mailbox" } " · " a href=(visit.door.path()) { "Back to the login" } }
    };
    visit.page("Forgot the password", content)
}

/// The new password, with the token of the link.
#[derive(Default, Deserialize)]
pub(in crate::simulators) struct NewPasswordForm {
    #[serde(default)]
    reset_token: String,
    #[serde(default)]
    new_password: String,
}

/// The page that a link opens.
pub(in crate::simulators) async fn new_password_page(visit: Visit) -> Response {
    new_password_form(&visit, "", None).await
}

async fn new_password_form(visit: &Visit, reset_token: &str, failure: Option<&Failure>) -> Response {
    let offered = visit.offered().await.unwrap_or_default();
    let content = html! {
        @if let Some(failure) = failure { (failure) }
        form method="post" action={ (visit.door.path()) "/new-password" } {
            noscript { p.fault { "The link is read by a script: switch scripts on for this page, and open the link again." } }
            input id="reset-token" type="hidden" name="reset_token" value=(reset_token);
            (Field {
                id: "new-password", name: "new_password", label: "New password", kind: "password",
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
        p { a href={ (visit.door.path()) "/forgot" } { "Ask for a new link" } }
        script { (PreEscaped(TAKE_TOKEN)) }
    };
    ([(CONTENT_SECURITY_POLICY, policy_with_script())], visit.page("New password", content)).into_response()
}

/// The policy of the page with the script: that script by its hash, and no other.
fn policy_with_script() -> String {
    let hash = STANDARD.encode(digest(&SHA256, TAKE_TOKEN.as_bytes()));
    format!(
        "default-src 'none'; style-src 'self'; script-src 'sha256-{hash}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    )
}

/// Sets the new password.
pub(in crate::simulators) async fn new_password(visit: Visit, Form(form): Form<NewPasswordForm>) -> Response {
    let request = proto::ConfirmPasswordResetRequest {
        organization: visit.door.organization.clone(),
        portal: visit.door.proto_portal().into(),
        reset_token: form.reset_token.clone(),
        new_password: form.new_password,
        client: Some(visit.client.clone()),
    };
    let mut client = PasswordResetServiceClient::new(visit.channel());
    match client.confirm_password_reset(visit.call(request)).await {
        Ok(answer) => {
            let ended = answer.into_inner().ended_session_count;
            let content = html! {
                section.done role="status" {
                    p { strong { "The new password is set." } }
                    p { "Sessions that ended: " (ended) "." }
                }
                p { a href=(visit.door.path()) { "Log in with the new password" } }
            };
            visit.page("New password", content).into_response()
        }
        // A password that is refused does not use the link up.
        Err(status) => new_password_form(&visit, &form.reset_token, Some(&Failure::of(&status))).await,
    }
}
