//! The chaos run: two processes on one Postgres, a steady load, one fault of a random kind after another, and a table.

use std::collections::BTreeMap;
use std::time::Duration;

use local_postgres::testing::stopwatch;
use local_postgres::testing::{self, Cluster};
use local_postgres::{Profile, Server};
use rustix::process::Signal;

use super::faults::{TERMINATE, behind_a_proxy, places};
use super::full_disk::{Disk, fill_until_refused, goes_on, runs_since, server_again, server_on};
use super::load::{Answered, Load, Places, book};
use super::proxy::{Cut, Proxy};
use super::tally::{Fault, Tally, print};
use super::verdict;
use super::world::World;
use crate::process::Process;
use crate::server::{moment, spacerent};

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
/// Into how many slices the saga is cut.
const SLICES: i64 = 3;
/// How many connections are ended one after the other, and how many must have been there to be ended.
const ENDED: (usize, i64) = (50, 25);
/// Between two faults.
const REST: Duration = Duration::from_secs(1);

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
    nodes: Vec<Process>,
    places: Places,
    random: fastrand::Rng,
    /// How often a full disk was freed and the same server went on.
    freed: usize,
    /// Whatever was answered 500 to those who looked whether it recovered.
    asked: Answered,
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
        cut_the_saga(&world).await;
        Self {
            home,
            world,
            proxy,
            nodes,
            places,
            random: fastrand::Rng::with_seed(seed),
            freed: 0,
            asked: Answered::default(),
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
                let mut ended = 0;
                for _ in 0..ENDED.0 {
                    ended += self.world.count(TERMINATE).await;
                    moment().await;
                }
                return ended >= ENDED.1;
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
            Fault::DiskFull => return self.fill_the_disk().await,
        }
        true
    }

    /// Fills it twice: until something is refused, when the server goes on if it did not give up, and for so long that it
    /// may well have, with a start behind it. False when nothing was refused.
    async fn fill_the_disk(&mut self) -> bool {
        let Home::Disk(disk, server) = &mut self.home else {
            return false;
        };
        let since = runs_since(&self.world).await;
        let refused = fill_until_refused(disk, &self.world, &self.nodes[0]).await;
        disk.free();
        if goes_on(&self.world, since).await {
            self.freed += 1;
            let full = stopwatch();
            while full.elapsed() < FULL_FOR {
                disk.fill();
                moment().await;
            }
            disk.free();
        }
        *server = None;
        *server = Some(server_again(disk).await);
        refused
    }

    async fn start_again(&mut self, number: usize) {
        self.nodes[number] = self.world.node(&[]).await;
        self.places.lock().unwrap()[number] = self.nodes[number].url("");
    }

    /// How long it takes until each process takes a booking that is registered and shown; `None` when too long.
    async fn recovers(&mut self) -> Option<Duration> {
        let mended = stopwatch();
        for node in &self.nodes {
            let mut bookid = None;
            while bookid.is_none() {
                let answer = book(&self.world.http, &node.url("/books"), "numberfour", None).await;
                self.asked.look_at(&answer);
                let (status, body) = answer;
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

async fn cut_the_saga(world: &World) {
    let cut = spacerent(&["slices", "orders", &SLICES.to_string()])
        .env("DATABASE_URL", &world.url)
        .output()
        .await
        .unwrap();
    let said = String::from_utf8_lossy(&cut.stderr);
    assert!(cut.status.success(), "{said}");
}

/// How many slices there are of it, each of which has taken something.
const SLICES_THAT_MOVED: &str =
    "select count(*) from followers where name = 'orders' and slice > 0 and position > 0";

async fn rest(time: Duration) {
    let over = stopwatch() + time;
    while stopwatch() < over {
        moment().await;
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| {
        text.parse()
            .unwrap_or_else(|_| panic!("{name} must be a number"))
    })
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
    let mut answered = load.end().await;
    answered.unforeseen.append(&mut chaos.asked.unforeseen);
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
        "{} times a full disk was freed and the same server went on",
        chaos.freed
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
    let slices = chaos.world.count(SLICES_THAT_MOVED).await;
    assert_eq!(slices, SLICES, "the saga is not in slices any more");
    // A short run has not come to every kind.
    if kinds.iter().all(|kind| tallies.contains_key(kind)) {
        let never = tallies.iter().filter(|(_, tally)| !tally.came_about());
        let never: Vec<_> = never.map(|(fault, _)| fault.name()).collect();
        assert!(never.is_empty(), "never came about: {never:?}");
        let fills = kinds.contains(&Fault::DiskFull);
        assert!(
            !fills || chaos.freed > 0,
            "no server lived through a full disk"
        );
    }
}
