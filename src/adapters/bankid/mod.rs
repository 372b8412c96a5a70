//! BankID's Relying Party API v6.0 over mutual TLS.

mod answer;
mod client;
mod identity;
mod qr;
mod refusal;
mod request;
mod settings;
mod trust;

pub use client::BankIdClient;
pub use settings::{BankIdSettings, BankIdSettingsError, Environment, Identity};
