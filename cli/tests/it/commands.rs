//! What the command line says when something is wrong: one line that says what to do, and a status that is not 0.

use std::process::Output;

use crate::server::{Folder, Server, spacerent};

pub fn one_line(output: &Output) -> String {
    let said = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> = said.lines().collect();
    assert!(!output.status.success(), "it claims success: {said}");
    assert!(output.stdout.is_empty(), "an error came out on stdout");
    assert_eq!(lines.len(), 1, "not one line:\n{said}");
    lines[0].to_owned()
}

#[tokio::test]
async fn serve_without_a_database_says_what_is_missing() {
    let output = spacerent(&["serve"]).output().await.unwrap();
    assert_eq!(
        one_line(&output),
        "spacerent: serve needs DATABASE_URL (or DATABASE_URL_FILE)"
    );
}

#[tokio::test]
async fn a_malformed_setting_is_named() {
    let output = spacerent(&["status"])
        .env("CB_MIN_CALLS", "many")
        .output()
        .await
        .unwrap();
    assert_eq!(
        one_line(&output),
        "spacerent: CB_MIN_CALLS: \"many\" is not a whole number of at most 4294967295"
    );
}

#[tokio::test]
async fn an_open_door_to_the_network_is_refused() {
    let output = spacerent(&["serve"])
        .env("LISTEN_HOST", "0.0.0.0")
        .env("DATABASE_URL", "postgresql:///nowhere")
        .output()
        .await
        .unwrap();
    assert!(one_line(&output).contains("AUTH_ALLOW_OPEN=1"));
}

#[tokio::test]
async fn url_without_a_server_says_how_to_start_one() {
    let folder = Folder::new();
    let line = one_line(&folder.run(&["url"]).await);
    assert!(line.contains("start `spacerent dev`"), "{line}");
}

#[tokio::test]
async fn a_database_that_does_not_answer_is_one_line() {
    let output = spacerent(&["status"])
        .env("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")
        .output()
        .await
        .unwrap();
    assert!(one_line(&output).contains("cannot be reached"));
}

#[tokio::test]
async fn a_url_that_is_none_is_named_and_not_shown() {
    let output = spacerent(&["status"])
        .env("DATABASE_URL", "sesame")
        .output()
        .await
        .unwrap();
    let line = one_line(&output);
    assert!(
        line.contains("DATABASE_URL: is not a libpq URI") && !line.contains("sesame"),
        "{line}"
    );
}

#[tokio::test]
async fn a_misspelt_folder_makes_no_server() {
    let folder = Folder::new();
    for command in ["status", "watch", "replay mypage", "trace 1", "events tail"] {
        let words: Vec<_> = command.split(' ').collect();
        let line = one_line(&folder.run(&words).await);
        assert!(
            line.contains("there is no local server in"),
            "{command}: {line}"
        );
    }
    let made = std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(made, 0, "something was made in it");
}

/// `jobs list | head -1` is nothing that went wrong.
#[tokio::test]
async fn who_does_not_read_to_the_end_gets_no_error() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    for arguments in [["status", "--json"], ["man", "replay"]] {
        let mut child = folder
            .command(&arguments)
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn wrong_names_and_taken_ports_are_one_line_each() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;

    let line = one_line(&folder.run(&["replay", "nonsense"]).await);
    assert!(
        line.contains("nonsense") && line.contains("mypage"),
        "{line}"
    );

    let port = server
        .url("book", "")
        .rsplit(':')
        .next()
        .unwrap()
        .to_owned();
    let output = folder
        .command(&["dev", "--fresh"])
        .env("LISTEN_PORT_BOOK", port)
        .output()
        .await
        .unwrap();
    let line = one_line(&output);
    assert!(line.contains("LISTEN_PORT_BOOK"), "{line}");

    let output = folder
        .command(&["dev", "--fresh"])
        .env(
            "DATABASE_URL",
            String::from_utf8(folder.run(&["url"]).await.stdout)
                .unwrap()
                .trim(),
        )
        .output()
        .await
        .unwrap();
    assert!(one_line(&output).contains("--fresh"));
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn what_was_asked_for_as_json_fails_as_json() {
    let nowhere = [("DATABASE_URL", "postgresql://nobody@127.0.0.1:1/nowhere")];
    let malformed = [("CB_MIN_CALLS", "many")];
    for (arguments, settings, status, wanted) in [
        ("status", nowhere, 1, "cannot be reached"),
        ("status", malformed, 1, "CB_MIN_CALLS"),
        ("trace 7", nowhere, 1, "cannot be reached"),
        ("replay mypage", nowhere, 1, "cannot be reached"),
        ("replay mypage --rollback", nowhere, 1, "cannot be reached"),
        (
            "replay mypage --to-position x",
            nowhere,
            1,
            "not a whole number",
        ),
        ("parked list", nowhere, 1, "cannot be reached"),
        ("parked show mypage 7", nowhere, 1, "cannot be reached"),
        ("jobs list", nowhere, 1, "cannot be reached"),
        ("slices", nowhere, 1, "cannot be reached"),
        ("slices orders 2", nowhere, 1, "cannot be reached"),
        ("slices mypage 2", nowhere, 1, "is a read model"),
        ("slices orders 17", nowhere, 2, "17"),
        ("jobs show 7", nowhere, 1, "cannot be reached"),
        ("jobs show seven", nowhere, 2, "invalid value 'seven'"),
        ("status --nonsense", nowhere, 2, "--nonsense"),
        ("parked", nowhere, 2, "--json"),
    ] {
        let words: Vec<_> = arguments.split(' ').chain(["--json"]).collect();
        let output = spacerent(&words).envs(settings).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        let document: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("{arguments}: no document: {error}; it said {said}"));
        let error = document["error"].as_str().unwrap();
        assert_eq!(output.status.code(), Some(status), "{arguments}: {said}");
        assert!(error.contains(wanted), "{arguments}: {error}");
        assert_eq!(said, format!("spacerent: {error}\n"), "{arguments}");
    }
}
