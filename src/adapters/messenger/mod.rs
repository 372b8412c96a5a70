//! Senders of messages: mail by SMTP, text messages by a gateway, and both into a folder.

mod elks;
mod folder;
mod mail_bytes;
mod smtp;

pub use elks::{ElksError, ElksSender, ElksSettings};
pub use folder::FolderSender;
pub use smtp::{Login, Security, SmtpError, SmtpSender, SmtpSettings};
