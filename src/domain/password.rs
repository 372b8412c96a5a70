//! The rule for new passwords: length and a blocklist, no composition rules, no expiry (NIST SP 800-63B-4 §3.1.1.2).

/// What an organization asks of a new password. Never applied when a password is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PasswordPolicy {
    /// Least length in Unicode code points after NFC. Default 15 (the password is the only factor), never under 8.
    pub min_length: u16,
    /// Words of the organization (its names, its portal): a password equal to one of them is refused.
    pub blocked_words: Vec<String>,
}

impl Default for PasswordPolicy {
    fn default() -> Self {
        Self { min_length: 15, blocked_words: Vec::new() }
    }
}
