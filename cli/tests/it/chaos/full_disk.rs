//! A disk that fills up under the server: a small tmpfs, where one can be mounted.

use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use local_postgres::testing::stopwatch;
use local_postgres::{Options, Profile, Server, testing};
use tempfile::TempDir;

use super::faults::{behind_a_proxy, places};
use super::load::{Answered, Load, book};
use super::verdict;
use super::world::{SETTLED_MAX, SHORT, World};
use crate::process::Process;
use crate::server::moment;

/// Big enough for a server and a load, small enough for memory.
const SIZE_MIB: u32 = 320;
/// Within this time the load fills what is left of the disk.
const REFUSED_MAX: Duration = Duration::from_secs(30);
/// Within this time a server that did not give up takes what is written.
const GOES_ON_MAX: Duration = Duration::from_secs(5);
/// How often the disk is filled until a server has lived through it.
const FILLS: usize = 5;
/// Within this time bookings are taken again.
const TAKEN_AGAIN_MAX: Duration = Duration::from_secs(60);

/// A small disk of one test's own.
pub struct Disk(TempDir);

impl Disk {
    /// `None`, with the reason, where it cannot be mounted.
    pub fn mount(size_mib: u32) -> Result<Self, String> {
        let folder = tempfile::Builder::new()
            .prefix("spacerent-disk-")
            .tempdir()
            .unwrap();
        let size = format!("size={size_mib}m,mode=0755");
        let mount = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &size, "tmpfs"])
            .arg(folder.path())
            .output();
        match mount {
            Ok(output) if output.status.success() => Ok(Self(folder)),
            Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
            Err(error) => Err(error.to_string()),
        }
    }

    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves no byte free.
    pub fn fill(&self) {
        let mut ballast = std::fs::File::options()
            .append(true)
            .create(true)
            .open(self.ballast())
            .unwrap();
        let piece = vec![0; 1 << 20];
        for size in [1 << 20, 1 << 16, 1 << 12, 512] {
            while ballast.write_all(&piece[..size]).is_ok() {}
        }
    }

    /// Makes room again.
    pub fn free(&self) {
        let _ = std::fs::remove_file(self.ballast());
    }

    fn ballast(&self) -> std::path::PathBuf {
        self.path().join("ballast")
    }
}

impl Drop for Disk {
    /// With whatever still runs on it.
    fn drop(&mut self) {
        let folder = self.path().to_owned();
        let kill = move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            runtime.unwrap().block_on(testing::kill(&folder))
        };
        let _ = std::thread::spawn(kill).join();
        let _ = Command::new("umount").arg("-l").arg(self.path()).output();
    }
}

/// A server on it that keeps little write-ahead log.
pub async fn server_on(disk: &Disk) -> Server {
    std::fs::set_permissions(disk.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    Server::start(options(disk)).await.unwrap()
}

fn options(disk: &Disk) -> Options {
    Options::new(disk.path(), Profile::Durable)
        .setting("dynamic_shared_memory_type", "mmap")
        .setting("max_wal_size", "64MB")
        .setting("min_wal_size", "32MB")
}

/// Starts it again when it gave up; it does when its log cannot be written.
pub async fn server_again(disk: &Disk) -> Server {
    let _ = testing::kill(disk.path()).await;
    Server::start(options(disk)).await.unwrap()
}

/// Fills the disk under a load until a booking is refused; false when all are taken for too long.
pub async fn fill_until_refused(disk: &Disk, world: &World, node: &Process) -> bool {
    let filled = stopwatch();
    while filled.elapsed() < REFUSED_MAX {
        disk.fill();
        let (status, _) = book(&world.http, &node.url("/books"), "numberfour", None).await;
        if status == 503 {
            return true;
        }
    }
    false
}

/// Since when the server runs, which begins anew when it has recovered from a crash; `None` when it is not there.
pub async fn runs_since(world: &World) -> Option<f64> {
    let since = "select extract(epoch from backend_start)::float8 from pg_stat_activity where backend_type = 'checkpointer'";
    let asked = sqlx::query_scalar(since).fetch_one(&world.pool).await;
    asked.ok()
}

/// Whether the server that ran since then takes what is written. It gives up when its log cannot be written.
pub async fn goes_on(world: &World, since: Option<f64>) -> bool {
    let freed = stopwatch();
    while freed.elapsed() < GOES_ON_MAX {
        let written = sqlx::raw_sql("create table written as select 1; drop table written");
        if written.execute(&world.pool).await.is_ok() {
            return runs_since(world).await == since;
        }
        moment().await;
    }
    false
}

#[tokio::test]
async fn a_full_disk_refuses_bookings_and_loses_none() {
    let disk = match Disk::mount(SIZE_MIB) {
        Ok(disk) => disk,
        Err(reason) => {
            // Past the capturing of what a passing test prints.
            let test = "a_full_disk_refuses_bookings_and_loses_none";
            writeln!(
                std::io::stderr(),
                "SKIPPED 1 test, {test}: no tmpfs can be mounted: {reason}"
            )
            .unwrap();
            return;
        }
    };
    let mut server = server_on(&disk).await;
    let (world, _proxy) = behind_a_proxy(&server.url("spacerent"), &server).await;
    let node = world.node(&SHORT).await;
    let load = Load::on(&places(&[&node]), 6, Duration::from_millis(20), 3);
    while load.accepted() < 20 {
        moment().await;
    }
    let mut freed = 0;
    for _ in 0..FILLS {
        let since = runs_since(&world).await;
        let refused = fill_until_refused(&disk, &world, &node).await;
        assert!(refused, "bookings are taken on a full disk");
        disk.free();
        if goes_on(&world, since).await {
            are_taken_again(&load).await;
            freed += 1;
            break;
        }
        drop(server);
        server = server_again(&disk).await;
        are_taken_again(&load).await;
    }
    assert!(freed > 0, "no server lived through it");
    // And one that was killed there.
    assert!(fill_until_refused(&disk, &world, &node).await);
    let _ = testing::kill(disk.path()).await;
    disk.free();
    drop(server);
    server = server_again(&disk).await;
    are_taken_again(&load).await;
    let answered: Answered = load.end().await;
    let verdict = verdict::of(&world, &answered, SETTLED_MAX).await;
    assert!(verdict.is_well(), "{verdict:#?}");
    drop((node, world, server));
}

async fn are_taken_again(load: &Load) {
    let before = load.accepted();
    let freed = stopwatch();
    while load.accepted() < before + 20 {
        assert!(
            freed.elapsed() < TAKEN_AGAIN_MAX,
            "bookings are not taken again"
        );
        moment().await;
    }
}
