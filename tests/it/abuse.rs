//! Somebody abuses the port of the real process, and a portal beside goes on: B37, B31, full tables, full disks.

mod descriptors;
mod disk_full;
mod drivers;
mod frames;
mod full_log;
mod malformed;
mod many;
mod slow;
mod target;
