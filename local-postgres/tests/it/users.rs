//! Several users, in one process or many: the first starts the server, the last stops it.

use std::path::Path;

use local_postgres::{Server, Stopped};

use crate::child::scenario;
use crate::{ended, has_postmaster, number, open_folder, start, stop, until};

#[tokio::test]
async fn the_last_user_stops_the_server_and_joining_starts_none() {
    let folder = open_folder();
    assert!(Server::join(folder.path()).await.unwrap().is_none());
    let server = start(folder.path()).await;
    let pid = server.postmaster_pid();
    let joined = Server::join(folder.path())
        .await
        .unwrap()
        .expect("a server to join");
    assert_eq!(joined.postmaster_pid(), pid);
    assert_eq!(server.stop().await.unwrap(), Stopped::StillUsed);
    assert_eq!(number(&joined.url("postgres"), "select 1::bigint").await, 1);
    stop(joined).await;
    ended(pid).await;
    assert!(Server::join(folder.path()).await.unwrap().is_none());
    dropped_users_leave_too_and_the_next_start_waits_for_the_end(folder.path()).await;
}

async fn dropped_users_leave_too_and_the_next_start_waits_for_the_end(folder: &Path) {
    for _ in 0..3 {
        let first = start(folder).await;
        let second = start(folder).await;
        drop(first);
        assert_eq!(number(&second.url("postgres"), "select 1::bigint").await, 1);
        // Sends the signal and does not wait; the next start finds the server shutting down.
        drop(second);
    }
    until("the dropped server is down", || !has_postmaster(folder)).await;
}

async fn of_four_processes_that_start_at_once_all_use_one_server(folder: &Path) {
    let children: Vec<_> = (0..4).map(|_| scenario("hold", folder).run()).collect();
    let pids: Vec<String> = children.iter().map(crate::child::Child::says).collect();
    assert!(pids.iter().all(|pid| *pid == pids[0]), "{pids:?}");
    let left: Vec<String> = children
        .into_iter()
        .map(crate::child::Child::finish)
        .collect();
    assert_eq!(left, ["StillUsed", "StillUsed", "StillUsed", "Down"]);
    assert!(!has_postmaster(folder));
}

/// Whoever has started or joined can rely on the server until it leaves, whatever others do meanwhile.
#[tokio::test]
async fn coming_and_going_never_pulls_the_server_from_under_a_user() {
    let folder = open_folder();
    of_four_processes_that_start_at_once_all_use_one_server(folder.path()).await;
    let come_and_go = async || {
        for _ in 0..8 {
            let server = start(folder.path()).await;
            assert_eq!(number(&server.url("postgres"), "select 1::bigint").await, 1);
            server.stop().await.unwrap();
        }
    };
    tokio::join!(come_and_go(), come_and_go(), come_and_go());
    assert!(!has_postmaster(folder.path()));
}
