//! A stand-in for a parent portal: what its backend does with the service, from the login with a password or an eID to a new
//! password.

pub(super) mod activate;
pub(super) mod bankid;
mod eid;
pub(super) mod login;
pub(super) mod oidc;
pub(super) mod password_reset;
mod qr;
mod visit;

use std::sync::Arc;

use axum::extract::State;
use axum::response::Html;
use maud::{Markup, Render, html};

use super::failure::Failure;
use super::{Pages, frame};
pub(super) use visit::Door;

/// All portals.
pub(in crate::simulators) async fn list(State(pages): State<Arc<Pages>>) -> Html<String> {
    let content = html! {
        section {
            @if pages.doors.is_empty() { p { "No portal is configured." } }
            @for door in &pages.doors {
                p {
                    a href=(door.path()) { (door.display_name) ", " (door.portal.as_str()) }
                    " · " a href={ (door.path()) "/forgot" } { "forgot the password" }
                }
            }
        }
    };
    frame::page("Portals", None, content)
}

/// An input with its label and what is wrong with it.
struct Field<'a> {
    id: &'a str,
    name: &'a str,
    label: &'a str,
    kind: &'a str,
    autocomplete: &'a str,
    value: &'a str,
    faults: Vec<String>,
}

impl Render for Field<'_> {
    fn render(&self) -> Markup {
        let is_wrong = !self.faults.is_empty();
        let described_by = format!("{}-faults", self.id);
        html! {
            label for=(self.id) { (self.label) }
            input id=(self.id) name=(self.name) type=(self.kind) autocomplete=(self.autocomplete) value=(self.value)
                aria-invalid=(is_wrong) aria-describedby=[is_wrong.then_some(&described_by)];
            @if is_wrong {
                p.fault id=(described_by) { (self.faults.join(" ")) }
            }
        }
    }
}

fn faults(failure: Option<&Failure>, field: &str) -> Vec<String> {
    failure.map(|failure| failure.faults_of(field).collect()).unwrap_or_default()
}
