//! Who knows which table.

use std::path::{Path, PathBuf};

/// Tables that only the journal's own code names: what they hold is read and written by rules that stand there.
const TABLES_OF_THE_JOURNAL: &[&str] = &["events", "commands", "idempotency_keys"];

/// The shipped crates but `journal`.
const OUTSIDE_THE_JOURNAL: [&str; 5] = ["domain", "projections", "processes", "api", "cli"];

/// What names one all the same, and runs nothing.
const NAMED_IN_HELP: &str = r#"psql \"$(spacerent url)\" -c 'select count(*) from events'"#;

/// The code in a folder of each of these crates, by file, without comments.
pub(crate) fn code_of(crates: &[&str], folder: &str) -> Vec<(PathBuf, String)> {
    let root = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    let folders = crates.iter().map(|name| root.join(name).join(folder));
    let mut open: Vec<_> = folders.collect();
    let mut files = vec![];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let inside = path.read_dir().unwrap();
            open.extend(inside.map(|entry| entry.unwrap().path()));
        } else if is_code(&path) {
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text
                .lines()
                .filter(|line| !line.trim_start().starts_with("//"));
            let code = code.collect::<Vec<_>>().join("\n");
            files.push((path, code));
        }
    }
    files
}

fn is_code(file: &Path) -> bool {
    let name = file.to_str().unwrap();
    name.ends_with(".rs") && !name.ends_with("tests.rs")
}

/// Whether SQL in `code` reads or writes `table`.
fn names(code: &str, table: &str) -> bool {
    let code = code.to_lowercase();
    let no_word = |c: char| !(c.is_alphanumeric() || c == '_');
    let words: Vec<_> = code.split_whitespace().collect();
    words.windows(2).any(|pair| {
        let verb = pair[0].trim_start_matches(no_word);
        let named = pair[1].split(no_word).next();
        ["from", "join", "into", "update", "only", "using"].contains(&verb) && named == Some(table)
    })
}

#[test]
fn sql_that_names_a_table_is_told_from_what_does_not() {
    for sql in [
        "exists (select FROM events e)",
        "(from\n    events)",
        "\"insert into events (aggregate_type",
        "update only events",
    ] {
        assert!(names(sql, "events"), "{sql}");
    }
    for other in [
        "select * from mypage.events",
        "select * from events_of_today",
        "u128::from(events)",
        "into_events()",
    ] {
        assert!(!names(other, "events"), "{other}");
    }
}

#[test]
fn only_the_journal_knows_its_tables() {
    let files = code_of(&OUTSIDE_THE_JOURNAL, "src");
    assert!(files.len() > 100, "{}", files.len());
    for (file, code) in files {
        let code = code.replace(NAMED_IN_HELP, "");
        let named = TABLES_OF_THE_JOURNAL
            .iter()
            .find(|table| names(&code, table));
        assert_eq!(named, None, "{}", file.display());
    }
}
