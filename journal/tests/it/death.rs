//! The death of a process between commit and answer: what it had stored is answered to whoever asks again.
//!
//! The process is this test program once more. It is stopped while its append waits in the database, so that
//! it cannot take the answer, and killed when the append is committed.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use journal::append::Outcome;
use rustix::process::{Pid, Signal, WaitOptions, kill_process, waitpid};

use crate::force::{let_go, stall, until, until_blocked};
use crate::samples::{Compose, append, id};
use crate::sql;
use crate::stage::{Stage, append_one, journal};

/// Where the child finds its database.
const URL: &str = "JOURNAL_TEST_URL";
/// What the child says when it was answered.
const ANSWERED: &str = "the append was answered";

/// The command that parent and child send.
fn command() -> journal::append::Append {
    append(1)
        .to("Book", 7, 0, 1)
        .to("Payment", 7, 0, 1)
        .claiming(7, 1, 10, 12)
}

#[tokio::test]
#[ignore = "run by the other test, in a process of its own"]
async fn a_process_that_appends() {
    let journal = journal(&std::env::var(URL).unwrap());
    let outcome = append_one(&journal, command()).await.unwrap();
    println!("{ANSWERED}: {outcome:?}");
}

/// A child that does not outlive its test, however that ends.
struct Mortal(Child);

impl Drop for Mortal {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Stops a child, and returns when it does stand still.
fn stop(pid: Pid) {
    kill_process(pid, Signal::STOP).unwrap();
    let (_, status) = waitpid(Some(pid), WaitOptions::UNTRACED).unwrap().unwrap();
    assert!(status.stopped(), "{status:?}");
}

#[tokio::test]
async fn what_a_process_stored_before_it_was_killed_is_answered_to_the_next() {
    let mut stage = Stage::open().await;
    let condition = format!("new.command_id = '{}'", id(1));
    stall(&mut stage.owner, "commands", &condition, 1).await;
    let mut program = Command::new(std::env::current_exe().unwrap());
    program
        .args(["--exact", "death::a_process_that_appends"])
        .args(["--ignored", "--nocapture"])
        .env(URL, stage.url())
        .stdout(Stdio::piped());
    let mut child = Mortal(program.spawn().unwrap());
    until_blocked(&mut stage.owner, 1).await;
    stop(Pid::from_child(&child.0));
    let_go(&mut stage.owner, 1).await;
    until("its append is committed", async || {
        sql::number(&mut stage.owner, "select count(*) from commands").await == 1
    })
    .await;
    child.0.kill().unwrap();
    child.0.wait().unwrap();
    let output = BufReader::new(child.0.stdout.take().unwrap());
    let said: Vec<_> = output.lines().map(Result::unwrap).collect();
    assert!(!said.iter().any(|line| line.contains(ANSWERED)), "{said:?}");

    let again = append_one(&stage.journal, command()).await.unwrap();
    let Outcome::Already(answer) = again else {
        panic!("{again:?}");
    };
    assert_eq!((answer.position, answer.streams.len()), (2, 2));
    assert_eq!((stage.events().await, stage.commands().await), (2, 1));
    assert_eq!(stage.number("select count(*) from slot_claims").await, 1);
}
