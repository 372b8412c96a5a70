//! What went wrong in a conversation with a mail server, at which stage, and what it means for the mail.

use std::fmt;
use std::io;

use super::reply::Code;
use crate::domain::message::DeliveryFault;
use crate::ports::messenger::SendError;

/// Where a conversation is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// Waiting for one of our connections.
    Place,
    /// The look-up of the host's name.
    LookUp,
    /// TCP.
    Connect,
    /// The TLS handshake.
    Tls,
    /// The server's first words.
    Greeting,
    /// EHLO.
    Hello,
    /// STARTTLS.
    StartTls,
    /// AUTH.
    Login,
    /// RSET, after a mail that was not taken.
    Reset,
    /// MAIL FROM.
    Sender,
    /// RCPT TO.
    Recipient,
    /// DATA.
    Data,
    /// The content, and the answer to it.
    Content,
    /// QUIT.
    Quit,
}

impl Stage {
    /// The name in a log line.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Place => "waiting for a connection",
            Self::LookUp => "name look-up",
            Self::Connect => "connect",
            Self::Tls => "TLS",
            Self::Greeting => "greeting",
            Self::Hello => "EHLO",
            Self::StartTls => "STARTTLS",
            Self::Login => "AUTH",
            Self::Reset => "RSET",
            Self::Sender => "MAIL FROM",
            Self::Recipient => "RCPT TO",
            Self::Data => "DATA",
            Self::Content => "content",
            Self::Quit => "QUIT",
        }
    }
}

/// What happened.
#[derive(Debug)]
pub(super) enum Trouble {
    /// The server answered, and not what lets us go on.
    Reply(Code),
    /// The connection was not made, or is gone.
    Lost(io::Error),
    /// Our time is over.
    TimedOut,
    /// What came is no reply of SMTP, or more than was asked for.
    Garbled,
    /// The server does not offer what we need.
    NotOffered,
}

/// What happened, and where.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) stage: Stage,
    pub(super) trouble: Trouble,
}

impl Fault {
    /// Whether it is only that a connection that was kept has ended meanwhile: the server has heard nothing of this
    /// mail, or has hung up instead of listening.
    pub(super) fn is_end_of_kept_connection(&self) -> bool {
        let is_end = match &self.trouble {
            Trouble::Lost(_) => true,
            Trouble::Reply(code) => code.hangs_up(),
            Trouble::TimedOut | Trouble::Garbled | Trouble::NotOffered => false,
        };
        is_end && self.stage <= Stage::Sender
    }

    /// Whether the connection can carry the next mail, after RSET.
    pub(super) fn leaves_connection(&self) -> bool {
        match &self.trouble {
            // Who refuses us rather than the mail may do better with a fresh connection.
            Trouble::Reply(code) => !code.hangs_up() && self.stage >= Stage::Recipient,
            Trouble::Lost(_) | Trouble::TimedOut | Trouble::Garbled | Trouble::NotOffered => false,
        }
    }

    /// What it means for the mail.
    fn meaning(&self) -> DeliveryFault {
        let code = match &self.trouble {
            Trouble::Reply(code) => Some(code),
            Trouble::Lost(_) | Trouble::TimedOut | Trouble::Garbled | Trouble::NotOffered => None,
        };
        match self.stage {
            Stage::Recipient | Stage::Data => match code {
                // 530 wants a login first, whoever the recipient is (RFC 4954 §6).
                Some(code) if code.hangs_up() || code.number() == 530 => DeliveryFault::Unreachable,
                Some(code) if code.is_temporary() => DeliveryFault::Deferred,
                Some(code) if code.is_permanent() && self.stage == Stage::Recipient => {
                    DeliveryFault::RecipientRefused
                }
                Some(code) if code.is_permanent() => DeliveryFault::MessageRefused,
                Some(_) | None => DeliveryFault::Unreachable,
            },
            // Who we write as differs between organizations: what is refused to one must not hold up the others.
            Stage::Sender => match code {
                Some(code) if code.hangs_up() || code.number() == 530 => DeliveryFault::Unreachable,
                Some(code) if code.is_temporary() || code.is_permanent() => DeliveryFault::Deferred,
                Some(_) | None => DeliveryFault::Unreachable,
            },
            Stage::Content => match code {
                Some(code) if code.is_temporary() => DeliveryFault::Deferred,
                Some(code) if code.is_permanent() => DeliveryFault::MessageRefused,
                Some(_) | None => DeliveryFault::BrokenOff,
            },
            Stage::Place
            | Stage::LookUp
            | Stage::Connect
            | Stage::Tls
            | Stage::Greeting
            | Stage::Hello
            | Stage::StartTls
            | Stage::Login
            | Stage::Reset
            | Stage::Quit => DeliveryFault::Unreachable,
        }
    }
}

impl fmt::Display for Fault {
    /// Holds nothing that the server wrote but its codes: its words may quote the recipient.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.stage.as_str())?;
        match &self.trouble {
            Trouble::Reply(code) => write!(f, "{code}"),
            // Whether it is the name, the time or the authority of a certificate is what an operator needs to know.
            Trouble::Lost(error) if self.stage == Stage::Tls => write!(f, "{error}"),
            // The resolver's errors have no kind of their own.
            Trouble::Lost(_) if self.stage == Stage::LookUp => f.write_str("the host has no address"),
            Trouble::Lost(error) => write!(f, "{:?}", error.kind()),
            Trouble::TimedOut => f.write_str("no answer in time"),
            Trouble::Garbled => f.write_str("no answer of SMTP"),
            Trouble::NotOffered => f.write_str("not offered"),
        }
    }
}

impl From<Fault> for SendError {
    fn from(fault: Fault) -> Self {
        Self { fault: fault.meaning(), detail: fault.to_string() }
    }
}
