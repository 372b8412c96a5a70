//! BankID's Relying Party API v6.0 over mutual TLS.

mod settings;

pub use settings::{BankIdSettings, Environment, Identity};
