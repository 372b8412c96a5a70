//! The offline list of common passwords, looked up in place without a copy in memory.

/// One entry a line, NFC and lower case, sorted by bytes. `src/domain/data/README.md` has its sources and licences.
const COMMON_PASSWORDS: &str = include_str!("../data/common_passwords.txt");

/// Passwords that are refused because many people have them (NIST SP 800-63B-4 §3.1.1.2, OWASP ASVS 6.2.4, 6.2.12).
#[derive(Clone, Copy)]
pub struct Blocklist {
    sorted_lines: &'static str,
}

impl Blocklist {
    /// The list in this program: 29,610 entries of 8 code points or more, 11,692 of them of 15 or more.
    pub const fn embedded() -> Self {
        Self { sorted_lines: COMMON_PASSWORDS }
    }

    /// All entries, sorted by bytes.
    pub fn entries(&self) -> impl Iterator<Item = &'static str> + use<> {
        self.sorted_lines.lines()
    }

    /// Whether the whole of `folded` (lower case, NFC) is an entry. Bisects the text: 19 steps, no allocation.
    pub(super) fn contains_folded(self, folded: &str) -> bool {
        let bytes = self.sorted_lines.as_bytes();
        let (mut low, mut high) = (0, bytes.len());
        while low < high {
            let middle = low.midpoint(high);
            let start =
                bytes[low..middle].iter().rposition(|&byte| byte == b'\n').map_or(low, |at| low + at + 1);
            let end =
                bytes[middle..high].iter().position(|&byte| byte == b'\n').map_or(high, |at| middle + at);
            match bytes[start..end].cmp(folded.as_bytes()) {
                std::cmp::Ordering::Equal => return true,
                std::cmp::Ordering::Less => low = end + 1,
                std::cmp::Ordering::Greater => high = start,
            }
        }
        false
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

    #[test]
    fn the_list_is_sorted_folded_and_of_the_documented_size() {
        let entries: Vec<&str> = Blocklist::embedded().entries().collect();
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
        for entry in list.entries() {
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
    }

    #[test]
    fn well_known_passwords_are_on_it() {
        for known in ["password", "12345678", "123456789012345", "passwordpassword", "jagälskardigsåmycket"]
        {
            assert!(Blocklist::embedded().contains_folded(known), "{known}");
        }
    }
}
