//! The table of what is not silent keeps its word: each sign in it is given by what we ship, and some test names it.

use super::tables::code_of;

/// Where the table stands, and what its first line is.
const PAGE: &str = include_str!("../../../docs/operations.md");
const HEAD: &str = "| class | row | metric | line of the log |";
/// How many classes it has. Whoever adds one, or takes one away, says so here.
const CLASSES: usize = 21;

/// The crates that we ship.
const CRATES: [&str; 6] = [
    "domain",
    "journal",
    "projections",
    "processes",
    "api",
    "cli",
];

/// A class of things that hold, skip, give up or drop something.
struct Class {
    name: String,
    metrics: Vec<String>,
    line: String,
}

impl Class {
    fn read(row: &str) -> Self {
        let cells: Vec<_> = row.trim_matches('|').split('|').map(str::trim).collect();
        let &[name, _, metrics, line] = &cells[..] else {
            unreachable!("a row has four cells: {row}");
        };
        Self {
            name: name.to_owned(),
            metrics: quoted(metrics).into_iter().filter_map(metric).collect(),
            line: without_brackets(line).to_owned(),
        }
    }
}

/// What stands between backticks. A cell that begins with a bracket says only why there is nothing.
fn quoted(cell: &str) -> Vec<&str> {
    if cell.starts_with('(') {
        return vec![];
    }
    cell.split('`').skip(1).step_by(2).collect()
}

/// The name of a metric, without its labels; a word without an underscore is a value of a label, or a follower.
fn metric(quoted: &str) -> Option<String> {
    let name = quoted.split('{').next()?;
    name.contains('_').then(|| name.to_owned())
}

/// A line without what is said of it.
fn without_brackets(line: &str) -> &str {
    line.split('(').next().unwrap_or(line).trim()
}

fn classes() -> Vec<Class> {
    let (_, table) = PAGE.split_once(HEAD).unwrap();
    let rows = table.lines().skip(2).take_while(|row| row.starts_with('|'));
    rows.map(Class::read).collect()
}

/// The code in a folder of each crate, as one text.
fn code(folder: &str) -> String {
    let files = code_of(&CRATES, folder);
    files.into_iter().map(|(_, code)| code + "\n").collect()
}

/// Whether this code has these words in it, whole.
fn has(code: &str, words: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(words).any(|(at, _)| {
        let (before, after) = (&code[..at], &code[at + words.len()..]);
        !before.ends_with(is_word) && !after.starts_with(is_word)
    })
}

#[test]
fn the_table_is_read() {
    let row =
        "| a | `rows` | `a_total{by}`: `one`, `a_seconds` (of both: `x/2`) | it is said (once) |";
    let class = Class::read(row);
    assert_eq!(class.metrics, ["a_total", "a_seconds"]);
    assert_eq!(class.line, "it is said");
    let without = Class::read("| a | | (none: `not_asked_for`) |  (the answer says so) |");
    assert!(without.metrics.is_empty() && without.line.is_empty());
    assert!(has("\"a_total\"", "a_total") && !has("\"a_totals\" \"aa_total\"", "a_total"));
}

#[test]
fn every_sign_in_the_table_is_given_and_asserted() {
    let (shipped, tests) = (code("src"), code("tests"));
    let classes = classes();
    assert_eq!(classes.len(), CLASSES);
    for class in classes {
        let signs = class.metrics.iter().chain([&class.line]);
        for sign in signs.filter(|sign| !sign.is_empty()) {
            let name = &class.name;
            assert!(has(&shipped, sign), "{name}: nothing gives {sign:?}");
            assert!(has(&tests, sign), "{name}: no test names {sign:?}");
        }
        assert!(
            !(class.metrics.is_empty() && class.line.is_empty()),
            "{}: neither metric nor line",
            class.name
        );
    }
}
