//! What may stand behind the name of a file: pipes at the start, files that come and go afterwards.

use std::io::Write as _;
use std::process::Command;

use super::is_known;
use super::reload::{Mounted, REFUSED, RELOADS, token};
use crate::support::process::{Process, serve};
use crate::support::{START_DEADLINE, eventually};

/// As `serve --config <(sops decrypt …)` does: what was read is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_configuration_from_a_pipe_is_read_once_and_not_followed() {
    let mounted = Mounted::new();
    let (secret, digest) = token();
    let (reader, mut writer) = std::io::pipe().unwrap();
    // Less than a pipe holds: nobody waits.
    writer.write_all(mounted.with_callers(&[&digest]).as_bytes()).unwrap();
    drop(writer);
    let mut command = serve("/dev/stdin".as_ref());
    command.stdin(reader);
    let process = tokio::task::block_in_place(|| Process::start_by(command));
    assert!(is_known(&process.calls(&secret).await).await);
    let told = process.logged("is no file and cannot be read again");
    assert!(told.len() == 1 && told[0].contains("/dev/stdin"), "{told:?}");
}

/// Who opens a pipe that nobody writes to waits for ever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipe_that_takes_the_place_of_a_file_is_refused() {
    let mut mounted = Mounted::new();
    let (secret, digest) = token();
    mounted.mount(&mounted.with_callers(&[&digest]));
    let file = mounted.file();
    let mut process = tokio::task::block_in_place(|| Process::start(&file));
    let calls = process.calls(&secret).await;

    let pipe = mounted.directory.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let key = mounted.directory.path().join("master-key");
    let text = mounted.with_callers(&[&digest]);
    mounted.mount(&text.replace(key.to_str().unwrap(), pipe.to_str().unwrap()));
    process.hang_up();
    eventually(START_DEADLINE, "it is refused", async || process.metric(REFUSED, "").await > 0.5).await;
    let told = process.logged("the changed configuration cannot be used");
    assert!(told.len() == 1 && told[0].contains("keys.master[0].file"), "{told:?}");
    assert!(is_known(&calls).await);
    process.terminate();
    assert!(process.ended(START_DEADLINE).await.success(), "and does not keep the service from stopping");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_file_that_is_put_back_as_it_was_makes_nothing_anew() {
    let mut mounted = Mounted::new();
    let (secret, digest) = token();
    let good = mounted.with_callers(&[&digest]);
    mounted.mount(&good);
    let file = mounted.file();
    let process = tokio::task::block_in_place(|| Process::start(&file));
    for broken in ["no TOML at all", "issuer = 7", ""] {
        mounted.mount(broken);
        process.hang_up();
        eventually(START_DEADLINE, "it is refused", async || process.metric(REFUSED, "").await > 0.5).await;
        mounted.mount(&good);
        process.hang_up();
        eventually(START_DEADLINE, "nothing is wrong", async || process.metric(REFUSED, "").await < 0.5)
            .await;
        assert!(process.metric(RELOADS, "\"taken\"").await < 0.5, "{broken:?}: what runs was read again");
    }
    assert!(is_known(&process.calls(&secret).await).await);
}
