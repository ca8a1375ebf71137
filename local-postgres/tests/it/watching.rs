//! No test process leaves a server behind, however it ends.

use local_postgres::Profile;
use local_postgres::testing::Cluster;

use crate::child::scenario;
use crate::{ended, has_postmaster, open_folder, shared, shared_server_is_down};

#[tokio::test]
async fn the_shared_server_goes_after_its_last_process_was_killed() {
    let room = open_folder();
    let run = || scenario("database", "key").env("TMPDIR", room.path()).run();
    let (mut one, mut other) = (run(), run());
    let first = [one.says(), other.says()];
    // One of them prepared the template, and has yet to say its URI.
    let said = if first[0] == "prepared" {
        one.says()
    } else {
        other.says()
    };
    assert!(said.starts_with("postgresql:///"), "{said}");
    one.kill();
    other.kill();
    assert!(has_postmaster(&shared(room.path())));
    shared_server_is_down(room.path()).await;
}

#[tokio::test]
async fn the_shared_server_lingers_for_the_next_process() {
    let room = open_folder();
    let pid_file = || shared(room.path()).join("postgres/data/postmaster.pid");
    let run = || {
        let child = scenario("database", "key").env("TMPDIR", room.path()).run();
        let said = child.says();
        let url = if said == "prepared" {
            child.says()
        } else {
            said
        };
        assert!(url.starts_with("postgresql:///"), "{url}");
        let pid = std::fs::read_to_string(pid_file())
            .unwrap()
            .lines()
            .next()
            .unwrap()
            .to_owned();
        assert_eq!(child.finish(), "goodbye");
        pid
    };
    assert_eq!(run(), run());
    shared_server_is_down(room.path()).await;
}

#[tokio::test]
async fn a_cluster_goes_with_its_value_even_frozen_or_killed() {
    for damage in ["none", "frozen", "killed"] {
        let cluster = Cluster::start(Profile::Disposable).await.unwrap();
        let (pid, folder) = (cluster.postmaster_pid(), cluster.folder().to_owned());
        match damage {
            "frozen" => cluster.freeze().unwrap(),
            "killed" => cluster.kill_postmaster().await.unwrap(),
            _ => {}
        }
        drop(cluster);
        ended(pid).await;
        assert!(!folder.exists(), "{damage}");
    }
}
