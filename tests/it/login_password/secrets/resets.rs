//! The part of the search that asks for links and uses one.

use guardian_auth::config::Mail;
use guardian_auth::domain::password_reset::ResetMethod;
use guardian_auth::proto::request_password_reset_request::Identification;

use super::{
    BENT_RESET_TOKEN, EMAIL, EMAIL_OF_NOBODY, GUESS, NAME, NEWEST, SHORT, UNKNOWN_BSN, UNKNOWN_NAME,
};
use crate::password_reset::{SOON, ask, by_email, confirm, inspect};
use crate::support::eventually;
use crate::support::service::{Calls, Service};

pub(super) fn offer_everything(config: &mut guardian_auth::config::Config) {
    for reset in config.organizations.iter_mut().filter_map(|it| it.reset.as_mut()) {
        reset.methods = ResetMethod::ALL.to_vec();
    }
}

/// The tokens of links in the mails that were written into the folder.
fn tokens(service: &Service) -> Vec<String> {
    let Some(Mail::Folder { path }) = service.config().mail else { panic!("mails go into a folder") };
    let files =
        std::fs::read_dir(path).map_or_else(|_| Vec::new(), |files| files.filter_map(Result::ok).collect());
    let mails = files.iter().filter(|file| file.path().extension().is_some_and(|ending| ending == "eml"));
    let texts = mails.map(|file| std::fs::read_to_string(file.path()).unwrap());
    // Quoted-printable: a long line goes on behind `=`.
    let plain = texts.map(|text| text.replace("=\r\n", ""));
    let token = |text: String| {
        let at = text.find("grt_")?;
        Some(text[at..].chars().take_while(|c| c.is_ascii_alphanumeric() || "-_".contains(*c)).collect())
    };
    plain.filter_map(token).collect()
}

/// Calls the three rpcs, well and badly.
pub(super) async fn reset(service: &Service, calls: &Calls, secrets: &mut Vec<String>) {
    for identification in [
        by_email(NAME, EMAIL),
        by_email(NAME, EMAIL_OF_NOBODY),
        by_email(UNKNOWN_NAME, EMAIL),
        Identification::Email(EMAIL_OF_NOBODY.to_owned()),
        Identification::DebtorNumberAndBsn(guardian_auth::proto::DebtorNumberAndBsn {
            debtor_number: NAME.to_owned(),
            bsn: UNKNOWN_BSN.to_owned(),
        }),
    ] {
        ask(calls, identification).await.unwrap();
    }
    ask(calls, by_email(GUESS, "no address")).await.unwrap_err();
    eventually(SOON, "a mail with a link is written", async || !tokens(service).is_empty()).await;
    let token = tokens(service).remove(0);
    inspect(calls, &token).await.unwrap();
    inspect(calls, BENT_RESET_TOKEN).await.unwrap_err();
    confirm(calls, BENT_RESET_TOKEN, NEWEST).await.unwrap_err();
    confirm(calls, &token, SHORT).await.unwrap_err();
    confirm(calls, &token, NEWEST).await.unwrap();
    confirm(calls, &token, NEWEST).await.unwrap_err();
    secrets.push(token);
}
