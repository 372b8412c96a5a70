//! HTTP/2 written by hand: what no library lets a client send.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const GOAWAY: u8 = 7;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
/// In a PING or SETTINGS.
pub const ACK: u8 = 1;

/// How a connection begins.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A connection after its preface.
pub struct Frames {
    pub stream: TcpStream,
}

impl Frames {
    /// Connects, and sends the preface and empty settings.
    pub async fn connect(address: SocketAddr) -> Self {
        let mut frames = Self { stream: TcpStream::connect(address).await.unwrap() };
        frames.stream.write_all(PREFACE).await.unwrap();
        frames.send(SETTINGS, 0, 0, &[]).await;
        frames
    }

    /// Sends a frame. The other side may be gone: that is for the reader to see.
    pub async fn send(&mut self, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
        drop(self.stream.write_all(&frame(kind, flags, stream, payload)).await);
    }

    /// Sends a POST's headers, each as a literal without index or Huffman code.
    pub async fn headers(&mut self, stream: u32, path: &str, headers: &[(&str, &str)]) {
        let block = block(path, headers);
        self.send(HEADERS, END_HEADERS, stream, &block).await;
    }

    /// Sends a body and ends the stream.
    pub async fn data(&mut self, stream: u32, bytes: &[u8]) {
        self.send(DATA, END_STREAM, stream, bytes).await;
    }

    /// The next frame's kind and payload; `None` at the end of the connection.
    pub async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 9];
        self.stream.read_exact(&mut head).await.ok()?;
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).await.ok()?;
        Some((head[3], payload))
    }

    /// Reads until a frame of one of these kinds; `None` if the connection ends before.
    pub async fn first_of(&mut self, kinds: &[u8]) -> Option<u8> {
        while let Some((kind, _)) = self.next().await {
            if kinds.contains(&kind) {
                return Some(kind);
            }
        }
        None
    }
}

/// A block of a POST's headers.
pub fn block(path: &str, headers: &[(&str, &str)]) -> Vec<u8> {
    let pseudo =
        [(":method", "POST"), (":scheme", "http"), (":authority", "guardian.example"), (":path", path)];
    literal(&[&pseudo, headers].concat())
}

/// A block of any headers, pseudo-headers among them, each as a literal without index or Huffman code.
pub fn literal(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "one byte of length");
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}
