//! The gRPC surface: wire messages become domain types, outcomes become answers.
//!
//! A request passes, in this order: `listener` (connections and their limits) → `fronts` (of which configuration) → `front`
//! (gRPC-Web, JWKS, request log, panics) → `caller` (who calls) → `access` (may it call this rpc) → `deadline` → the handler, which
//! asks `context` for the caller, `access` for the organization and `fields` for the rest.

mod accept_trouble;
pub mod access;
mod activate_credential;
pub mod at_work;
pub mod caller;
pub mod child;
pub mod client_address;
pub mod connection;
pub mod context;
pub mod deadline;
mod eid_login;
pub mod fallback_credential;
pub mod fields;
mod frame_meter;
pub mod front;
pub mod fronts;
pub mod guardian;
pub mod health;
pub mod incident;
pub mod jwks;
pub mod listener;
pub mod login;
pub mod login_bankid;
pub mod login_oidc;
mod name_words;
pub mod ops;
pub mod password;
pub mod password_reset;
mod plain;
mod reflection;
mod request_log;
pub mod session;
pub mod staff;
pub mod status;
pub mod tls;
mod trace_context;
mod untaken;
mod web;
