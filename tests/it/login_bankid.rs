//! Logging in with BankID, through the wire and against the simulated BankID.

mod bed;
mod review;
mod story;
