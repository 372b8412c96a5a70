//! The right to choose a password once: how long it lives, what it rests on, and where it stands.

use std::time::Duration;

use super::audit::Cause;
use super::id::ActivationId;
use super::login_password::{AccountState, Denied};
use super::time::Timestamp;

/// How long the code on a sheet is good if nobody says otherwise: a letter home, and the weekend after.
pub const SHEET_LIFETIME: Duration = Duration::from_hours(14 * 24);

/// Longest lifetime of the code on a sheet.
pub const LONGEST_SHEET_LIFETIME: Duration = Duration::from_hours(30 * 24);

/// Shortest lifetime of the code on a sheet: less is over before the guardian is at home.
pub const SHORTEST_SHEET_LIFETIME: Duration = Duration::from_hours(1);

/// How long a link is good: as a mail or a text message may be on its way for a day.
pub const LINK_LIFETIME: Duration = Duration::from_hours(24);

/// Wrong codes that end the right one. Of 2⁵⁰ codes ten are nothing, and who mistypes ten times needs help.
pub const MOST_WRONG_CODES: i64 = 10;

/// What was issued stays visible to staff for 90 days after its end.
pub const ACTIVATION_RETENTION: Duration = Duration::from_hours(90 * 24);

/// Credentials that one person issues are counted over this span.
pub const ISSUING_SPAN: Duration = Duration::from_hours(1);

/// Milliseconds of a day.
const DAY_MS: i64 = 24 * 60 * 60 * 1000;

/// A UTC day: whole days since 1970-01-01.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day(i64);

impl Day {
    /// The day of a time.
    pub const fn of(at: Timestamp) -> Self {
        Self(at.as_millis().div_euclid(DAY_MS))
    }

    /// Its number.
    pub const fn number(self) -> i64 {
        self.0
    }

    /// When the next one begins.
    pub const fn end(self) -> Timestamp {
        Timestamp::from_millis((self.0 + 1) * DAY_MS)
    }
}

/// What must be there for a password to stay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestsOn {
    /// A relation that the source or staff confirmed: the password was imported.
    Source,
    /// A relation that staff confirmed: staff issued it.
    Staff,
    /// The account of a staff member, who was invited.
    Invitation,
}

impl RestsOn {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Source, Self::Staff, Self::Invitation];

    /// The name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Source => "source",
            Self::Staff => "staff",
            Self::Invitation => "invitation",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|rests_on| rests_on.as_str() == text)
    }
}

/// By which way the right to choose a password was given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A sheet with a code.
    Sheet,
    /// A link in a mail, or in a mail and a text message.
    Email,
    /// A link in a text message.
    Sms,
    /// A link that was printed at the command line.
    Printed,
}

impl Delivery {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Sheet, Self::Email, Self::Sms, Self::Printed];

    /// The name in the store and in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Sheet => "sheet",
            Self::Email => "email",
            Self::Sms => "sms",
            Self::Printed => "printed",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|delivery| delivery.as_str() == text)
    }
}

/// Why the right to choose a password ended before its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationEnd {
    /// A password was chosen.
    Used,
    /// A newer one took its place.
    Replaced,
    /// Staff revoked it, or what it rested on ended.
    Revoked,
    /// Ten wrong codes.
    Exhausted,
}

impl ActivationEnd {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Used, Self::Replaced, Self::Revoked, Self::Exhausted];

    /// The name in the store.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Used => "used",
            Self::Replaced => "replaced",
            Self::Revoked => "revoked",
            Self::Exhausted => "exhausted",
        }
    }

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.as_str() == text)
    }
}

/// Where the right to choose a password stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActivationState {
    /// Nobody used it yet.
    Waiting,
    /// It ended, so or so.
    Ended(ActivationEnd),
    /// Nobody used it in time.
    Expired,
}

/// Where it stands now. `is_current`: it carries the epoch that the account has; one that does not is as good as revoked.
pub fn state(
    end: Option<ActivationEnd>,
    expires: Timestamp,
    is_current: bool,
    now: Timestamp,
) -> ActivationState {
    match end {
        Some(end) => ActivationState::Ended(end),
        None if expires <= now => ActivationState::Expired,
        None if !is_current => ActivationState::Ended(ActivationEnd::Revoked),
        None => ActivationState::Waiting,
    }
}

/// The lifetime of the code on a sheet, as asked for; `None` if it is too short or too long.
pub fn sheet_lifetime(asked: Option<Duration>) -> Option<Duration> {
    let lifetime = asked.unwrap_or(SHEET_LIFETIME);
    (SHORTEST_SHEET_LIFETIME..=LONGEST_SHEET_LIFETIME).contains(&lifetime).then_some(lifetime)
}

/// What decides whether a password may be chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// What the account may do.
    pub account: AccountState,
    /// Where the right to choose a password stands.
    pub state: ActivationState,
}

/// Decides after the code was compared, or the link's token was found. `None`: nothing was issued that the proof could be
/// of. `is_right` is false too where there was nothing to compare with.
///
/// # Errors
/// Why not, for the audit log: the public answer is one and the same.
pub fn decide(standing: Option<Standing>, is_right: bool) -> Result<(), Denied> {
    let Some(Standing { account, state }) = standing else {
        return Err(Denied::new(Cause::NothingToActivate));
    };
    let cause = match state {
        ActivationState::Ended(_) => Some(Cause::ActivationEnded),
        ActivationState::Expired => Some(Cause::ActivationExpired),
        ActivationState::Waiting if !is_right => Some(Cause::WrongActivationCode),
        ActivationState::Waiting => match account {
            AccountState::Active => None,
            AccountState::Locked => Some(Cause::AccountLocked),
            AccountState::Merged => Some(Cause::AccountMerged),
            AccountState::Erased => Some(Cause::AccountErased),
        },
    };
    cause.map_or(Ok(()), |cause| Err(Denied::new(cause)))
}

/// Before the key of a message that carries a link to choose a password.
const KEY_PREFIX: &str = "activation:";

/// The idempotency key of the message that carries the link by a channel: one message a channel.
pub fn message_key(activation: &ActivationId, channel: super::message::Channel) -> String {
    format!("{KEY_PREFIX}{activation}:{}", channel.as_str())
}

/// What the link of a message is for, if its key is one of [`message_key`].
pub fn activation_of_key(key: &str) -> Option<ActivationId> {
    let (activation, _) = key.strip_prefix(KEY_PREFIX)?.split_once(':')?;
    ActivationId::parse(activation)
}

#[cfg(test)]
mod tests {
    use super::super::message::Channel;
    use super::*;

    const NOW: Timestamp = Timestamp::from_millis(1_795_262_400_000);

    #[test]
    fn a_sheet_is_good_for_an_hour_to_thirty_days() {
        assert_eq!(sheet_lifetime(None), Some(Duration::from_hours(14 * 24)));
        for (asked, taken) in [(3_599, false), (3_600, true), (30 * 86_400, true), (30 * 86_400 + 1, false)] {
            assert_eq!(sheet_lifetime(Some(Duration::from_secs(asked))).is_some(), taken, "{asked}");
        }
    }

    #[test]
    fn every_cause_has_its_order() {
        let standing = |account, state| Some(Standing { account, state });
        let cause = |standing, right| decide(standing, right).err().map(Denied::cause_for_audit);
        let (active, locked) = (AccountState::Active, AccountState::Locked);
        let used = ActivationState::Ended(ActivationEnd::Used);
        assert_eq!(cause(None, false), Some(Cause::NothingToActivate));
        assert_eq!(cause(standing(active, used), true), Some(Cause::ActivationEnded));
        assert_eq!(cause(standing(active, ActivationState::Expired), true), Some(Cause::ActivationExpired));
        assert_eq!(
            cause(standing(locked, ActivationState::Waiting), false),
            Some(Cause::WrongActivationCode)
        );
        assert_eq!(cause(standing(locked, ActivationState::Waiting), true), Some(Cause::AccountLocked));
        assert_eq!(cause(standing(active, ActivationState::Waiting), true), None);
    }

    #[test]
    fn one_with_another_epoch_is_as_good_as_revoked() {
        let later = NOW.plus(Duration::from_millis(1));
        assert_eq!(state(None, later, true, NOW), ActivationState::Waiting);
        assert_eq!(state(None, later, false, NOW), ActivationState::Ended(ActivationEnd::Revoked));
        assert_eq!(state(None, NOW, true, NOW), ActivationState::Expired);
        let used = Some(ActivationEnd::Used);
        assert_eq!(state(used, NOW, false, NOW), ActivationState::Ended(ActivationEnd::Used));
    }

    #[test]
    fn a_day_ends_at_midnight_utc() {
        let midnight = Timestamp::from_millis(1_795_219_200_000);
        assert_eq!(Day::of(NOW).end(), midnight.plus(Duration::from_hours(24)));
        assert_eq!(Day::of(midnight.minus(Duration::from_millis(1))).end(), midnight);
    }

    #[test]
    fn a_message_is_led_back_to_what_its_link_is_for() {
        let id = ActivationId::new(NOW, [7; 10]);
        for channel in Channel::ALL {
            assert_eq!(activation_of_key(&message_key(&id, channel)), Some(id.clone()));
        }
        assert_eq!(activation_of_key("reset:01JD"), None);
    }
}
