//! The frame of every page, with its one stylesheet.

use axum::response::{Html, IntoResponse};
use http::StatusCode;
use http::header::CONTENT_TYPE;
use maud::{DOCTYPE, Markup, Render, html};

/// A page with a title. `refresh_seconds`: it is loaded again by itself.
pub(super) fn page(title: &str, refresh_seconds: Option<u32>, content: impl Render) -> Html<String> {
    let navigation = html! {
        nav aria-label="Simulators" {
            a href="/mailbox" { "Mailbox" } " · " a href="/portal" { "Portals" } " · " a href="/bankid" { "BankID" }
            " — stand-ins for development; sample data only"
        }
    };
    framed(title, refresh_seconds, &navigation, content)
}

/// A page of somebody else than the portal, on a server of its own.
pub(super) fn outside(title: &str, content: impl Render) -> Html<String> {
    framed(title, None, &html! { "A simulated identity provider; sample data only" }, content)
}

fn framed(title: &str, refresh_seconds: Option<u32>, header: &Markup, content: impl Render) -> Html<String> {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                @if let Some(seconds) = refresh_seconds {
                    meta http-equiv="refresh" content=(seconds);
                }
                title { (title) " – guardian-auth dev" }
                link rel="stylesheet" href="/style.css";
            }
            body {
                header { (header) }
                main { h1 { (title) } (content) }
            }
        }
    };
    Html(markup.into_string())
}

/// Where the pages begin.
pub(super) async fn index() -> impl IntoResponse {
    let content = html! {
        section {
            p { a href="/portal" { "Portals" } ": log in, ask for a new password, set one." }
            p { a href="/bankid" { "BankID" } ": the app on a simulated phone." }
            p { a href="/mailbox" { "Mailbox" } ": the mails and text messages that were sent." }
        }
    };
    page("Simulators", None, content)
}

/// The stylesheet of all pages.
pub(super) async fn stylesheet() -> impl IntoResponse {
    ([(CONTENT_TYPE, "text/css; charset=utf-8")], include_str!("style.css"))
}

/// There is no such page.
pub(super) fn not_found() -> (StatusCode, Html<String>) {
    let content =
        html! { section { p { "There is no such page. " a href="/" { "Back to the beginning" } "." } } };
    (StatusCode::NOT_FOUND, page("Not found", None, content))
}

/// A request that is not answered.
pub(super) fn refused(why: &str) -> (StatusCode, Html<String>) {
    (StatusCode::FORBIDDEN, page("Refused", None, html! { section { p { (why) } } }))
}

/// Text with its http(s) URLs as links that open in a tab of their own.
pub(super) fn linked(text: &str) -> Markup {
    let mut words = Vec::new();
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_end();
        let url = bare.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', '>', '"']);
        let is_url = url.starts_with("https://") || url.starts_with("http://");
        words.push(if is_url { (Some(url), &word[url.len()..]) } else { (None, word) });
    }
    html! {
        @for (url, rest) in words {
            @if let Some(url) = url {
                a href=(url) target="_blank" rel="noopener noreferrer" { (url) }
            }
            (rest)
        }
    }
}

/// A span of time in words.
pub(super) fn duration(seconds: u64) -> String {
    let (count, unit) = match seconds {
        0..120 => (seconds, "second"),
        120..7200 => (seconds.div_ceil(60), "minute"),
        _ => (seconds.div_ceil(3600), "hour"),
    };
    format!("{count} {unit}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_become_links_and_nothing_else_becomes_markup() {
        let markup =
            linked("See https://a.example/x#token=1.\n<b> javascript:alert(1) http://b.example/\"><i>")
                .into_string();
        assert_eq!(
            markup,
            "See <a href=\"https://a.example/x#token=1\" target=\"_blank\" rel=\"noopener noreferrer\">\
             https://a.example/x#token=1</a>.\n&lt;b&gt; javascript:alert(1) \
             <a href=\"http://b.example/&quot;&gt;&lt;i\" target=\"_blank\" rel=\"noopener noreferrer\">\
             http://b.example/&quot;&gt;&lt;i</a>&gt;"
        );
    }

    #[test]
    fn spans_are_told_in_the_unit_that_people_use() {
        assert_eq!([1, 90, 3600, 86_400].map(duration), ["1 second", "90 seconds", "60 minutes", "24 hours"]);
    }
}
