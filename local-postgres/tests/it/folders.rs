//! Folders that are too long, oddly named, closed or somebody else's.

use std::fs::Permissions;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use local_postgres::{Error, Options, Profile, Server, Stopped};

use crate::child::{as_nobody, give_to_nobody};
use crate::{is_root, number, open_folder, start, stop};

#[tokio::test]
async fn a_path_too_long_for_a_socket_gets_a_short_one() {
    let folder = open_folder();
    let far = folder.path().join("a-folder-with-a-long-name/".repeat(6));
    let server = start(&far).await;
    assert_eq!(number(&server.url("postgres"), "select 1::bigint").await, 1);
    let adopted = start(&far).await;
    assert_eq!(adopted.postmaster_pid(), server.postmaster_pid());
    assert_eq!(server.stop().await.unwrap(), Stopped::StillUsed);
    stop(adopted).await;
}

#[tokio::test]
async fn a_folder_may_have_any_name_and_keeps_others_out() {
    let folder = open_folder();
    let odd = folder.path().join("my \"data\", ö+%20");
    let server = start(&odd).await;
    assert_eq!(number(&server.url("postgres"), "select 1::bigint").await, 1);
    for name in ["data", "socket"] {
        let metadata = std::fs::metadata(odd.join("postgres").join(name)).unwrap();
        assert_eq!(metadata.mode() & 0o777, 0o700, "{name}");
        assert_ne!(metadata.uid(), 0, "{name}");
    }
    stop(server).await;
}

#[tokio::test]
async fn root_is_told_which_folder_keeps_the_server_out() {
    if !is_root() {
        return;
    }
    let folder = open_folder();
    let home = folder.path().join("home");
    std::fs::create_dir(&home).unwrap();
    std::fs::set_permissions(&home, Permissions::from_mode(0o700)).unwrap();
    let options = Options::new(home.join("data"), Profile::Disposable);
    let error = Server::start(options).await.unwrap_err();
    let Error::OutOfReach { closed, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*closed, home.canonicalize().unwrap());
}

#[tokio::test]
async fn an_unprivileged_user_runs_the_server_as_itself() {
    if !is_root() {
        return;
    }
    let folder = open_folder();
    let own = folder.path().join("own");
    std::fs::create_dir(&own).unwrap();
    give_to_nobody(&own);
    let mut parent = as_nobody("hold", &own, folder.path()).run();
    let pid: i32 = parent.says().parse().unwrap();
    let nobody = std::fs::metadata(&own).unwrap().uid();
    assert_eq!(
        std::fs::metadata(own.join("postgres/data")).unwrap().uid(),
        nobody
    );

    // Root joins it as what it is; the next of nobody's own processes adopts it from its killed parent.
    let root = start(&own).await;
    assert_eq!(root.postmaster_pid(), pid);
    parent.kill();
    stop(root).await;
    let again = as_nobody("hold", &own, folder.path()).run();
    assert_ne!(again.says(), pid.to_string());
    assert_eq!(again.finish(), "Down");
}

#[tokio::test]
async fn an_unprivileged_user_is_refused_a_folder_of_root() {
    if !is_root() {
        return;
    }
    let folder = open_folder();
    std::fs::create_dir(folder.path().join("postgres")).unwrap();
    let words = as_nobody("fail", folder.path(), folder.path()).run().says();
    assert!(words.contains("start.lock: Permission denied"), "{words}");
}
