//! What holds whatever happens: one booking is played through in random ways, and the promises are checked
//! after every step.
//!
//! [`world`] plays a [`story`] on the [`streams`] of a booking: people ask what they like when they like, the
//! [`gateway`] answers late, twice, wrongly or not at all, the saga lags, crashes and sees things again.
//! [`invariants`] and the [`account`] check; [`payment`] asks a payment alone for what no saga would. A
//! failure prints the shortest story that fails and leaves its seed in `regressions.txt`; a story that
//! showed a bug becomes a test of its own in `src`.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod account;
mod gateway;
mod invariants;
mod moves;
mod payment;
mod story;
mod streams;
mod world;

use std::collections::BTreeSet;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{
    Config, FileFailurePersistence, RngAlgorithm, TestCaseError, TestCaseResult, TestRng,
    TestRunner,
};

use crate::story::Story;
use crate::world::World;

/// How many stories a run plays: enough to meet every race, few enough for seconds. `PROPTEST_CASES` may ask
/// for more.
const CASES: u32 = 3_000;

pub(crate) fn config() -> Config {
    Config {
        cases: Config::default().cases.max(CASES),
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/tests/properties/regressions.txt"
        )))),
        // Every choice seeds a generator of its own, which the default one makes slow without optimisation.
        rng_algorithm: RngAlgorithm::XorShift,
        ..Config::default()
    }
}

/// Plays `story` to its end, checking at every step, and then lets the world come to rest.
fn play(story: &Story) -> Result<World, TestCaseError> {
    let mut world = World::new(story)?;
    invariants::always(&world)?;
    for step in &story.steps {
        if world.take(step)? {
            invariants::always(&world)?;
        }
    }
    world.come_to_rest()?;
    invariants::always(&world)?;
    invariants::at_rest(&world)?;
    Ok(world)
}

#[test]
fn the_promises_hold_after_every_step_and_everything_comes_to_a_good_end() {
    let run = |story: Story| -> TestCaseResult { play(&story).map(|_| ()) };
    TestRunner::new(config())
        .run(&story::any_story(), run)
        .unwrap();
}

#[test]
fn a_saga_that_sees_everything_again_changes_nothing() {
    let run = |story: Story| -> TestCaseResult {
        let mut world = play(&story)?;
        let (events, order) = (world.streams.log.len(), world.order.clone());
        world.see_everything_again()?;
        proptest::prop_assert_eq!(&world.streams.log[events..], &[]);
        proptest::prop_assert_eq!(world.order, order);
        Ok(())
    };
    TestRunner::new(Config {
        cases: config().cases / 4,
        ..config()
    })
    .run(&story::any_story(), run)
    .unwrap();
}

/// The stories are worth nothing if they never get anywhere: each event that has a sample must occur.
#[test]
fn the_stories_meet_every_event_there_is() {
    let rng = TestRng::deterministic_rng(RngAlgorithm::XorShift);
    let mut runner = TestRunner::new_with_rng(config(), rng);
    let mut met = BTreeSet::new();
    for _ in 0..CASES / 4 {
        let story = story::any_story().new_tree(&mut runner).unwrap().current();
        let log = play(&story).unwrap().streams.log;
        met.extend(log.iter().map(streams::event_type));
    }
    let samples = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/samples")).unwrap();
    let expected: BTreeSet<String> = samples
        .map(|file| {
            let name = file.unwrap().file_name().into_string().unwrap();
            name.split('.').nth(1).unwrap().to_owned()
        })
        .collect();
    assert_eq!(met, expected);
}
