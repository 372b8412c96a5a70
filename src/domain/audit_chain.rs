//! The audit log of an organization as a chain: each link's digest is made of the one before and of its event.

mod fault;
mod walk;

use std::fmt;

use aws_lc_rs::digest::{Context, SHA256};

use super::organization::OrganizationId;
use super::time::Timestamp;

pub use fault::ChainFault;
pub use walk::{ChainWalk, StoredLink};

/// How links are made. Part of every digest, so that another way of making them gets another number.
const VERSION: u8 = 1;

/// A row of the audit log, column by column, as the store has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LoggedEvent<'a> {
    /// `id`.
    pub id: &'a str,
    /// `at_ms`.
    pub at_ms: i64,
    /// `organization`.
    pub organization: &'a str,
    /// `portal`.
    pub portal: Option<&'a str>,
    /// `kind`.
    pub kind: &'a str,
    /// `cause`.
    pub cause: Option<&'a str>,
    /// `guardian_id`.
    pub guardian_id: Option<&'a str>,
    /// `session_id`.
    pub session_id: Option<&'a str>,
    /// `reference_code`.
    pub reference_code: Option<&'a str>,
    /// `caller`.
    pub caller: &'a str,
    /// `address`.
    pub address: Option<&'a str>,
    /// `user_agent`.
    pub user_agent: &'a str,
    /// `known_device`.
    pub known_device: i64,
    /// `consecutive_failures`.
    pub consecutive_failures: Option<i64>,
    /// `password_closed`.
    pub password_closed: i64,
    /// `staff_id`.
    pub staff_id: Option<&'a str>,
    /// `child_id`.
    pub child_id: Option<&'a str>,
    /// `detail`.
    pub detail: Option<&'a str>,
}

/// The canonical bytes of an event: no two events have the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventBytes(Vec<u8>);

impl LoggedEvent<'_> {
    /// Every column that is not NULL: its number, then its length and text, or its eight bytes. A column that is added later
    /// gets the next number, so the bytes of events that do not have it stay as they are.
    pub fn bytes(&self) -> EventBytes {
        // Destructured: a column that is forgotten here does not compile.
        let Self {
            id,
            at_ms,
            organization,
            portal,
            kind,
            cause,
            guardian_id,
            session_id,
            reference_code,
            caller,
            address,
            user_agent,
            known_device,
            consecutive_failures,
            password_closed,
            staff_id,
            child_id,
            detail,
        } = *self;
        let mut columns = Columns(Vec::with_capacity(384));
        columns.text(1, Some(id));
        columns.number(2, Some(at_ms));
        columns.text(3, Some(organization));
        columns.text(4, portal);
        columns.text(5, Some(kind));
        columns.text(6, cause);
        columns.text(7, guardian_id);
        columns.text(8, session_id);
        columns.text(9, reference_code);
        columns.text(10, Some(caller));
        columns.text(11, address);
        columns.text(12, Some(user_agent));
        columns.number(13, Some(known_device));
        columns.number(14, consecutive_failures);
        columns.number(15, Some(password_closed));
        columns.text(16, staff_id);
        columns.text(17, child_id);
        columns.text(18, detail);
        EventBytes(columns.0)
    }
}

struct Columns(Vec<u8>);

impl Columns {
    fn text(&mut self, number: u8, value: Option<&str>) {
        if let Some(value) = value {
            self.0.push(number);
            self.0.extend_from_slice(&(value.len() as u64).to_be_bytes());
            self.0.extend_from_slice(value.as_bytes());
        }
    }

    fn number(&mut self, number: u8, value: Option<i64>) {
        if let Some(value) = value {
            self.0.push(number);
            self.0.extend_from_slice(&value.to_be_bytes());
        }
    }
}

/// The digest of a link.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct ChainDigest(pub [u8; 32]);

impl ChainDigest {
    /// What stands before the first link.
    pub const START: Self = Self([0; 32]);

    /// The digest of the next link: SHA-256 over version, this digest, the next link's position and its event.
    #[must_use]
    pub fn next(self, position: i64, event: &EventBytes) -> Self {
        let mut context = Context::new(&SHA256);
        context.update(&[VERSION]);
        context.update(&self.0);
        context.update(&position.to_be_bytes());
        context.update(&event.0);
        let mut digest = [0; 32];
        digest.copy_from_slice(context.finish().as_ref());
        Self(digest)
    }

    /// Reads 64 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text
            .bytes()
            .map(|byte| match byte {
                b'0'..=b'9' => Some(byte - b'0'),
                b'a'..=b'f' => Some(byte - b'a' + 10),
                _ => None,
            })
            .collect::<Option<_>>()?;
        let bytes: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        if digits.len() == 64 { bytes.try_into().ok().map(Self) } else { None }
    }
}

/// 64 lower-case hexadecimal digits.
impl fmt::Display for ChainDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

impl fmt::Debug for ChainDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// How far a chain goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChainEnd {
    /// The position of the last link; the first one is 1.
    pub position: i64,
    /// Its digest.
    pub digest: ChainDigest,
}

impl ChainEnd {
    /// A chain without links.
    pub const NONE: Self = Self { position: 0, digest: ChainDigest::START };

    /// After one link more.
    #[must_use]
    pub fn after(self, event: &EventBytes) -> Self {
        let position = self.position.saturating_add(1);
        Self { position, digest: self.digest.next(position, event) }
    }

    /// What is signed of the end of an organization's chain. Every part has a length of its own or is the last one.
    pub fn statement(&self, organization: &OrganizationId, at: Timestamp) -> Vec<u8> {
        let mut bytes = b"guardian-auth audit head".to_vec();
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.position.to_be_bytes());
        bytes.extend_from_slice(&self.digest.0);
        bytes.extend_from_slice(&at.as_millis().to_be_bytes());
        bytes.extend_from_slice(organization.as_str().as_bytes());
        bytes
    }
}

/// An end that somebody kept elsewhere: the chain must still contain it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptHead {
    /// Whose chain.
    pub organization: OrganizationId,
    /// The end as it was.
    pub end: ChainEnd,
}

impl KeptHead {
    /// Reads `ORGANIZATION:POSITION:DIGEST`.
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':');
        let (organization, position, digest) = (parts.next()?, parts.next()?, parts.next()?);
        if parts.next().is_some() || !position.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let end = ChainEnd {
            position: position.parse().ok().filter(|position| *position > 0)?,
            digest: ChainDigest::parse(digest)?,
        };
        Some(Self { organization: OrganizationId::parse(organization)?, end })
    }
}

/// As [`KeptHead::parse`] reads it.
impl fmt::Display for KeptHead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.organization.as_str(), self.end.position, self.end.digest)
    }
}

#[cfg(test)]
mod tests;
