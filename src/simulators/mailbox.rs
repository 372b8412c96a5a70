//! The mailbox: what was written into a directory instead of being sent.

use std::io;
use std::path::Path;
use std::sync::Arc;

use axum::extract::{Path as InPath, State};
use axum::response::{Html, IntoResponse, Response};
use http::header::CONTENT_SECURITY_POLICY;
use mail_parser::{Address, Message, MessageParser, PartType};
use maud::html;

use super::{Pages, frame};

/// Messages in the list: the newest.
const MOST_LISTED: usize = 200;

/// A message that is larger is not read: ours are a few kilobytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// The list is loaded again after this many seconds: a mail is there soon after it was asked for.
const REFRESH_SECONDS: u32 = 5;

/// Of a mail's HTML: styles of its own, nothing fetched, no script, an origin of its own, links into tabs of their own.
const MAIL_POLICY: &str = "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'";

/// What a file holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Mail,
    TextMessage,
}

/// The name of a message's file: `<unix ms>-<id>.eml` or `.txt`. Nothing else is opened, so no name leads out of the
/// directory.
#[derive(Clone, Debug, PartialEq, Eq)]
struct FileName {
    name: String,
    at_ms: i64,
    kind: Kind,
}

impl FileName {
    fn parse(name: &str) -> Option<Self> {
        let (stem, ending) = name.rsplit_once('.')?;
        let kind = match ending {
            "eml" => Kind::Mail,
            "txt" => Kind::TextMessage,
            _ => return None,
        };
        let (at_ms, id) = stem.split_once('-')?;
        let is_id = (1..=64).contains(&id.len())
            && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        let is_time = (1..=15).contains(&at_ms.len()) && at_ms.bytes().all(|byte| byte.is_ascii_digit());
        (is_id && is_time).then_some(())?;
        Some(Self { name: name.to_owned(), at_ms: at_ms.parse().ok()?, kind })
    }

    fn time(&self) -> String {
        jiff::Timestamp::from_millisecond(self.at_ms)
            .map_or_else(|_| self.at_ms.to_string(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string())
    }
}

/// A message as people read it.
struct Letter {
    from: String,
    to: String,
    subject: String,
    plain: String,
    html: Option<String>,
}

impl Letter {
    /// Reads a message's file; `None` if it is not there, too large, or not to be read as what its name says.
    async fn read(directory: &Path, file: &FileName) -> Option<Self> {
        let path = directory.join(&file.name);
        // Not through a link: it may lead anywhere.
        let metadata = tokio::fs::symlink_metadata(&path).await.ok()?;
        if !metadata.is_file() || metadata.len() > MOST_BYTES {
            return None;
        }
        let bytes = tokio::fs::read(&path).await.ok()?;
        match file.kind {
            Kind::Mail => MessageParser::default().parse(&bytes).map(|message| Self::of_mail(&message)),
            Kind::TextMessage => Some(Self::of_text_message(&String::from_utf8_lossy(&bytes))),
        }
    }

    fn of_mail(message: &Message<'_>) -> Self {
        let html = message.html_part(0).and_then(|part| match &part.body {
            PartType::Html(html) => Some(html.clone().into_owned()),
            PartType::Text(_)
            | PartType::Binary(_)
            | PartType::InlineBinary(_)
            | PartType::Message(_)
            | PartType::Multipart(_) => None,
        });
        Self {
            from: addresses(message.from()),
            to: addresses(message.to()),
            subject: message.subject().unwrap_or_default().to_owned(),
            plain: message.body_text(0).unwrap_or_default().into_owned(),
            html,
        }
    }

    /// A first line `To: …` and a blank line, if they are there, are no part of the text.
    fn of_text_message(text: &str) -> Self {
        let text = text.replace("\r\n", "\n");
        let head = text.strip_prefix("To: ").and_then(|rest| rest.split_once('\n'));
        let (to, text) = head.map_or(("", text.as_str()), |(to, text)| (to, text.trim_start_matches('\n')));
        Self {
            from: String::new(),
            to: to.to_owned(),
            subject: "Text message".to_owned(),
            plain: text.to_owned(),
            html: None,
        }
    }
}

fn addresses(header: Option<&Address<'_>>) -> String {
    let each = header.into_iter().flat_map(Address::iter).map(|one| match (one.name(), one.address()) {
        (Some(name), Some(address)) => format!("{name} <{address}>"),
        (name, address) => address.or(name).unwrap_or_default().to_owned(),
    });
    each.collect::<Vec<_>>().join(", ")
}

/// The messages of a directory, newest first; none if it is not there yet.
async fn files(directory: &Path) -> io::Result<Vec<FileName>> {
    let mut entries = match tokio::fs::read_dir(directory).await {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut found = Vec::new();
    while let Some(entry) = entries.next_entry().await? {
        found.extend(entry.file_name().to_str().and_then(FileName::parse));
    }
    found.sort_by(|one, other| (other.at_ms, &other.name).cmp(&(one.at_ms, &one.name)));
    found.truncate(MOST_LISTED);
    Ok(found)
}

/// The list, newest first.
pub(super) async fn list(State(pages): State<Arc<Pages>>) -> Html<String> {
    let mut rows = Vec::new();
    let found = files(&pages.mailbox_dir).await;
    for file in found.iter().flatten() {
        rows.push((file, Letter::read(&pages.mailbox_dir, file).await));
    }
    let content = html! {
        @if let Err(error) = &found {
            section.alert role="alert" { p { "The directory cannot be read: " (error) } }
        } @else if rows.is_empty() {
            section { p { "No message yet. This page looks again every " (REFRESH_SECONDS) " seconds." } }
        } @else {
            table {
                thead { tr { th scope="col" { "Time" } th scope="col" { "To" } th scope="col" { "Subject" } } }
                tbody {
                    @for (file, letter) in &rows {
                        tr {
                            td { (file.time()) }
                            @if let Some(letter) = letter {
                                td { (letter.to) }
                                td { a href={ "/mailbox/" (file.name) } {
                                    @if letter.subject.trim().is_empty() { "(no subject)" } @else { (letter.subject) }
                                } }
                            } @else {
                                td {} td { (file.name) " cannot be read" }
                            }
                        }
                    }
                }
            }
        }
    };
    frame::page("Mailbox", Some(REFRESH_SECONDS), content)
}

/// The newest mail as plain text, for scripts; to whom it goes in the first line.
pub(super) async fn latest(State(pages): State<Arc<Pages>>) -> Response {
    let found = files(&pages.mailbox_dir).await.unwrap_or_default();
    let newest = found.iter().find(|file| file.kind == Kind::Mail);
    let Some(file) = newest else { return frame::not_found().into_response() };
    match Letter::read(&pages.mailbox_dir, file).await {
        Some(letter) => {
            format!("To: {}\nSubject: {}\n\n{}", letter.to, letter.subject, letter.plain).into_response()
        }
        None => frame::not_found().into_response(),
    }
}

/// One message, as HTML in a sandbox and as plain text.
pub(super) async fn show(State(pages): State<Arc<Pages>>, InPath(name): InPath<String>) -> Response {
    let Some(file) = FileName::parse(&name) else { return frame::not_found().into_response() };
    let Some(letter) = Letter::read(&pages.mailbox_dir, &file).await else {
        return frame::not_found().into_response();
    };
    let content = html! {
        section {
            dl {
                @if !letter.from.is_empty() { dt { "From" } dd { (letter.from) } }
                dt { "To" } dd { (letter.to) }
                dt { "Time" } dd { (file.time()) }
                dt { "File" } dd { (file.name) }
            }
        }
        @if letter.html.is_some() {
            h2 { "HTML" }
            iframe title="The mail as HTML" src={ "/mailbox/" (file.name) "/html" }
                sandbox="allow-popups allow-popups-to-escape-sandbox" {}
        }
        h2 { "Plain text" }
        section { pre { (frame::linked(&letter.plain)) } }
        p { a href="/mailbox" { "Back to the mailbox" } }
    };
    frame::page(&letter.subject, None, content).into_response()
}

/// The HTML of a mail, for the sandbox only.
pub(super) async fn html(State(pages): State<Arc<Pages>>, InPath(name): InPath<String>) -> Response {
    let Some(file) = FileName::parse(&name) else { return frame::not_found().into_response() };
    match Letter::read(&pages.mailbox_dir, &file).await.and_then(|letter| letter.html) {
        Some(html) => ([(CONTENT_SECURITY_POLICY, MAIL_POLICY)], Html(links_in_tabs(&html))).into_response(),
        None => frame::not_found().into_response(),
    }
}

/// The sandbox may not navigate, so links open elsewhere. Behind `<head>` if there is one: in front of a doctype it would
/// change how the mail is shown.
fn links_in_tabs(html: &str) -> String {
    const BASE: &str = "<base target=\"_blank\">";
    let head = html.to_ascii_lowercase().find("<head>").map_or(0, |at| at + "<head>".len());
    let (before, after) = html.split_at(head);
    format!("{before}{BASE}{after}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_messages_are_opened() {
        let file = FileName::parse("1795262400000-01KAMXJ7VQ3S8Z0H2T9B4C5D6E.eml").unwrap();
        assert_eq!((file.at_ms, file.kind), (1_795_262_400_000, Kind::Mail));
        assert_eq!(file.time(), "2026-11-21 12:00:00 UTC");
        assert_eq!(FileName::parse("1-a.txt").unwrap().kind, Kind::TextMessage);
        for name in [
            "",
            ".eml",
            "-a.eml",
            "1-.eml",
            "1-a.html",
            "1-a",
            "../1-a.eml",
            "1-../a.eml",
            "1-a/../../b.eml",
            "1-a\\b.eml",
            "1-a%2e.eml",
            "1-a.eml.tmp",
            "1-å.eml",
            "+1-a.eml",
            "9999999999999999-a.eml",
        ] {
            assert_eq!(FileName::parse(name), None, "{name}");
        }
    }

    #[test]
    fn a_text_message_may_say_to_whom_it_goes() {
        let letter = Letter::of_text_message("To: +46701740605\r\n\r\nHej!\r\n");
        assert_eq!((letter.to.as_str(), letter.plain.as_str()), ("+46701740605", "Hej!\n"));
        let letter = Letter::of_text_message("Hej!");
        assert_eq!((letter.to.as_str(), letter.plain.as_str()), ("", "Hej!"));
    }

    #[test]
    fn links_of_a_mail_open_in_tabs_of_their_own() {
        assert_eq!(
            links_in_tabs("<!doctype html><HEAD><p>"),
            "<!doctype html><HEAD><base target=\"_blank\"><p>"
        );
        assert_eq!(links_in_tabs("<p>"), "<base target=\"_blank\"><p>");
    }
}
