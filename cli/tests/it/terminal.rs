//! What is shown on a terminal: the program runs at one, and what it writes is read as a terminal reads it.

use std::fs::File;
use std::io::{ErrorKind, Read, Write};
use std::os::fd::OwnedFd;
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use local_postgres::testing::timeout;
use rustix::process::{Pid, Signal, kill_process};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::replay::{booked, hold, owner};
use crate::server::{Folder, Server, followers, moment};

const ROWS: u16 = 24;
const COLUMNS: u16 = 100;
/// Within this time something must be shown.
const SHOWN_MAX: Duration = Duration::from_secs(30);

/// A program at a terminal.
struct Terminal {
    child: Child,
    keys: File,
    screen: Arc<Mutex<vt100::Parser>>,
}

impl Terminal {
    fn run(mut command: Command) -> Self {
        let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        grantpt(&ours).unwrap();
        unlockpt(&ours).unwrap();
        let size = Winsize {
            ws_row: ROWS,
            ws_col: COLUMNS,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        tcsetwinsize(&ours, size).unwrap();
        let path = ptsname(&ours, Vec::new()).unwrap();
        let theirs = File::options()
            .read(true)
            .write(true)
            .open(path.to_str().unwrap())
            .unwrap();
        let end = || Stdio::from(OwnedFd::from(theirs.try_clone().unwrap()));
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.env("TERM", "xterm-256color").spawn().unwrap();
        let ours = File::from(ours);
        let screen = Arc::new(Mutex::new(vt100::Parser::new(ROWS, COLUMNS, 1_000)));
        let (reader, shown) = (ours.try_clone().unwrap(), Arc::clone(&screen));
        std::thread::spawn(move || read(reader, &shown));
        Self {
            child,
            keys: ours,
            screen,
        }
    }

    fn text(&self) -> String {
        self.screen.lock().unwrap().screen().contents()
    }

    fn alternate(&self) -> bool {
        self.screen.lock().unwrap().screen().alternate_screen()
    }

    async fn shows(&self, wanted: &str) -> String {
        let shown = async {
            loop {
                let text = self.text();
                if text.contains(wanted) {
                    return text;
                }
                moment().await;
            }
        };
        let shown = timeout(SHOWN_MAX, shown).await;
        shown.unwrap_or_else(|_| panic!("no {wanted:?} in\n{}", self.text()))
    }

    async fn gave_the_screen_back(&self) {
        let back = async {
            while self.alternate() {
                moment().await;
            }
        };
        timeout(SHOWN_MAX, back).await.expect("it keeps the screen");
    }

    fn press(&mut self, key: &str) {
        self.keys.write_all(key.as_bytes()).unwrap();
    }

    fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(self.child.id().unwrap().try_into().unwrap()).unwrap();
        kill_process(pid, signal).unwrap();
    }

    async fn ends(&mut self) -> ExitStatus {
        let ended = timeout(SHOWN_MAX, self.child.wait()).await;
        ended.expect("it does not end").unwrap()
    }
}

/// Until nobody holds the other end any more.
fn read(mut from: File, screen: &Mutex<vt100::Parser>) {
    let mut bytes = [0; 4_096];
    loop {
        match from.read(&mut bytes) {
            Ok(0) => return,
            Ok(count) => screen.lock().unwrap().process(&bytes[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // EIO: the program has ended.
            Err(_) => return,
        }
    }
}

#[tokio::test]
async fn watch_shows_what_happens_and_gives_the_terminal_back() {
    let folder = Folder::new();
    let server = Server::start(&folder).await;
    let mut terminal = Terminal::run(folder.command(&["watch"]));
    terminal.shows("head 0   watermark 0").await;
    assert!(terminal.alternate(), "it writes over what was there");

    server.book("numberone").await;
    let text = terminal.shows("BookConfirmed").await;
    assert!(text.contains("follower      gen   position"), "{text}");
    assert!(text.lines().count() <= usize::from(ROWS), "{text}");

    terminal.press("q");
    assert!(terminal.ends().await.success());
    terminal.gave_the_screen_back().await;

    for signal in [Signal::TERM, Signal::INT] {
        let mut terminal = Terminal::run(folder.command(&["watch"]));
        terminal.shows("BookConfirmed").await;
        terminal.signal(signal);
        assert!(terminal.ends().await.success());
        terminal.gave_the_screen_back().await;
    }
    assert!(server.stop().await.success());
}

/// Figures that differ from run to run.
const FIGURES: [(&str, &str); 2] = [(r" [█░][█░ ]*", " BAR "), (r"\d+\.\d+|\d+", "N")];

#[tokio::test]
async fn a_rebuild_shows_a_bar_that_hides_nothing() {
    let folder = Folder::new();
    let server = booked(&folder).await;
    let mut writer = owner(&folder).await;
    let open = hold(&mut writer).await;
    server.book("numberone").await;

    let mut terminal = Terminal::run(folder.command(&["replay", "mypage"]));
    let waiting = terminal.shows("catching up").await;
    insta::with_settings!({filters => FIGURES}, { insta::assert_snapshot!(waiting) });
    terminal.signal(Signal::INT);
    assert!(!terminal.ends().await.success());
    let stopped = terminal.shows("nothing was switched").await;
    insta::with_settings!({filters => FIGURES}, { insta::assert_snapshot!(stopped) });

    open.rollback().await.unwrap();
    let mut terminal = Terminal::run(folder.command(&["replay", "mypage"]));
    assert!(terminal.ends().await.success());
    let done = terminal.shows("switched").await;
    insta::with_settings!({filters => FIGURES}, { insta::assert_snapshot!(done) });
    assert!(server.stop().await.success());
}

#[tokio::test]
async fn in_a_pipe_there_are_lines() {
    let folder = Folder::new();
    let server = booked(&folder).await;

    let replayed = folder.run(&["replay", "mypage"]).await;
    let said = String::from_utf8(replayed.stderr).unwrap();
    assert_eq!(said, "", "short work is told by its result alone");
    let told = String::from_utf8(replayed.stdout).unwrap();
    insta::with_settings!({filters => FIGURES}, { insta::assert_snapshot!(told) });

    // Each follower has its turn; what they all have taken is what is looked at.
    let told = async {
        loop {
            let status = folder.run(&["status"]).await.stdout;
            let status = String::from_utf8(status).unwrap();
            let at_the_head = |line: &&str| line.ends_with("running") && line.contains(" 0 ");
            // Whoever followed the generation that was live gives its lease back a moment later.
            if status.lines().filter(at_the_head).count() == followers().len()
                && status.contains("  kept")
            {
                break status;
            }
            moment().await;
        }
    };
    let told = timeout(SHOWN_MAX, told).await.expect("some stand still");
    insta::with_settings!({filters => FIGURES}, { insta::assert_snapshot!(told) });

    let head = told["head ".len()..].split(' ').next().unwrap();
    let mut watch = folder
        .command(&["watch"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(watch.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = timeout(SHOWN_MAX, lines.next_line()).await.unwrap();
        let line = line.unwrap().unwrap();
        assert!(line.contains(&format!("  head {head}  ")), "{line}");
    }
    drop(lines);
    let ended = timeout(SHOWN_MAX, watch.wait()).await;
    assert!(ended.expect("it does not end").unwrap().success());
    assert!(server.stop().await.success());
}
