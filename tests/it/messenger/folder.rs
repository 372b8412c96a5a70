//! Messages in a folder.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use guardian_auth::adapters::messenger::FolderSender;
use guardian_auth::domain::identifier::{Mobile, Region};
use guardian_auth::domain::message::DeliveryFault;
use guardian_auth::domain::time::Timestamp;
use guardian_auth::ports::clock::Clock;
use guardian_auth::ports::messenger::{MailSender, TextMessage, TextSender};

use super::{AT, mail, sender};
use crate::support::smtp::{SmtpServer, Tls};

struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        AT
    }
}

/// Names and contents of the files, in order, and their modes.
fn files(directory: &Path) -> Vec<(String, String, u32)> {
    let read = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.expect("a readable directory");
        let mode = entry.metadata().expect("a file").permissions().mode() & 0o777;
        let name = entry.file_name().into_string().expect("a plain name");
        (name, fs::read_to_string(entry.path()).expect("a text"), mode)
    };
    let mut files: Vec<_> = fs::read_dir(directory).expect("a directory").map(read).collect();
    files.sort();
    files
}

#[tokio::test]
async fn a_mail_in_the_folder_has_the_bytes_that_smtp_sends() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let folder = FolderSender::new(directory.path(), Arc::new(StandingClock)).expect("a folder");
    let server = SmtpServer::start(Tls::StartTls).await;
    for number in [1, 2, 1] {
        MailSender::send(&folder, &mail(number)).await.expect("it is written");
        sender(&server).send(&mail(number)).await.expect("it is taken");
    }
    let files = files(directory.path());
    let names: Vec<&str> = files.iter().map(|(name, _, _)| name.as_str()).collect();
    let name = |number| format!("{}-{}.eml", AT.as_millis(), mail(number).id);
    assert_eq!(names, [name(1), name(2)], "a mail that is sent again is one file");
    for ((_, content, mode), received) in files.iter().zip(server.mails()) {
        assert_eq!(*content, received.raw);
        assert_eq!(*mode, 0o600);
    }
}

#[tokio::test]
async fn each_text_message_has_a_file_of_its_own() {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let folder = FolderSender::new(directory.path(), Arc::new(StandingClock)).expect("a folder");
    let to = Mobile::parse("0701740635", Region::Se).expect("a number");
    for text in ["one", "two"] {
        let message = TextMessage { to: to.clone(), text: text.to_owned() };
        TextSender::send(&folder, &message).await.expect("it is written");
    }
    let files = files(directory.path());
    assert!(files.iter().all(|(name, _, _)| {
        name.starts_with(&AT.as_millis().to_string())
            && Path::new(name).extension().is_some_and(|extension| extension == "txt")
    }));
    let contents: Vec<&str> = files.iter().map(|(_, content, _)| content.as_str()).collect();
    assert_eq!(contents, ["To: +46701740635\n\none\n", "To: +46701740635\n\ntwo\n"]);
}

#[tokio::test]
async fn a_folder_is_made_for_this_user_only_and_its_loss_is_unreachable() {
    let parent = tempfile::tempdir().expect("a temporary directory");
    let directory = parent.path().join("mails");
    let folder = FolderSender::new(&directory, Arc::new(StandingClock)).expect("a folder");
    assert_eq!(fs::metadata(&directory).expect("it is there").permissions().mode() & 0o777, 0o700);
    assert!(MailSender::send(&folder, &mail(1)).await.is_ok());

    fs::remove_dir_all(&directory).expect("it can be removed");
    let error = MailSender::send(&folder, &mail(1)).await.expect_err("it is gone");
    assert_eq!((error.fault, error.detail.as_str()), (DeliveryFault::Unreachable, "folder: NotFound"));
    assert!(FolderSender::new(parent.path().join("a\0b"), Arc::new(StandingClock)).is_err());
}
