//! Replies of a mail server (RFC 5321 §4.2): a code of three digits, and lines of text that only EHLO needs.

use std::fmt;

use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _};

use super::fault::Trouble;

/// Bytes of a line at most. RFC 5321 §4.5.3.1.5 has 512; some servers write more.
const LONGEST_LINE_BYTES: u64 = 4096;
/// Lines of a reply at most. EHLO of a large server has about 20.
const MOST_LINES: usize = 128;

/// The code of a reply, with the enhanced one (RFC 3463) if its text begins with one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Code {
    number: u16,
    /// As in `5.1.1`; digits and dots only.
    enhanced: Option<String>,
}

impl Code {
    pub(super) const fn number(&self) -> u16 {
        self.number
    }

    /// The server closes the connection after it.
    pub(super) const fn hangs_up(&self) -> bool {
        self.number == 421
    }

    /// It may be otherwise later.
    pub(super) const fn is_temporary(&self) -> bool {
        self.number / 100 == 4
    }

    /// It will be the same later.
    pub(super) const fn is_permanent(&self) -> bool {
        self.number / 100 == 5
    }
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.number)?;
        self.enhanced.as_ref().map_or(Ok(()), |enhanced| write!(f, " {enhanced}"))
    }
}

/// A whole reply.
pub(super) struct Reply {
    pub(super) code: Code,
    /// The text of each line. Never for a log: it may quote the recipient.
    pub(super) lines: Vec<String>,
}

/// Reads one reply, and no byte more.
pub(super) async fn read_reply(input: &mut (impl AsyncBufRead + Unpin)) -> Result<Reply, Trouble> {
    let mut lines = Vec::new();
    let mut first = None;
    while lines.len() < MOST_LINES {
        let line = read_line(input).await?;
        let (number, is_last, text) = parse_line(&line).ok_or(Trouble::Garbled)?;
        if *first.get_or_insert(number) != number {
            return Err(Trouble::Garbled);
        }
        lines.push(text.to_owned());
        if is_last {
            let enhanced = lines.first().and_then(|line| enhanced_code(line));
            return Ok(Reply { code: Code { number, enhanced }, lines });
        }
    }
    Err(Trouble::Garbled)
}

async fn read_line(input: &mut (impl AsyncBufRead + Unpin)) -> Result<String, Trouble> {
    let mut line = Vec::new();
    let mut limited = input.take(LONGEST_LINE_BYTES);
    limited.read_until(b'\n', &mut line).await.map_err(Trouble::Lost)?;
    if line.last() == Some(&b'\n') {
        return Ok(String::from_utf8_lossy(&line).into_owned());
    }
    let is_cut = u64::try_from(line.len()).is_ok_and(|length| length == LONGEST_LINE_BYTES);
    Err(if is_cut { Trouble::Garbled } else { Trouble::Lost(std::io::ErrorKind::UnexpectedEof.into()) })
}

/// Code, whether it is the last line, and text.
fn parse_line(line: &str) -> Option<(u16, bool, &str)> {
    let line = line.trim_end_matches(['\r', '\n']);
    let (digits, rest) = line.split_at_checked(3)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let number = digits.parse().ok().filter(|number| (200..600).contains(number))?;
    match rest.split_at_checked(1) {
        None => Some((number, true, "")),
        Some((" ", text)) => Some((number, true, text)),
        Some(("-", text)) => Some((number, false, text)),
        Some(_) => None,
    }
}

/// `5.1.1` at the beginning of a text: class 2, 4 or 5, then two numbers of up to three digits.
fn enhanced_code(text: &str) -> Option<String> {
    let word = text.split(' ').next()?;
    let parts: Vec<&str> = word.split('.').collect();
    let is_number =
        |part: &&str| (1..=3).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
    let is_code = parts.len() == 3 && ["2", "4", "5"].contains(&parts[0]) && parts.iter().all(is_number);
    is_code.then(|| word.to_owned())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    async fn read(bytes: &[u8]) -> Result<(String, Vec<String>, usize), Trouble> {
        let mut input = bytes;
        let reply = read_reply(&mut input).await?;
        Ok((reply.code.to_string(), reply.lines, input.len()))
    }

    #[tokio::test]
    async fn a_reply_ends_with_its_last_line_and_nothing_more_is_read() {
        let (code, lines, left) = read(b"250-first\r\n250-\r\n250 last\r\n220 next\r\n").await.unwrap();
        assert_eq!((code.as_str(), left), ("250", 10));
        assert_eq!(lines, ["first", "", "last"]);
        assert_eq!(read(b"354\r\n").await.unwrap().0, "354");
        assert_eq!(read(b"220 no return\n").await.unwrap().1, ["no return"]);
    }

    #[tokio::test]
    async fn the_enhanced_code_is_kept_and_no_word() {
        assert_eq!(read(b"550 5.1.1 <anna@x.se> unknown\r\n").await.unwrap().0, "550 5.1.1");
        for text in ["anna@x.se", "5.1.anna", "5.1", "5.1.1.1", "6.1.1", "5.1.1111", "5..1", ""] {
            assert_eq!(read(format!("550 {text}\r\n").as_bytes()).await.unwrap().0, "550", "{text}");
        }
    }

    #[tokio::test]
    async fn what_is_no_reply_is_garbled_and_what_ends_is_lost() {
        for bytes in [
            "hello\r\n",
            "25 x\r\n",
            "2500 x\r\n",
            "+50 x\r\n",
            "199 x\r\n",
            "600 x\r\n",
            "250-a\r\n251 b\r\n",
        ] {
            assert!(matches!(read(bytes.as_bytes()).await, Err(Trouble::Garbled)), "{bytes}");
        }
        assert!(matches!(read(&[b'2'; 10_000]).await, Err(Trouble::Garbled)));
        assert!(matches!(read("250-x\r\n".repeat(1000).as_bytes()).await, Err(Trouble::Garbled)));
        for bytes in ["", "25", "250 ok", "250-a\r\n"] {
            assert!(matches!(read(bytes.as_bytes()).await, Err(Trouble::Lost(_))), "{bytes}");
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in "[245][0-9]{2}[ -]\\PC{0,9}\r\n") {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let _ = runtime.block_on(read(&bytes));
            let _ = runtime.block_on(read(text.as_bytes()));
        }
    }
}
