//! A message to a guardian: what it says, where it goes, and how long it is tried.

use std::time::Duration;

use super::id::{GuardianId, MessageId};
use super::organization::{OrganizationId, Portal};
use super::passphrase::Locale;
use super::reference_code::ReferenceCode;
use super::time::Timestamp;

/// Tries that count, after which a message is dead. A try that was refused counts if the channel took another message
/// since the last one: an outage of the mail server uses up nobody's tries. One whose answer was lost counts always: the
/// message may have arrived.
pub const MOST_ATTEMPTS: i64 = 10;

/// A message that is older is dead: a reset that was asked for yesterday surprises more than it helps.
pub const MOST_AGE: Duration = Duration::from_hours(24);

/// Pause after the first failed try.
const FIRST_PAUSE: Duration = Duration::from_secs(30);

/// Longest pause between two tries: what was accepted is delivered within 5 minutes of the end of an outage (B28).
const LONGEST_PAUSE: Duration = Duration::from_mins(4);

/// By which way a message goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Channel {
    /// E-mail.
    Email,
    /// A text message to a mobile phone.
    Sms,
}

impl Channel {
    /// All channels.
    pub const ALL: [Self; 2] = [Self::Email, Self::Sms];

    /// The name in the store and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Email => "email",
            Self::Sms => "sms",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == text)
    }
}

/// What a message says. The texts are in `message_text`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Template {
    /// The link to set a new password with.
    ResetLink,
    /// The account has no password: how to log in instead.
    NoPassword,
    /// The password cannot be reset by mail: the school can help.
    ContactSchool,
    /// The account is at the other portal.
    WrongPortal,
    /// Several accounts have this address: ask again with the debtor number.
    SeveralAccounts,
    /// The password was changed or reset.
    PasswordChanged,
    /// Somebody types wrong passwords, one after the other.
    FailedLogins,
    /// The password was closed after too many of them.
    PasswordClosed,
    /// The link to choose a first password with, which staff issued to a guardian.
    ActivationLink,
    /// The same for somebody who was invited as staff.
    StaffInvitation,
}

impl Template {
    /// All templates.
    pub const ALL: [Self; 10] = [
        Self::ResetLink,
        Self::NoPassword,
        Self::ContactSchool,
        Self::WrongPortal,
        Self::SeveralAccounts,
        Self::PasswordChanged,
        Self::FailedLogins,
        Self::PasswordClosed,
        Self::ActivationLink,
        Self::StaffInvitation,
    ];

    /// The name in the store and in the files of texts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ResetLink => "reset_link",
            Self::NoPassword => "no_password",
            Self::ContactSchool => "contact_school",
            Self::WrongPortal => "wrong_portal",
            Self::SeveralAccounts => "several_accounts",
            Self::PasswordChanged => "password_changed",
            Self::FailedLogins => "failed_logins",
            Self::PasswordClosed => "password_closed",
            Self::ActivationLink => "activation_link",
            Self::StaffInvitation => "staff_invitation",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|template| template.as_str() == text)
    }
}

/// A message to be put into the outbox. It holds no address: it goes to the one on file when it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewMessage {
    /// Its id; the Message-ID of every try is made from it.
    pub id: MessageId,
    /// For which organization.
    pub organization: OrganizationId,
    /// About which portal.
    pub portal: Portal,
    /// To whom; nobody where a request found nobody, and then there is nothing to send.
    pub guardian: Option<GuardianId>,
    /// By which way.
    pub channel: Channel,
    /// What it says. `None`: there is nothing to send, and the row is written all the same.
    pub template: Option<Template>,
    /// In which language; the one on file if `None`.
    pub locale: Option<Locale>,
    /// The code of the request that it answers, if one.
    pub reference: Option<ReferenceCode>,
    /// A second message with this key is not put in.
    pub idempotency_key: String,
    /// When.
    pub at: Timestamp,
}

/// Where a message is on its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageState {
    /// Waits to be sent, for the first time or again.
    Queued,
    /// The next hop has taken it.
    Sent,
    /// It cannot be delivered.
    Failed,
    /// It was given up after too many tries or too long a time.
    Dead,
    /// There was nothing to send.
    Void,
}

impl MessageState {
    /// All states.
    pub const ALL: [Self; 5] = [Self::Queued, Self::Sent, Self::Failed, Self::Dead, Self::Void];

    /// The name in the store and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Sent => "sent",
            Self::Failed => "failed",
            Self::Dead => "dead",
            Self::Void => "void",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// Why a message was not delivered, so far or for good. Diagnosis shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DeliveryFault {
    /// The guardian has no address for this channel, or one that is none.
    NoAddress,
    /// The account changed since: a link would not work.
    AccountChanged,
    /// The mail server or gateway says that there is no such recipient.
    RecipientRefused,
    /// It does not take this message.
    MessageRefused,
    /// It does not take this message now.
    Deferred,
    /// It broke off while it had the message: the message may have arrived.
    BrokenOff,
    /// It cannot be reached, or does not let us in.
    Unreachable,
    /// Text messages to this country are not allowed.
    CountryNotAllowed,
    /// The recipient or the organization had too many text messages.
    Capped,
    /// The organization has no way to send it: its configuration changed.
    NotConfigured,
    /// It waited for longer than a message may, and was not tried any more.
    TooOld,
}

impl DeliveryFault {
    /// All faults, for documentation tests.
    pub const ALL: [Self; 11] = [
        Self::NoAddress,
        Self::AccountChanged,
        Self::RecipientRefused,
        Self::MessageRefused,
        Self::Deferred,
        Self::BrokenOff,
        Self::Unreachable,
        Self::CountryNotAllowed,
        Self::Capped,
        Self::NotConfigured,
        Self::TooOld,
    ];

    /// The name in the store, in the audit log and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::NoAddress => "no_address",
            Self::AccountChanged => "account_changed",
            Self::RecipientRefused => "recipient_refused",
            Self::MessageRefused => "message_refused",
            Self::Deferred => "deferred",
            Self::BrokenOff => "broken_off",
            Self::Unreachable => "unreachable",
            Self::CountryNotAllowed => "country_not_allowed",
            Self::Capped => "capped",
            Self::NotConfigured => "not_configured",
            Self::TooOld => "too_old",
        }
    }
}

/// The pause before the next try of a message that was put in so long ago: as long as it waited so far, which doubles the
/// pauses whether tries count or not; less up to a quarter by chance, so that messages that failed together do not come
/// back together. `random` is 0 to 255.
pub fn pause(waited: Duration, random: u8) -> Duration {
    let full = waited.saturating_add(FIRST_PAUSE).min(LONGEST_PAUSE);
    full.saturating_sub(full / 4 * u32::from(random) / 256)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_four_minutes_and_chance_only_shortens_them() {
        let mut waited = Duration::ZERO;
        let full = [(); 6].map(|()| {
            let next = pause(waited, 0);
            waited += next;
            next.as_secs()
        });
        assert_eq!(full, [30, 60, 120, 240, 240, 240]);
        for waited in [Duration::ZERO, Duration::from_secs(1), Duration::from_hours(30), Duration::MAX] {
            for random in [0, 1, 128, 255] {
                let pause = pause(waited, random);
                assert!(pause <= LONGEST_PAUSE && pause >= FIRST_PAUSE * 3 / 4, "{waited:?} {random}");
            }
        }
    }
}
