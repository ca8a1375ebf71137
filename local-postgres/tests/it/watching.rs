//! No test process leaves a server behind, however it ends.

use std::path::PathBuf;

use local_postgres::Profile;
use local_postgres::testing::Cluster;

use crate::child::scenario;
use crate::{ended, open_folder, shared, shared_server_is_down, until};

#[tokio::test]
async fn the_shared_server_lingers_for_the_next_process_and_goes_after_the_last_was_killed() {
    let room = open_folder();
    let run = || scenario("database", "key").env("TMPDIR", room.path()).run();
    let first = run();
    assert_eq!(first.says(), "prepared");
    let url = first.says();
    assert!(url.starts_with("postgresql:///"), "{url}");
    let pid_file = shared(room.path()).join("postgres/data/postmaster.pid");
    let running = std::fs::read_to_string(&pid_file).unwrap();
    assert_eq!(first.finish(), "goodbye");

    let mut last = run();
    assert!(last.says().starts_with("postgresql:///"));
    assert_eq!(std::fs::read_to_string(&pid_file).unwrap(), running);
    last.kill();
    assert!(pid_file.exists());
    shared_server_is_down(room.path()).await;
}

#[tokio::test]
async fn a_cluster_goes_with_its_killed_process() {
    let mut child = scenario("cluster", "").run();
    let (pid, folder) = (child.says().parse().unwrap(), PathBuf::from(child.says()));
    assert!(folder.exists());
    child.kill();
    ended(pid).await;
    until("the folder is removed", || !folder.exists()).await;
}

#[tokio::test]
async fn a_cluster_goes_with_its_value_even_if_its_postmaster_was_killed() {
    let cluster = Cluster::start(Profile::Disposable).await.unwrap();
    let (pid, folder) = (cluster.postmaster_pid(), cluster.folder().to_owned());
    cluster.kill_postmaster().await.unwrap();
    drop(cluster);
    ended(pid).await;
    assert!(!folder.exists());
}
