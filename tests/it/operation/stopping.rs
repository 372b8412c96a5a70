//! A stop that comes while something else is under way.

use std::sync::{Mutex, mpsc};

use guardian_auth::app::{App, Followed, Outside};
use guardian_auth::config::{Log, Source};

use crate::support::process::minimal_config;
use crate::support::service::http_get;
use crate::support::{START_DEADLINE, eventually};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_stop_turns_readiness_false_while_a_configuration_is_being_taken() {
    let directory = tempfile::tempdir().unwrap();
    let (file, text) = (directory.path().join("config.toml"), minimal_config(directory.path()));
    std::fs::write(&file, &text).unwrap();
    let source = Source::new(Some(&file), std::iter::empty());
    let (config, seen) = source.read_once();
    let app = App::start(config.unwrap(), Outside::of_this_machine()).await.unwrap();
    // What is told of a new configuration holds it up until the test lets it go.
    let ((taking, taken), (release, released)) = (mpsc::channel(), mpsc::channel::<()>());
    let (taking, released) = (Mutex::new(taking), Mutex::new(released));
    let set_log = move |_: Log| {
        taking.lock().unwrap().send(()).unwrap();
        released.lock().unwrap().recv().unwrap_err();
    };
    app.follow(Followed { source, seen, set_log: Box::new(set_log) });
    std::fs::write(&file, text.replace("Sample kommun", "Another kommun")).unwrap();
    app.look_now();
    tokio::task::block_in_place(|| taken.recv_timeout(START_DEADLINE)).expect("the change is taken");

    let ops = app.ops_address();
    assert_eq!(http_get(ops, "/ready").await.0, 200);
    let stopped = tokio::spawn(app.stop());
    eventually(START_DEADLINE, "readiness turns false", async || http_get(ops, "/ready").await.0 == 503)
        .await;
    assert!(!stopped.is_finished(), "the change is still being taken");
    drop(release);
    stopped.await.unwrap();
}
