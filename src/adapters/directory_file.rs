//! Directory files as JSON lines: one object a line, read one at a time.

use std::fmt;
use std::io::{BufRead, BufReader, Read};

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use crate::domain::directory_row::{Delivered, Unreadable};
use crate::ports::directory_file::{DeliveredLine, DirectoryRows};
use crate::ports::error::PortError;

/// The most bytes of a line: a guardian with everything has about 2 KiB. A longer line is passed over without being held.
pub const LONGEST_LINE_BYTES: usize = 64 * 1024;
/// Bytes read from the file at once.
const BUFFER_BYTES: usize = 64 * 1024;
/// Some programs begin a file with it, and it is no part of the first line.
const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

/// A directory file being read.
pub struct DirectoryFile<R> {
    input: BufReader<R>,
    /// The number of the line read last.
    number: u64,
    line: Vec<u8>,
}

impl<R: Read> DirectoryFile<R> {
    /// Reads from the start of `input`.
    pub fn new(input: R) -> Self {
        Self { input: BufReader::with_capacity(BUFFER_BYTES, input), number: 0, line: Vec::new() }
    }

    /// Reads the next line into `self.line`, without its line feed and at most one byte more than allowed. Gives the
    /// line's length, or `None` at the end of the file.
    fn read_line(&mut self) -> std::io::Result<Option<usize>> {
        self.line.clear();
        let mut length = 0_usize;
        let mut began = false;
        loop {
            let chunk = match self.input.fill_buf() {
                Ok(chunk) => chunk,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            if chunk.is_empty() {
                return Ok(began.then_some(length));
            }
            began = true;
            let end = chunk.iter().position(|byte| *byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let room = (LONGEST_LINE_BYTES + 1).saturating_sub(self.line.len());
            self.line.extend_from_slice(&part[..part.len().min(room)]);
            length = length.saturating_add(part.len());
            let used = part.len() + usize::from(end.is_some());
            self.input.consume(used);
            if end.is_some() {
                return Ok(Some(length));
            }
        }
    }
}

impl<R: Read + Send> DirectoryRows for DirectoryFile<R> {
    fn next_line(&mut self) -> Result<Option<DeliveredLine>, PortError> {
        loop {
            let length = self.read_line().map_err(|error| PortError::Unavailable {
                dependency: "directory file",
                detail: error.to_string(),
            })?;
            let Some(length) = length else {
                return Ok(None);
            };
            self.number += 1;
            let mut line = self.line.as_slice();
            if self.number == 1 {
                line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
            }
            if line.trim_ascii().is_empty() && length <= LONGEST_LINE_BYTES {
                continue;
            }
            let row = if length > LONGEST_LINE_BYTES {
                Err(Unreadable::TooLong { most_bytes: LONGEST_LINE_BYTES })
            } else {
                parse(line)
            };
            return Ok(Some(DeliveredLine { number: self.number, bytes: line.len(), row }));
        }
    }
}

fn parse(line: &[u8]) -> Result<Delivered, Unreadable> {
    let text = std::str::from_utf8(line).map_err(|_| Unreadable::NotUtf8)?;
    // The words of the error may quote the row; its place does not.
    serde_json::from_str::<Node>(text)
        .map(|node| node.0)
        .map_err(|error| Unreadable::NotJson { column: error.column() })
}

/// Reads any JSON value into the tree that the domain judges. `serde_json::Value` would lose fields given twice.
struct Node(Delivered);

impl<'de> Deserialize<'de> for Node {
    /// The reader's own limit (128 levels) ends documents that are nested too deep.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(NodeVisitor).map(Self)
    }
}

struct NodeVisitor;

impl<'de> Visitor<'de> for NodeVisitor {
    type Value = Delivered;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Delivered, E> {
        Ok(Delivered::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Delivered, E> {
        Ok(Delivered::Flag(flag))
    }

    fn visit_i64<E>(self, _: i64) -> Result<Delivered, E> {
        Ok(Delivered::Number)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Delivered, E> {
        Ok(Delivered::Number)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Delivered, E> {
        Ok(Delivered::Number)
    }

    fn visit_str<E>(self, text: &str) -> Result<Delivered, E> {
        Ok(Delivered::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Delivered, E> {
        Ok(Delivered::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Delivered, A::Error> {
        let mut list = Vec::new();
        while let Some(Node(item)) = items.next_element()? {
            list.push(item);
        }
        Ok(Delivered::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Delivered, A::Error> {
        let mut object = Vec::new();
        while let Some((name, Node(value))) = entries.next_entry()? {
            object.push((name, value));
        }
        Ok(Delivered::Object(object))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn lines(input: &[u8]) -> Vec<(u64, Option<Unreadable>)> {
        let mut file = DirectoryFile::new(Cursor::new(input.to_vec()));
        std::iter::from_fn(|| file.next_line().unwrap()).map(|line| (line.number, line.row.err())).collect()
    }

    #[test]
    fn blank_lines_are_counted_and_passed_over() {
        assert_eq!(lines(b"{}\n\n  \r\n{}"), [(1, None), (4, None)]);
        assert_eq!(lines(b""), []);
        assert_eq!(lines(b"\n"), []);
    }

    #[test]
    fn a_byte_order_mark_belongs_to_no_row() {
        assert_eq!(lines(b"\xEF\xBB\xBF{}\n{}"), [(1, None), (2, None)]);
    }

    #[test]
    fn a_line_too_long_is_passed_over_and_the_next_one_read() {
        let most_bytes = LONGEST_LINE_BYTES;
        let too_long = Some(Unreadable::TooLong { most_bytes });
        let fitting = format!("\"{}\"", "x".repeat(most_bytes - 2));
        let longer = format!("\"{}\"", "x".repeat(most_bytes - 1));
        let spaces = " ".repeat(3 * most_bytes);
        let input = format!("{fitting}\n{longer}\n{spaces}\n{{}}\n");
        assert_eq!(lines(input.as_bytes()), [(1, None), (2, too_long), (3, too_long), (4, None)]);
        let mut file = DirectoryFile::new(std::io::repeat(b'{').take(1 << 24));
        assert!(file.next_line().unwrap().is_some_and(|line| line.row.err() == too_long));
        assert!(file.line.capacity() <= 4 * LONGEST_LINE_BYTES, "{}", file.line.capacity());
    }

    #[test]
    fn what_is_no_json_or_no_utf8_says_so() {
        assert_eq!(
            lines(b"{\"a\":\xFF}\n{\"a\":\n{\"a\":1}x\n\xE9"),
            [
                (1, Some(Unreadable::NotUtf8)),
                (2, Some(Unreadable::NotJson { column: 5 })),
                (3, Some(Unreadable::NotJson { column: 8 })),
                (4, Some(Unreadable::NotUtf8)),
            ]
        );
        assert!(matches!(lines("[".repeat(1000).as_bytes())[..], [(1, Some(Unreadable::NotJson { .. }))]));
    }

    #[test]
    fn fields_given_twice_are_both_kept() {
        let Ok(Delivered::Object(fields)) = parse(br#"{"a":1,"b":[null,true,"x"],"a":2.5}"#) else {
            panic!("an object");
        };
        let names: Vec<&str> = fields.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "b", "a"]);
    }
}
