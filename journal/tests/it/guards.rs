//! Every guard in the database's functions is taken out by a test that sees the harm.

use std::path::Path;

use crate::sql;
use crate::stage::Stage;

/// How many there are. Whoever adds one, or takes one away, says so here.
const GUARDS: usize = 28;

/// The text of all tests, without white space.
fn tests(folder: &Path) -> String {
    let mut text = String::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            text += &tests(&path);
        } else {
            text.extend(std::fs::read_to_string(&path).unwrap().split_whitespace());
        }
    }
    text
}

#[tokio::test]
async fn every_guard_is_taken_out_by_a_test() {
    let mut stage = Stage::open().await;
    // What the api keeps in the same database is tested there.
    let guards = r#"
        select distinct format('without_guard("%s","%s")', proname, guard[1])
        from pg_proc, regexp_matches(prosrc, '-- guard: ([^\n]+)', 'g') guard
        where proname not like 'idempotency%' order by 1"#;
    let guards = sql::texts(&mut stage.owner, guards).await;
    assert_eq!(guards.len(), GUARDS, "{guards:?}");
    let tests = tests(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"));
    let missing: Vec<_> = guards
        .iter()
        .filter(|guard| !tests.contains(&guard.split_whitespace().collect::<String>()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
}
