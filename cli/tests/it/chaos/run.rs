//! The chaos run: two processes on one Postgres, a steady load, one fault of a random kind after another, and a table.

use std::collections::BTreeMap;
use std::time::Duration;

use local_postgres::testing::stopwatch;
use local_postgres::testing::{self, Cluster};
use local_postgres::{Profile, Server};
use rustix::process::Signal;

use super::faults::{TERMINATE, behind_a_proxy, places};
use super::full_disk::{Disk, server_again, server_on};
use super::load::{Load, Places, book};
use super::proxy::{Cut, Proxy};
use super::verdict;
use super::world::{Node, World};
use crate::server::moment;

/// How long it goes on unless `CHAOS_SECONDS` says otherwise.
const SECONDS: u64 = 600;
const CUSTOMERS: usize = 6;
/// How long a customer rests between two bookings.
const PAUSE: Duration = Duration::from_millis(250);
/// How much room the server has, where a disk can be mounted.
const DISK_MIB: u32 = 1_024;
/// Within this time after a fault a new booking is taken by each process, registered and shown.
const RECOVERED_MAX: Duration = Duration::from_secs(60);
/// Within this time after the last fault everything has come to its end, with the settings as they are: a charge that was
/// perhaps sent and is no longer wanted is believed not to have been after 72 s.
const SETTLED_MAX: Duration = Duration::from_secs(120);
/// Longer than a lease.
const FROZEN_FOR: Duration = Duration::from_secs(8);
const POSTGRES_AWAY_FOR: Duration = Duration::from_secs(2);
const FULL_FOR: Duration = Duration::from_secs(4);
/// Between two faults.
const REST: Duration = Duration::from_secs(1);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    KilledAtAPoint,
    Killed,
    StoppedInsideATransaction,
    Frozen,
    ConnectionsEnded,
    PostgresKilled,
    CutBeforeCommit,
    CutAfterCommit,
    DiskFull,
}

impl Fault {
    const ALL: [Self; 9] = [
        Self::KilledAtAPoint,
        Self::Killed,
        Self::StoppedInsideATransaction,
        Self::Frozen,
        Self::ConnectionsEnded,
        Self::PostgresKilled,
        Self::CutBeforeCommit,
        Self::CutAfterCommit,
        Self::DiskFull,
    ];

    fn name(self) -> &'static str {
        match self {
            Self::KilledAtAPoint => "process killed at a fail point",
            Self::Killed => "process killed with kill -9",
            Self::StoppedInsideATransaction => "lease holder stopped in its transaction",
            Self::Frozen => "process frozen for 8 s",
            Self::ConnectionsEnded => "connections ended at random",
            Self::PostgresKilled => "Postgres killed and started again",
            Self::CutBeforeCommit => "cut before the server had the commit",
            Self::CutAfterCommit => "cut before the client knew of it",
            Self::DiskFull => "disk full for 4 s",
        }
    }
}

/// Where the server lives.
enum Home {
    Disk(Disk, Option<Server>),
    Folder(Box<Cluster>),
}

impl Home {
    fn server(&self) -> &Server {
        match self {
            Self::Disk(_, server) => server.as_ref().unwrap(),
            Self::Folder(cluster) => cluster.server(),
        }
    }

    /// Kills it, and starts it again after a while.
    async fn crash(&mut self, away: Duration) {
        match self {
            Self::Disk(disk, server) => {
                testing::kill(disk.path()).await.unwrap();
                rest(away).await;
                *server = None;
                *server = Some(server_again(disk).await);
            }
            Self::Folder(cluster) => {
                cluster.kill().await.unwrap();
                rest(away).await;
                cluster.restart().await.unwrap();
            }
        }
    }
}

struct Chaos {
    home: Home,
    world: World,
    proxy: Proxy,
    nodes: Vec<Node>,
    places: Places,
    random: fastrand::Rng,
}

impl Chaos {
    async fn begin(seed: u64) -> Self {
        let home = match Disk::mount(DISK_MIB) {
            Ok(disk) => {
                let server = server_on(&disk).await;
                Home::Disk(disk, Some(server))
            }
            Err(reason) => {
                println!("SKIPPED: disk full: no tmpfs can be mounted: {reason}");
                Home::Folder(Box::new(Cluster::start(Profile::Durable).await.unwrap()))
            }
        };
        let (world, proxy) = behind_a_proxy(&home.server().url("spacerent"), home.server()).await;
        let nodes = vec![world.node(&[]).await, world.node(&[]).await];
        let places = places(&[&nodes[0], &nodes[1]]);
        Self {
            home,
            world,
            proxy,
            nodes,
            places,
            random: fastrand::Rng::with_seed(seed),
        }
    }

    /// The kinds that this machine can do.
    fn kinds(&self) -> Vec<Fault> {
        let can = |fault: &Fault| *fault != Fault::DiskFull || matches!(self.home, Home::Disk(..));
        Fault::ALL.into_iter().filter(can).collect()
    }

    /// Breaks something and mends it; false when it did not come to it. Ends when what was broken is there again.
    async fn play(&mut self, fault: Fault) -> bool {
        let one = self.random.usize(..self.nodes.len());
        match fault {
            Fault::KilledAtAPoint => {
                let point = journal::fail_point::PLACES
                    [self.random.usize(..journal::fail_point::PLACES.len())];
                self.world.arm(point, "kill");
                let taken = self.world.taken().await;
                self.world.disarm();
                rest(REST).await;
                for number in 0..self.nodes.len() {
                    if self.nodes[number].has_ended() {
                        self.start_again(number).await;
                    }
                }
                return taken;
            }
            Fault::Killed => {
                self.nodes[one].kill().await;
                self.start_again(one).await;
            }
            Fault::StoppedInsideATransaction => {
                let names: Vec<_> = [&projections::NAMES[..], &["orders"]].concat();
                let follower = names[self.random.usize(..names.len())];
                let point = ["checkpoint-moved", "batch-written"][self.random.usize(..2)];
                self.world.arm(&format!("{point}/{follower}"), "stop");
                let taken = self.world.taken().await;
                self.world.disarm();
                rest(FROZEN_FOR).await;
                for node in self.nodes.iter().filter(|node| node.stands_still()) {
                    node.signal(Signal::CONT);
                }
                return taken;
            }
            Fault::Frozen => {
                self.nodes[one].signal(Signal::STOP);
                rest(FROZEN_FOR).await;
                self.nodes[one].signal(Signal::CONT);
            }
            Fault::ConnectionsEnded => {
                for _ in 0..50 {
                    self.world.count(TERMINATE).await;
                    moment().await;
                }
            }
            Fault::PostgresKilled => self.home.crash(POSTGRES_AWAY_FOR).await,
            Fault::CutBeforeCommit | Fault::CutAfterCommit => {
                let cut = if fault == Fault::CutBeforeCommit {
                    Cut::Before
                } else {
                    Cut::After
                };
                let mut cuts = 0;
                for _ in 0..10 {
                    cuts += usize::from(self.proxy.cut(cut).await);
                }
                return cuts > 0;
            }
            Fault::DiskFull => {
                let Home::Disk(disk, server) = &mut self.home else {
                    return false;
                };
                let full = stopwatch();
                while full.elapsed() < FULL_FOR {
                    disk.fill();
                    moment().await;
                }
                disk.free();
                *server = None;
                *server = Some(server_again(disk).await);
            }
        }
        true
    }

    async fn start_again(&mut self, number: usize) {
        self.nodes[number] = self.world.node(&[]).await;
        self.places.lock().unwrap()[number] = self.nodes[number].url("");
    }

    /// How long it takes until each process takes a booking that is registered and shown; `None` when too long.
    async fn recovers(&self) -> Option<Duration> {
        let mended = stopwatch();
        for node in &self.nodes {
            let mut bookid = None;
            while bookid.is_none() {
                let (status, body) =
                    book(&self.world.http, &node.url("/books"), "numberfour", None).await;
                bookid = body["bookid"]
                    .as_i64()
                    .filter(|_| (200..300).contains(&status));
                if mended.elapsed() > RECOVERED_MAX {
                    return None;
                }
            }
            let shown = format!(
                "select count(*) from mypage.mypages where bookid = {} and status = 'Registered'",
                bookid.unwrap_or_default()
            );
            while self.world.count(&shown).await == 0 {
                if mended.elapsed() > RECOVERED_MAX {
                    return None;
                }
                moment().await;
            }
        }
        Some(mended.elapsed())
    }
}

async fn rest(time: Duration) {
    let over = stopwatch() + time;
    while stopwatch() < over {
        moment().await;
    }
}

/// What became of the faults of one kind.
#[derive(Default)]
struct Tally {
    recovered: Vec<Duration>,
    unrecovered: usize,
    /// Nobody came to the point.
    missed: usize,
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number"))
    })
}

fn print(tallies: &BTreeMap<Fault, Tally>) {
    println!(
        "{:<42} {:>6} {:>7} {:>12} {:>10}",
        "fault", "count", "missed", "median", "worst"
    );
    for (fault, tally) in tallies {
        let mut times = tally.recovered.clone();
        times.sort_unstable();
        let shown = |time: Option<&Duration>| {
            time.map_or("-".to_owned(), |time| format!("{} ms", time.as_millis()))
        };
        println!(
            "{:<42} {:>6} {:>7} {:>12} {:>10}",
            fault.name(),
            times.len() + tally.unrecovered,
            tally.missed,
            shown(times.get(times.len() / 2)),
            if tally.unrecovered > 0 {
                "never".to_owned()
            } else {
                shown(times.last())
            },
        );
    }
}

#[tokio::test]
#[ignore = "ten minutes; docs/scenarios/chaos.sh runs it"]
async fn a_chaos_run_ends_with_nothing_lost_doubled_or_stuck() {
    let seconds = setting("CHAOS_SECONDS", SECONDS);
    let seed = setting("CHAOS_SEED", fastrand::u64(..1_000_000));
    println!("chaos for {seconds} s, CHAOS_SEED={seed}");
    let mut chaos = Chaos::begin(seed).await;
    let load = Load::on(&chaos.places, CUSTOMERS, PAUSE, seed);
    let began = stopwatch();
    let mut tallies: BTreeMap<Fault, Tally> = BTreeMap::new();
    let mut deck = Vec::new();
    while began.elapsed() < Duration::from_secs(seconds) {
        // Every kind comes before one comes again.
        if deck.is_empty() {
            deck = chaos.kinds();
            chaos.random.shuffle(&mut deck);
        }
        let Some(fault) = deck.pop() else { break };
        let came = chaos.play(fault).await;
        let tally = tallies.entry(fault).or_default();
        if !came {
            tally.missed += 1;
            continue;
        }
        let recovered = chaos.recovers().await;
        let after = recovered.map_or("never".to_owned(), |time| {
            format!("{} ms", time.as_millis())
        });
        println!(
            "{:>4} s  {:<42} recovered after {after}",
            began.elapsed().as_secs(),
            fault.name()
        );
        match recovered {
            Some(time) => tally.recovered.push(time),
            None => tally.unrecovered += 1,
        }
        rest(REST).await;
    }
    let answered = load.end().await;
    let settling = stopwatch();
    let verdict = verdict::of(&chaos.world, &answered, SETTLED_MAX).await;
    println!();
    print(&tallies);
    let kinds = chaos.kinds();
    let skipped = Fault::ALL.iter().filter(|fault| !kinds.contains(fault));
    let skipped: Vec<_> = skipped.map(|fault| fault.name()).collect();
    println!(
        "{} kinds skipped, which this machine cannot do {skipped:?}",
        skipped.len()
    );
    println!(
        "\n{verdict}\nverdict after {} s",
        settling.elapsed().as_secs()
    );
    assert!(verdict.is_well(), "{verdict:#?}");
    let seen = (verdict.accepted, verdict.cancelled, verdict.moved);
    assert!(seen.0 > 0 && seen.1 > 0 && seen.2 > 0, "{seen:?}");
    let unrecovered: usize = tallies.values().map(|tally| tally.unrecovered).sum();
    assert_eq!(unrecovered, 0, "faults were not recovered from in time");
}
