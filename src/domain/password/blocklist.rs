//! The offline list of common passwords, looked up in place without a copy in memory.

/// `common_passwords.txt`, one entry a line, NFC and lower case, as `build.rs` packs it. `src/domain/data/README.md` has its
/// sources and licences.
static COMMON_PASSWORDS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/common_passwords.fst"));

/// Passwords that are refused because many people have them (NIST SP 800-63B-4 §3.1.1.2, OWASP ASVS 6.2.4, 6.2.12).
#[derive(Clone, Copy)]
pub struct Blocklist {
    packed: &'static [u8],
}

impl Blocklist {
    /// The list in this program: 29,610 entries of 8 code points or more, 11,692 of them of 15 or more.
    pub const fn embedded() -> Self {
        Self { packed: COMMON_PASSWORDS }
    }

    /// Whether the whole of `folded` (lower case, NFC) is an entry. Reads a few bytes a letter, no allocation. All are
    /// in a list that cannot be read.
    pub(super) fn contains_folded(self, folded: &str) -> bool {
        fst::Set::new(self.packed).map_or(true, |entries| entries.contains(folded))
    }
}

impl std::fmt::Debug for Blocklist {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Blocklist(embedded)")
    }
}

#[cfg(test)]
mod tests {
    use super::super::text::folded;
    use super::Blocklist;

    const LIST: &str = include_str!("../data/common_passwords.txt");

    #[test]
    fn the_list_is_sorted_folded_and_of_the_documented_size() {
        let entries: Vec<&str> = LIST.lines().collect();
        assert_eq!(entries.len(), 29_610);
        assert_eq!(entries.iter().filter(|entry| entry.chars().count() >= 15).count(), 11_692);
        for pair in entries.windows(2) {
            assert!(pair[0] < pair[1], "{pair:?}");
        }
        for entry in entries {
            assert!(entry.chars().count() >= 8, "{entry}");
            assert_eq!(folded(entry).expose(), entry);
        }
    }

    #[test]
    fn every_entry_is_found_and_nothing_beside_it() {
        let list = Blocklist::embedded();
        for entry in LIST.lines() {
            assert!(list.contains_folded(entry), "{entry}");
        }
        for absent in [
            "",
            "\n",
            "\u{0}",
            "\u{10ffff}",
            "password\n",
            "passwor",
            "zebra-kabel-moln",
            "password\npassword1",
        ] {
            assert!(!list.contains_folded(absent), "{absent:?}");
        }
        let packed = fst::Set::new(list.packed).unwrap();
        packed.as_fst().verify().unwrap();
        assert_eq!(packed.len(), LIST.lines().count());
    }

    #[test]
    fn a_list_that_cannot_be_read_lets_no_password_pass() {
        assert!(Blocklist { packed: b"broken" }.contains_folded("zebra-kabel-moln"));
    }

    #[test]
    fn well_known_passwords_are_on_it() {
        for known in ["password", "12345678", "123456789012345", "passwordpassword", "jagälskardigsåmycket"]
        {
            assert!(Blocklist::embedded().contains_folded(known), "{known}");
        }
    }
}
