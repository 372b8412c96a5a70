//! How rows become domain values: what does not parse is [`PortError::Corrupt`].

use sqlx::any::{Any, AnyRow};
use sqlx::{Decode, Row, Type};

use crate::domain::identifier::{Email, LeadingZeros, LoginName, Mobile, Region};
use crate::domain::login_password::AccountState;
use crate::domain::organization::Portal;
use crate::domain::passphrase::Locale;
use crate::domain::password_reset::EmailOnFile;
use crate::domain::time::Timestamp;
use crate::ports::error::PortError;
use crate::ports::key_vault::Sealed;

/// Reading of columns by name.
pub(super) trait Columns {
    /// A column as the driver gives it.
    fn column<'r, T: Decode<'r, Any> + Type<Any>>(&'r self, column: &'static str) -> Result<T, PortError>;

    /// A column through a parser.
    fn parsed<T>(&self, column: &'static str, parse: impl FnOnce(&str) -> Option<T>) -> Result<T, PortError> {
        parse(self.column(column)?).ok_or_else(|| corrupt(column))
    }

    /// The same where NULL may stand.
    fn parsed_or_none<T>(
        &self,
        column: &'static str,
        parse: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, PortError> {
        self.column::<Option<&str>>(column)?
            .map(|text| parse(text).ok_or_else(|| corrupt(column)))
            .transpose()
    }

    fn time(&self, column: &'static str) -> Result<Timestamp, PortError> {
        self.column(column).map(Timestamp::from_millis)
    }

    fn time_or_none(&self, column: &'static str) -> Result<Option<Timestamp>, PortError> {
        Ok(self.column::<Option<i64>>(column)?.map(Timestamp::from_millis))
    }

    fn flag(&self, column: &'static str) -> Result<bool, PortError> {
        match self.column::<i64>(column)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(corrupt(column)),
        }
    }

    fn digest(&self, column: &'static str) -> Result<[u8; 32], PortError> {
        self.column::<&[u8]>(column)?.try_into().map_err(|_| corrupt(column))
    }

    fn digest_or_none(&self, column: &'static str) -> Result<Option<[u8; 32]>, PortError> {
        self.column::<Option<&[u8]>>(column)?
            .map(|bytes| bytes.try_into().map_err(|_| corrupt(column)))
            .transpose()
    }

    fn sealed(&self, bytes: &'static str, key_id: &'static str) -> Result<Sealed, PortError> {
        Ok(Sealed { bytes: self.column(bytes)?, key_id: self.column(key_id)? })
    }

    /// The same where NULL may stand, for both.
    fn sealed_or_none(&self, bytes: &'static str, key_id: &'static str) -> Result<Option<Sealed>, PortError> {
        match (self.column(bytes)?, self.column(key_id)?) {
            (Some(bytes), Some(key_id)) => Ok(Some(Sealed { bytes, key_id })),
            (None, None) => Ok(None),
            (Some(_), None) | (None, Some(_)) => Err(corrupt(key_id)),
        }
    }

    fn portal(&self) -> Result<Portal, PortError> {
        self.parsed("portal", Portal::parse)
    }

    /// The address in the columns of a guardian. One that does not read back as it was written is a defect: a link must
    /// not go to what may be somebody else's.
    fn email(&self) -> Result<EmailOnFile, PortError> {
        if self.column::<Option<&str>>("email_delivered")?.is_none() {
            return Ok(EmailOnFile::Absent);
        }
        let same = |text: &str| Email::parse(text).ok().filter(|email| email.as_str() == text);
        let canonical = self.parsed_or_none("email_canonical", same)?;
        Ok(canonical.map_or(EmailOnFile::Unusable, EmailOnFile::Usable))
    }
}

impl Columns for AnyRow {
    fn column<'r, T: Decode<'r, Any> + Type<Any>>(&'r self, column: &'static str) -> Result<T, PortError> {
        // The driver's error may quote the value.
        self.try_get(column).map_err(|_| corrupt(column))
    }
}

/// The rows that were taken and can be read. One that cannot, as one of a newer version may be, is left until its lease
/// ends, when another replica may have it: those that were taken with it must not wait for it.
pub(super) fn readable<T>(
    rows: &[AnyRow],
    what: &'static str,
    read: impl Fn(&AnyRow) -> Result<T, PortError>,
) -> Vec<T> {
    let read = |row: &AnyRow| {
        let id = Columns::column(row, "id").unwrap_or("");
        read(row)
            .inspect_err(
                |error| tracing::error!(what, id, error = %error, "a row that was taken cannot be read"),
            )
            .ok()
    };
    rows.iter().filter_map(read).collect()
}

/// A column holds what none of our statements writes.
pub(super) fn corrupt(column: &'static str) -> PortError {
    PortError::Corrupt(format!("the column {column} does not read back"))
}

/// A stored login name. Leading zeros were dropped before it was stored, where that is the organization's rule.
pub(super) fn login_name(text: &str) -> Option<LoginName> {
    LoginName::parse(text, LeadingZeros::Keep).ok()
}

/// A stored account state.
pub(super) fn account_state(text: &str) -> Option<AccountState> {
    match text {
        "active" => Some(AccountState::Active),
        "locked" => Some(AccountState::Locked),
        "merged" => Some(AccountState::Merged),
        "erased" => Some(AccountState::Erased),
        _ => None,
    }
}

/// A stored language. Tags were read before they were stored, so there is one spelling of each.
pub(super) fn locale(text: &str) -> Option<Locale> {
    Locale::ALL.into_iter().find(|locale| locale.as_str() == text)
}

/// A stored mobile number: with its country code, so it is read alike whatever the region.
pub(super) fn mobile(text: &str) -> Option<Mobile> {
    Mobile::parse(text, Region::default()).ok().filter(|mobile| mobile.as_str() == text)
}
