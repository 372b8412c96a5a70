//! How domain values become parameters of statements: 64-bit integers, text and bytes are all that is used.

use sqlx::any::{Any, AnyArguments};
use sqlx::{Arguments, Encode, Type};

use crate::domain::bankid::{BankIdFault, Device, HintCode, OrderState};
use crate::domain::directory::{LoginNameKind, SourceKey};
use crate::domain::fallback_credential::{Delivery, RestsOn};
use crate::domain::id::{
    ActivationId, AuditEventId, BankIdLoginId, ChildId, EvidenceId, GuardianId, MergeId, MessageId,
    ProposalId, ResetRequestId, SchoolId, SessionId,
};
use crate::domain::identifier::{Email, LoginName};
use crate::domain::message::{Channel, DeliveryFault, MessageState};
use crate::domain::oidc::ProviderId;
use crate::domain::organization::{OrganizationId, Portal};
use crate::domain::passphrase::Locale;
use crate::domain::password::PasswordHash;
use crate::domain::reference_code::ReferenceCode;
use crate::domain::session::RefreshDigest;
use crate::domain::time::Timestamp;

/// A value that can be a parameter.
pub(super) trait Bind {
    /// What the driver gets. NULL has this type too: PostgreSQL asks for it.
    type Sql<'a>: Encode<'a, Any> + Type<Any>
    where
        Self: 'a;

    fn sql(&self) -> Self::Sql<'_>;
}

/// Appends a parameter.
pub(super) fn push<T: Bind + ?Sized>(arguments: &mut AnyArguments, value: &T) {
    // Numbers, text and bytes always encode. Were one left out, the statement would fail for want of it.
    let added = arguments.add(value.sql());
    debug_assert!(added.is_ok(), "a parameter does not encode");
}

/// The parameters of a statement, in order.
macro_rules! bind {
    ($($value:expr),* $(,)?) => {{
        #[allow(unused_mut, reason = "there may be no values")]
        let mut arguments = sqlx::any::AnyArguments::default();
        $($crate::adapters::store::bind::push(&mut arguments, &$value);)*
        arguments
    }};
}
pub(super) use bind;

impl<T: Bind> Bind for Option<T> {
    type Sql<'a>
        = Option<T::Sql<'a>>
    where
        Self: 'a;

    fn sql(&self) -> Self::Sql<'_> {
        self.as_ref().map(Bind::sql)
    }
}

impl<T: Bind + ?Sized> Bind for &T {
    type Sql<'a>
        = T::Sql<'a>
    where
        Self: 'a;

    fn sql(&self) -> Self::Sql<'_> {
        (**self).sql()
    }
}

macro_rules! bind_as {
    ($($type:ty => $sql:ty, |$value:ident| $expression:expr;)*) => {$(
        impl Bind for $type {
            type Sql<'a> = $sql;

            fn sql(&self) -> Self::Sql<'_> {
                let $value = self;
                $expression
            }
        }
    )*};
}

bind_as! {
    i64 => i64, |value| *value;
    // SQLite has no boolean.
    bool => i64, |value| i64::from(*value);
    Timestamp => i64, |value| value.as_millis();
    str => &'a str, |value| value;
    String => &'a str, |value| value;
    [u8] => &'a [u8], |value| value;
    [u8; 32] => &'a [u8], |value| value;
    Vec<u8> => &'a [u8], |value| value;
    RefreshDigest => &'a [u8], |value| &value.0;
    Portal => &'a str, |value| value.as_str();
    Locale => &'a str, |value| value.as_str();
    OrganizationId => &'a str, |value| value.as_str();
    GuardianId => &'a str, |value| value.as_str();
    SessionId => &'a str, |value| value.as_str();
    AuditEventId => &'a str, |value| value.as_str();
    ResetRequestId => &'a str, |value| value.as_str();
    MessageId => &'a str, |value| value.as_str();
    BankIdLoginId => &'a str, |value| value.as_str();
    EvidenceId => &'a str, |value| value.as_str();
    ProposalId => &'a str, |value| value.as_str();
    ActivationId => &'a str, |value| value.as_str();
    MergeId => &'a str, |value| value.as_str();
    ChildId => &'a str, |value| value.as_str();
    SchoolId => &'a str, |value| value.as_str();
    SourceKey => &'a str, |value| value.as_str();
    LoginName => &'a str, |value| value.as_str();
    Email => &'a str, |value| value.as_str();
    RestsOn => &'a str, |value| value.as_str();
    Delivery => &'a str, |value| value.as_str();
    Channel => &'a str, |value| value.as_str();
    MessageState => &'a str, |value| value.as_str();
    DeliveryFault => &'a str, |value| value.as_str();
    Device => &'a str, |value| value.as_str();
    OrderState => &'a str, |value| value.as_str();
    HintCode => &'a str, |value| value.as_str();
    BankIdFault => &'a str, |value| value.as_str();
    ProviderId => &'a str, |value| value.as_str();
    PasswordHash => &'a str, |value| value.as_str();
    ReferenceCode => &'a str, |value| value.as_str();
    LoginNameKind => &'a str, |value| match value {
        LoginNameKind::DebtorNumber => "debtor_number",
        LoginNameKind::UserName => "user_name",
    };
}
