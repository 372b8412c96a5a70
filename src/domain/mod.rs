//! The rules of guardian-auth. Pure: no async, no clock, no I/O, no serde.

pub mod audit;
pub mod bankid;
pub mod bankid_message;
pub mod caller;
pub mod client;
pub mod device;
pub mod directory;
pub mod directory_row;
pub mod eid_login;
pub mod foreign_parameters;
pub mod id;
pub mod identifier;
pub mod limits;
pub mod login_password;
pub mod message;
pub mod message_text;
pub mod oidc;
pub mod organization;
pub mod passphrase;
pub mod password;
pub mod password_reset;
pub mod reference_code;
pub mod secret;
pub mod session;
pub mod time;
pub mod user_name;
