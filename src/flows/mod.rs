//! The order of steps, one file per story.

pub mod attempt;
pub mod change_password;
pub mod devices;
pub mod directory_import;
pub mod failure_notices;
pub mod gate;
pub mod last_done;
pub mod login_methods;
pub mod login_password;
pub mod national_id;
pub mod notices;
pub mod one_time_token;
pub mod organizations;
pub mod outbox;
pub mod password_reset;
pub mod refusal_log;
pub mod reset_requests;
pub mod session;
pub mod session_tokens;
pub mod signing_keys;
pub mod upkeep;
