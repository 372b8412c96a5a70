//! Logging in at an `OpenID` provider: one that is evil in every way that is known, and one that is certified.

mod attempts;
mod basic_rp;
mod bed;
mod brokers;
mod certified;
mod config_rp;
mod coverage;
mod fapi2;
mod keys;
mod others;
mod ours;
mod outage;
mod party;
mod requests;
