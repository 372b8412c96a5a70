//! Attackers: many connections from addresses of their own, each made anew when it was ended.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

use crate::wire::frames::{self, PREFACE, SETTINGS};

/// Where attackers come from: not the portal's address, as it is in the world.
pub const ATTACKER: Ipv4Addr = Ipv4Addr::new(127, 0, 66, 1);
/// An attacker that was turned away waits this long: attacking itself is not what keeps the machine busy.
const TURNED_AWAY: Duration = Duration::from_millis(50);

/// A connection from an address of choice.
pub async fn connect_from(from: Ipv4Addr, to: SocketAddr) -> std::io::Result<TcpStream> {
    let socket = TcpSocket::new_v4()?;
    socket.bind(SocketAddr::from((from, 0)))?;
    socket.connect(to).await
}

/// So many attackers, each attacking again and again.
pub async fn attack<A: Future<Output = ()> + Send + 'static>(
    count: usize,
    to: SocketAddr,
    once: impl Fn(TcpStream) -> A + Clone + Send + Sync + 'static,
) {
    let mut attackers = JoinSet::new();
    for _ in 0..count {
        let once = once.clone();
        attackers.spawn(async move {
            loop {
                if let Ok(stream) = connect_from(ATTACKER, to).await {
                    once(stream).await;
                }
                tokio::time::sleep(TURNED_AWAY).await;
            }
        });
    }
    let ended = attackers.join_next().await;
    panic!("an attacker ended: {ended:?}");
}

/// Begins HTTP/2 with these settings and then sends `next` again and again, as fast as the other side takes it, until
/// the other side has had enough. What comes back is read and thrown away.
pub async fn pour(stream: TcpStream, settings: &[u8], next: impl FnMut(u32) -> Vec<u8>) {
    pour_by(Duration::ZERO, stream, settings, next).await;
}

/// The same with a pause each time.
pub async fn pour_by(
    pause: Duration,
    stream: TcpStream,
    settings: &[u8],
    mut next: impl FnMut(u32) -> Vec<u8>,
) {
    let (mut from, mut to) = stream.into_split();
    let sending = async {
        let begin = [PREFACE, &frames::frame(SETTINGS, 0, 0, settings)].concat();
        let mut sent = to.write_all(&begin).await;
        let mut number = 0;
        while sent.is_ok() {
            sent = to.write_all(&next(number)).await;
            number += 1;
            if pause.is_zero() {
                // Attackers take turns on their thread.
                tokio::task::yield_now().await;
            } else {
                tokio::time::sleep(pause).await;
            }
        }
    };
    let reading = async {
        let mut answer = vec![0; 16 * 1024];
        while matches!(from.read(&mut answer).await, Ok(1..)) {}
    };
    tokio::select! {
        () = sending => {}
        () = reading => {}
    }
}

/// Sends bytes, and then a byte of `crumbs` at a time, until the other side has had enough.
pub async fn trickle(mut stream: TcpStream, begin: Vec<u8>, crumbs: &'static [u8]) {
    const PAUSE: Duration = Duration::from_millis(50);
    if stream.write_all(&begin).await.is_err() {
        return;
    }
    let mut answer = [0; 1024];
    let mut crumbs = crumbs.iter();
    loop {
        tokio::select! {
            read = stream.read(&mut answer) => if !matches!(read, Ok(1..)) { return },
            () = tokio::time::sleep(PAUSE) => {
                if let Some(crumb) = crumbs.next() && stream.write_all(&[*crumb]).await.is_err() {
                    return;
                }
            }
        }
    }
}
