//! Messages as files in a folder, for development and for test environments that must not write to anybody.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use async_trait::async_trait;
use tokio::io::AsyncWriteExt as _;

use crate::domain::message::DeliveryFault;
use crate::ports::clock::Clock;
use crate::ports::messenger::{Mail, MailSender, SendError, TextMessage, TextSender};

use super::mail_bytes::mail_bytes;

/// Mails under way at the same time: a disk gains nothing by more.
const PARALLEL: usize = 4;

/// Puts each message into a file of its own, which appears whole: `<unix ms>-<id>.eml` for a mail, with the bytes that
/// SMTP would send, and `<unix ms>-<process>-<number>.txt` for a text message, which has no id.
pub struct FolderSender {
    directory: PathBuf,
    clock: Arc<dyn Clock>,
    texts: AtomicU64,
}

impl FolderSender {
    /// A sender into this directory, which is made if it is not there: for this user only, as there are links in the
    /// files. The clock is for the names of text messages.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn new(directory: impl Into<PathBuf>, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let directory = directory.into();
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&directory)?;
        Ok(Self { directory, clock, texts: AtomicU64::new(0) })
    }

    /// Writes the file under a name that nobody looks for, and gives it its own when it is whole.
    async fn write(&self, name: &str, content: &[u8]) -> io::Result<()> {
        let unfinished = self.directory.join(format!(".{name}.unfinished"));
        let mut options = tokio::fs::OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&unfinished).await?;
        file.write_all(content).await?;
        file.flush().await?;
        tokio::fs::rename(&unfinished, self.directory.join(name)).await
    }
}

#[async_trait]
impl MailSender for FolderSender {
    async fn send(&self, mail: &Mail) -> Result<(), SendError> {
        let content = mail_bytes(mail)?;
        let name = format!("{}-{}.eml", mail.at.as_millis(), mail.id);
        self.write(&name, &content).await.map_err(|error| not_written(&error))
    }

    fn parallel(&self) -> usize {
        PARALLEL
    }
}

#[async_trait]
impl TextSender for FolderSender {
    async fn send(&self, message: &TextMessage) -> Result<(), SendError> {
        let number = self.texts.fetch_add(1, Ordering::Relaxed);
        let name = format!("{}-{}-{number}.txt", self.clock.now().as_millis(), std::process::id());
        let content = format!("To: {}\n\n{}\n", message.to.as_str(), message.text);
        self.write(&name, content.as_bytes()).await.map_err(|error| not_written(&error))
    }
}

/// The disk is full, or the folder is gone: the operator has to act, and the next message may go.
fn not_written(error: &io::Error) -> SendError {
    SendError { fault: DeliveryFault::Unreachable, detail: format!("folder: {:?}", error.kind()) }
}
