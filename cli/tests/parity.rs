//! docs/seed-parity.md keeps its word: every test, script and golden file that it names is there.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Where our crates are, seen from here.
const CRATES: [&str; 7] = [
    "api",
    "cli",
    "domain",
    "journal",
    "local-postgres",
    "processes",
    "projections",
];

/// What the page names as evidence.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Evidence {
    Test(String),
    Script(String),
    GoldenFile(String),
}

impl Evidence {
    /// What stands between backticks, if it is evidence: the name of a test has at least four words.
    fn read(quoted: &str) -> Option<Self> {
        let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if quoted.ends_with(".snap") {
            Some(Self::GoldenFile(quoted.to_owned()))
        } else if quoted.ends_with(".sh") {
            Some(Self::Script(quoted.to_owned()))
        } else if quoted.chars().all(is_word) && quoted.matches('_').count() >= 3 {
            Some(Self::Test(quoted.to_owned()))
        } else {
            None
        }
    }
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn page() -> String {
    fs::read_to_string(root().join("docs/seed-parity.md")).unwrap()
}

fn evidence(page: &str) -> BTreeSet<Evidence> {
    let quoted = page
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter_map(Evidence::read).collect()
}

/// The names of all functions that are tests.
fn tests() -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    let mut folders: Vec<_> = CRATES.iter().map(|name| root().join(name)).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.extend(tests_in(&fs::read_to_string(path).unwrap()));
            }
        }
    }
    found
}

/// The functions behind a `#[test]` or `#[tokio::test]`, other attributes in between or not.
fn tests_in(source: &str) -> Vec<String> {
    let (mut found, mut is_test) = (Vec::new(), false);
    for line in source.lines().map(str::trim) {
        if line.starts_with("#[test]") || line.starts_with("#[tokio::test") {
            is_test = true;
        } else if let Some((_, after)) = line.split_once("fn ").filter(|_| is_test) {
            found.extend(after.split_once('(').map(|(name, _)| name.to_owned()));
            is_test = false;
        }
    }
    found
}

#[test]
fn everything_that_the_page_names_is_there() {
    let (tests, root) = (tests(), root());
    let missing: Vec<Evidence> = evidence(&page())
        .into_iter()
        .filter(|evidence| match evidence {
            Evidence::Test(name) => !tests.contains(name),
            Evidence::Script(name) => !root.join("docs/scenarios").join(name).is_file(),
            Evidence::GoldenFile(name) => !root.join("api/tests/it/snapshots").join(name).is_file(),
        })
        .collect();
    assert_eq!(missing, []);
}

#[test]
fn every_defect_and_requirement_has_its_row() {
    let page = page();
    let numbered = |letter: char, last: u32| (1..=last).map(move |n| format!("{letter}{n}"));
    let wanted = numbered('D', 32)
        .chain(numbered('F', 9))
        .chain(numbered('N', 4))
        .chain(numbered('T', 20));
    let named: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| ")?.split(" |").next())
        .flat_map(|first| first.split(", "))
        .collect();
    let missing: Vec<String> = wanted.filter(|row| !named.contains(row.as_str())).collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn what_every_scenario_printed_is_kept_beside_it() {
    let scenarios = root().join("docs/scenarios");
    let missing: Vec<_> = fs::read_dir(&scenarios)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "sh"))
        .map(|path| path.file_stem().unwrap().to_string_lossy().into_owned())
        // What the others are run with, or end with.
        .filter(|name| {
            !["checks", "lib", "on-fresh-dev", "without-postgres"].contains(&name.as_str())
        })
        .filter(|name| {
            !scenarios
                .join("output")
                .join(format!("{name}.txt"))
                .is_file()
        })
        .collect();
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn evidence_is_told_from_other_quotes() {
    let line = "| D1 | `spacename` | `a_test_with_words`, `01-post-books.snap` | `walkthrough.sh`, `payment-url` |";
    let expected = [
        Evidence::Test("a_test_with_words".to_owned()),
        Evidence::Script("walkthrough.sh".to_owned()),
        Evidence::GoldenFile("01-post-books.snap".to_owned()),
    ];
    assert_eq!(evidence(line), BTreeSet::from(expected));
    let source = "#[test]\n#[ignore = \"why\"]\nfn one() {}\nfn helper() {}\n  #[tokio::test(flavor = \"x\")]\n  async fn two() {}";
    assert_eq!(tests_in(source), ["one", "two"]);
}
