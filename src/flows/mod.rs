//! The order of steps, one file per story.

pub mod attempt;
pub mod change_password;
pub mod change_ticket;
pub mod devices;
pub mod directory_import;
pub mod gate;
pub mod login_methods;
pub mod login_password;
pub mod national_id;
pub mod organizations;
pub mod refusal_log;
pub mod session;
pub mod session_tokens;
pub mod signing_keys;
pub mod upkeep;
