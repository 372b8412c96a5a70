//! Logging in at an `OpenID` provider: one that is evil in every way that is known, and one that is certified.

mod basic_rp;
mod bed;
mod brokers;
mod certified;
mod config_rp;
mod fapi2;
mod others;
mod ours;
mod party;
mod requests;
