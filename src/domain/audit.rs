//! What happened, with its true cause: the typed events of the audit log.

use std::net::IpAddr;

use super::bankid::{BankIdFault, Signal};
use super::id::{AuditEventId, ChildId, GuardianId, SessionId};
use super::message::DeliveryFault;
use super::oidc::OidcFault;
use super::organization::{OrganizationId, Portal};
use super::reference_code::ReferenceCode;
use super::time::Timestamp;

/// One row of the audit log. Holds no password, token, number, e-mail or phone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Its own id.
    pub id: AuditEventId,
    /// When it happened.
    pub at: Timestamp,
    /// In whose data.
    pub organization: OrganizationId,
    /// At which portal, if at one.
    pub portal: Option<Portal>,
    /// What happened.
    pub fact: Fact,
    /// Whom it concerns, if that is known.
    pub guardian: Option<GuardianId>,
    /// Which session, if one.
    pub session: Option<SessionId>,
    /// The code that the person was shown, if any.
    pub reference: Option<ReferenceCode>,
    /// The configured name of the caller, or of the command.
    pub caller: String,
    /// The end user's address, as asserted.
    pub address: Option<IpAddr>,
    /// The end user's user agent, cleaned and cut.
    pub user_agent: String,
    /// Whether the attempt came in the lane of a known device.
    pub known_device: bool,
    /// Who of the staff did it, if somebody did.
    pub staff: Option<GuardianId>,
    /// Which child, if one.
    pub child: Option<ChildId>,
    /// A short code that depends on the kind (docs/logging.md). Never personal, never typed by somebody.
    pub detail: Option<String>,
}

/// The kinds of facts. A new kind gets a row in docs/logging.md; a test compares them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// A password was right and a session began.
    LoggedIn,
    /// A password was right but must be changed before a session begins.
    ChangeRequired,
    /// A login failed.
    LoginDenied(Cause),
    /// A person was identified by an eID and a session began.
    LoggedInWithEid(Eid),
    /// A login with an eID failed.
    EidLoginDenied(EidCause),
    /// Something about a login with BankID that staff may want to know; it was not refused for this alone.
    BankIdSignal(Signal),
    /// A person with a new number has an account under the number before: staff can put the new one there.
    NumberChangeProposed,
    /// A change of password failed.
    ChangeDenied(Cause),
    /// A password was changed by its owner.
    PasswordChanged,
    /// The password was closed for a lane after too many consecutive failures.
    PasswordClosed,
    /// A reset link was asked for, and a mail with one was queued.
    ResetLinkQueued,
    /// A reset link was asked for, and none is sent; a mail with advice may be.
    ResetDenied(Cause),
    /// A reset link was refused.
    ResetLinkRefused(Cause),
    /// A password was set through a reset link.
    PasswordReset,
    /// A message was given up.
    MessageUndelivered(DeliveryFault),
    /// A session ended.
    SessionEnded(SessionEnd),
    /// A refresh token was used that had been replaced: the session was ended.
    RefreshReused(Reuse),
    /// A directory file was imported.
    DirectoryImported,
    /// A credential lost the confirmed relation that it rested on, and was removed.
    CredentialRemoved,
    /// A signing key was made.
    SigningKeyRotated,
    /// A code or link that staff issued was refused.
    ActivationDenied(Cause),
    /// The first account of staff was made at the command line.
    StaffBootstrapped,
    /// A staff member was invited, or a new link to choose a password was sent.
    StaffInvited,
    /// A staff member got another role or other schools.
    StaffRoleChanged,
    /// A staff member may not work any more.
    StaffDeactivated,
    /// A staff member may work again.
    StaffReactivated,
    /// A fallback credential was issued.
    CredentialIssued,
    /// A password was taken away by staff, or with the relation that it rested on.
    CredentialRevoked,
    /// A password was chosen with a code or link that staff issued.
    CredentialActivated,
    /// A colleague was allowed to issue more credentials on this day.
    IssuingApproved,
    /// A link between guardian and child was added by staff.
    ChildLinkAdded,
    /// A link between guardian and child was confirmed by staff.
    ChildLinkConfirmed,
    /// A link between guardian and child was removed by staff.
    ChildLinkRemoved,
    /// A childminder's contract was confirmed by staff.
    ContractConfirmed,
    /// A childminder's contract was removed by staff.
    ContractRemoved,
    /// A number was put on the account, or took another one's place.
    IdentifierChanged,
    /// Staff typed a number that another account has: nothing was changed.
    IdentifierTaken,
    /// Staff saw the numbers of a guardian in clear.
    IdentifiersShown,
    /// A proposed number was dropped by staff.
    NumberProposalRejected,
    /// An account was locked by staff.
    GuardianLocked,
    /// An account was unlocked by staff.
    GuardianUnlocked,
    /// Two accounts were made one.
    GuardiansMerged,
    /// A merge of accounts was taken back.
    MergeUndone,
    /// Two children were made one.
    ChildrenMerged,
    /// A merge of children was taken back.
    ChildMergeUndone,
    /// Everything about a guardian was handed out.
    GuardianExported,
    /// What was stored of a guardian was erased.
    GuardianErased,
    /// Sealed values were sealed anew with the active master key.
    DataResealed,
}

/// Why a login was denied. Read by audit and diagnosis; it has no path into an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cause {
    /// No account has this login name here.
    UnknownLoginName,
    /// The account has a password and this is not it.
    WrongPassword,
    /// The account has no password (eID only).
    NoPassword,
    /// The password is closed to this lane after too many consecutive failures.
    PasswordClosed,
    /// Staff locked the account.
    AccountLocked,
    /// The account was merged into another.
    AccountMerged,
    /// The credential's validity ended before it was used.
    CredentialExpired,
    /// The password is right, but for the other guardian portal.
    WrongPortal,
    /// A limit was reached.
    RateLimited,
    /// The service had no room to check a password.
    Overloaded,
    /// The caller's deadline passed while the attempt waited for a thread.
    DeadlineExceeded,
    /// The account changed while the attempt ran.
    ChangedMeanwhile,
    /// The token for changing a password was unknown, used or too old.
    ChangeTokenInvalid,
    /// No account at these portals has this e-mail address on file.
    UnknownEmail,
    /// The account has another e-mail address on file.
    EmailMismatch,
    /// The account has no e-mail address on file.
    NoEmail,
    /// What the source delivered as the account's e-mail address is none.
    EmailUnusable,
    /// The national id is none of the account's.
    NationalIdMismatch,
    /// Several accounts have this e-mail address on file.
    SeveralAccounts,
    /// The account was sent enough mails lately; the last one counts.
    MailedLately,
    /// The token of a reset link was never made, or for another organization or portal.
    ResetTokenUnknown,
    /// The reset link was used, or replaced by newer ones.
    ResetTokenEnded,
    /// The reset link is too old.
    ResetTokenExpired,
    /// The account, its password or its e-mail address changed since the reset link was made.
    ResetTokenOutdated,
    /// The request for a reset link waited for too long to be answered by a mail.
    RequestTooOld,
    /// No account here has this number.
    UnknownNationalId,
    /// No account here has this number, but one has a temporary number of this day of birth and the same family name.
    TemporaryNumberOnAccount,
    /// No account here has this number, but one has the number that the person had before.
    PreviousCoordinationNumber,
    /// The account has nothing to do at any guardian portal: no child link, no contract, no login name.
    NoRelation,
    /// What was stored of the person was erased.
    AccountErased,
    /// Nothing was issued to the account that waits to be used.
    NothingToActivate,
    /// A code waits to be used, and this is not it.
    WrongActivationCode,
    /// The code or link is too old.
    ActivationExpired,
    /// The code or link was used, replaced, revoked, or ended by ten wrong codes; or the account changed since.
    ActivationEnded,
    /// The provider does not say (any more) that the staff member has the role of the account.
    RoleNotAsserted,
}

/// Which eID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Eid {
    /// BankID, asked by ourselves.
    BankId,
    /// An `OpenID` provider.
    Oidc,
}

impl Eid {
    /// Both.
    pub const ALL: [Self; 2] = [Self::BankId, Self::Oidc];

    /// The name in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::BankId => "bankid",
            Self::Oidc => "oidc",
        }
    }
}

/// Why a login with an eID failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EidCause {
    /// The person is identified, and there is no account to use.
    Account(Cause),
    /// The `OpenID` provider's answer names nobody.
    Oidc(OidcFault),
    /// The BankID order names nobody.
    BankId(BankIdFault),
}

impl EidCause {
    /// The name in the audit log; docs/logging.md says which eID it is of.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Account(cause) => cause.as_str(),
            Self::Oidc(fault) => fault.as_str(),
            Self::BankId(fault) => fault.as_str(),
        }
    }
}

/// Why a session ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SessionEnd {
    /// The guardian logged out.
    LoggedOut,
    /// The guardian logged out everywhere.
    LoggedOutEverywhere,
    /// The password was changed.
    PasswordChanged,
    /// The password was set through a reset link.
    PasswordReset,
    /// A replaced refresh token came back.
    RefreshReused,
    /// The relation or account that it rested on is gone.
    AccountChanged,
}

/// The classes of refresh-token reuse (after the session model of `SuperTokens`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reuse {
    /// The token just before the current one, later than the grace period: a late retry or a thief.
    RecentPrevious,
    /// A token of this family older than the previous one: theft.
    StaleLineage,
}

impl Fact {
    /// The name in the audit log and in docs/logging.md.
    pub const fn kind(self) -> &'static str {
        match self {
            Self::LoggedIn => "logged_in",
            Self::ChangeRequired => "change_required",
            Self::LoginDenied(_) => "login_denied",
            Self::LoggedInWithEid(_) => "logged_in_with_eid",
            Self::EidLoginDenied(_) => "eid_login_denied",
            Self::BankIdSignal(_) => "bankid_signal",
            Self::NumberChangeProposed => "number_change_proposed",
            Self::ChangeDenied(_) => "change_denied",
            Self::PasswordChanged => "password_changed",
            Self::PasswordClosed => "password_closed",
            Self::ResetLinkQueued => "reset_link_queued",
            Self::ResetDenied(_) => "reset_denied",
            Self::ResetLinkRefused(_) => "reset_link_refused",
            Self::PasswordReset => "password_reset",
            Self::MessageUndelivered(_) => "message_undelivered",
            Self::SessionEnded(_) => "session_ended",
            Self::RefreshReused(_) => "refresh_reused",
            Self::DirectoryImported => "directory_imported",
            Self::CredentialRemoved => "credential_removed",
            Self::SigningKeyRotated => "signing_key_rotated",
            Self::ActivationDenied(_) => "activation_denied",
            Self::StaffBootstrapped => "staff_bootstrapped",
            Self::StaffInvited => "staff_invited",
            Self::StaffRoleChanged => "staff_role_changed",
            Self::StaffDeactivated => "staff_deactivated",
            Self::StaffReactivated => "staff_reactivated",
            Self::CredentialIssued => "credential_issued",
            Self::CredentialRevoked => "credential_revoked",
            Self::CredentialActivated => "credential_activated",
            Self::IssuingApproved => "issuing_approved",
            Self::ChildLinkAdded => "child_link_added",
            Self::ChildLinkConfirmed => "child_link_confirmed",
            Self::ChildLinkRemoved => "child_link_removed",
            Self::ContractConfirmed => "contract_confirmed",
            Self::ContractRemoved => "contract_removed",
            Self::IdentifierChanged => "identifier_changed",
            Self::IdentifierTaken => "identifier_taken",
            Self::IdentifiersShown => "identifiers_shown",
            Self::NumberProposalRejected => "number_proposal_rejected",
            Self::GuardianLocked => "guardian_locked",
            Self::GuardianUnlocked => "guardian_unlocked",
            Self::GuardiansMerged => "guardians_merged",
            Self::MergeUndone => "merge_undone",
            Self::ChildrenMerged => "children_merged",
            Self::ChildMergeUndone => "child_merge_undone",
            Self::GuardianExported => "guardian_exported",
            Self::GuardianErased => "guardian_erased",
            Self::DataResealed => "data_resealed",
        }
    }

    /// The cause in the audit log, for the kinds that have one.
    pub const fn cause(self) -> Option<&'static str> {
        match self {
            Self::LoginDenied(cause)
            | Self::ChangeDenied(cause)
            | Self::ResetDenied(cause)
            | Self::ResetLinkRefused(cause)
            | Self::ActivationDenied(cause) => Some(cause.as_str()),
            Self::LoggedInWithEid(eid) => Some(eid.as_str()),
            Self::EidLoginDenied(cause) => Some(cause.as_str()),
            Self::BankIdSignal(signal) => Some(signal.as_str()),
            Self::MessageUndelivered(fault) => Some(fault.as_str()),
            Self::SessionEnded(end) => Some(end.as_str()),
            Self::RefreshReused(reuse) => Some(reuse.as_str()),
            Self::LoggedIn
            | Self::ChangeRequired
            | Self::NumberChangeProposed
            | Self::PasswordChanged
            | Self::PasswordClosed
            | Self::ResetLinkQueued
            | Self::PasswordReset
            | Self::DirectoryImported
            | Self::CredentialRemoved
            | Self::SigningKeyRotated
            | Self::StaffBootstrapped
            | Self::StaffInvited
            | Self::StaffRoleChanged
            | Self::StaffDeactivated
            | Self::StaffReactivated
            | Self::CredentialIssued
            | Self::CredentialRevoked
            | Self::CredentialActivated
            | Self::IssuingApproved
            | Self::ChildLinkAdded
            | Self::ChildLinkConfirmed
            | Self::ChildLinkRemoved
            | Self::ContractConfirmed
            | Self::ContractRemoved
            | Self::IdentifierChanged
            | Self::IdentifierTaken
            | Self::IdentifiersShown
            | Self::NumberProposalRejected
            | Self::GuardianLocked
            | Self::GuardianUnlocked
            | Self::GuardiansMerged
            | Self::MergeUndone
            | Self::ChildrenMerged
            | Self::ChildMergeUndone
            | Self::GuardianExported
            | Self::GuardianErased
            | Self::DataResealed => None,
        }
    }
}

impl Cause {
    /// All causes, for documentation tests.
    pub const ALL: [Self; 35] = [
        Self::UnknownLoginName,
        Self::WrongPassword,
        Self::NoPassword,
        Self::PasswordClosed,
        Self::AccountLocked,
        Self::AccountMerged,
        Self::CredentialExpired,
        Self::WrongPortal,
        Self::RateLimited,
        Self::Overloaded,
        Self::DeadlineExceeded,
        Self::ChangedMeanwhile,
        Self::ChangeTokenInvalid,
        Self::UnknownEmail,
        Self::EmailMismatch,
        Self::NoEmail,
        Self::EmailUnusable,
        Self::NationalIdMismatch,
        Self::SeveralAccounts,
        Self::MailedLately,
        Self::ResetTokenUnknown,
        Self::ResetTokenEnded,
        Self::ResetTokenExpired,
        Self::ResetTokenOutdated,
        Self::RequestTooOld,
        Self::UnknownNationalId,
        Self::TemporaryNumberOnAccount,
        Self::PreviousCoordinationNumber,
        Self::NoRelation,
        Self::AccountErased,
        Self::NothingToActivate,
        Self::WrongActivationCode,
        Self::ActivationExpired,
        Self::ActivationEnded,
        Self::RoleNotAsserted,
    ];

    /// The name in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownLoginName => "unknown_login_name",
            Self::WrongPassword => "wrong_password",
            Self::NoPassword => "no_password",
            Self::PasswordClosed => "password_closed",
            Self::AccountLocked => "account_locked",
            Self::AccountMerged => "account_merged",
            Self::CredentialExpired => "credential_expired",
            Self::WrongPortal => "wrong_portal",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::DeadlineExceeded => "deadline_exceeded",
            Self::ChangedMeanwhile => "changed_meanwhile",
            Self::ChangeTokenInvalid => "change_token_invalid",
            Self::UnknownEmail => "unknown_email",
            Self::EmailMismatch => "email_mismatch",
            Self::NoEmail => "no_email",
            Self::EmailUnusable => "email_unusable",
            Self::NationalIdMismatch => "national_id_mismatch",
            Self::SeveralAccounts => "several_accounts",
            Self::MailedLately => "mailed_lately",
            Self::ResetTokenUnknown => "reset_token_unknown",
            Self::ResetTokenEnded => "reset_token_ended",
            Self::ResetTokenExpired => "reset_token_expired",
            Self::ResetTokenOutdated => "reset_token_outdated",
            Self::RequestTooOld => "request_too_old",
            Self::UnknownNationalId => "unknown_national_id",
            Self::TemporaryNumberOnAccount => "temporary_number_on_account",
            Self::PreviousCoordinationNumber => "previous_coordination_number",
            Self::NoRelation => "no_relation",
            Self::AccountErased => "account_erased",
            Self::NothingToActivate => "nothing_to_activate",
            Self::WrongActivationCode => "wrong_activation_code",
            Self::ActivationExpired => "activation_expired",
            Self::ActivationEnded => "activation_ended",
            Self::RoleNotAsserted => "role_not_asserted",
        }
    }
}

impl SessionEnd {
    /// All reasons, for reading them back and for documentation tests.
    pub const ALL: [Self; 6] = [
        Self::LoggedOut,
        Self::LoggedOutEverywhere,
        Self::PasswordChanged,
        Self::PasswordReset,
        Self::RefreshReused,
        Self::AccountChanged,
    ];

    /// Reads the stored name.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|end| end.as_str() == text)
    }

    /// The name in the store and in the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LoggedOut => "logged_out",
            Self::LoggedOutEverywhere => "logged_out_everywhere",
            Self::PasswordChanged => "password_changed",
            Self::PasswordReset => "password_reset",
            Self::RefreshReused => "refresh_reused",
            Self::AccountChanged => "account_changed",
        }
    }
}

impl Reuse {
    /// The name in the audit log and in metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::RecentPrevious => "recent_previous",
            Self::StaleLineage => "stale_lineage",
        }
    }
}
