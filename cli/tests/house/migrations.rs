//! `migrations/README.md` knows every file, table and function, and where today's definition stands.

use std::collections::{BTreeMap, BTreeSet};

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../migrations");

/// SQL of every file, by its number.
fn files() -> BTreeMap<String, String> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(FOLDER).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if let Some((number, _)) = name.split_once('_') {
            let text = std::fs::read_to_string(&path).unwrap();
            files.insert(number.to_owned(), text);
        }
    }
    files
}

/// What a file makes by statements that begin so.
fn made<'a>(sql: &'a str, beginnings: &[&str]) -> Vec<&'a str> {
    let name = |line: &'a str| {
        let made = beginnings
            .iter()
            .find_map(|beginning| line.strip_prefix(beginning))?;
        made.split(['(', ' ']).next()
    };
    sql.lines().filter_map(name).collect()
}

/// The rows of the index: the names in the first cell, and the numbers in each of the others.
fn index() -> BTreeMap<String, Vec<BTreeSet<String>>> {
    let readme = std::fs::read_to_string(format!("{FOLDER}/README.md")).unwrap();
    let mut index = BTreeMap::new();
    for row in readme.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<_> = row.trim_matches('|').split('|').collect();
        let is_number = |word: &&str| word.len() == 4 && word.starts_with('0');
        let numbers = |cell: &&str| {
            let words = cell.split(|c: char| !c.is_ascii_digit());
            words.filter(is_number).map(str::to_owned).collect()
        };
        let numbers: Vec<_> = cells[1..].iter().map(numbers).collect();
        for name in cells[0].split('`').skip(1).step_by(2) {
            index.insert(name.to_owned(), numbers.clone());
        }
    }
    index
}

#[test]
fn every_table_and_function_is_in_the_index_with_every_file_that_makes_it() {
    let index = index();
    let functions = ["create function ", "create or replace function "];
    for (number, sql) in files() {
        let tables = made(&sql, &["create table ", "create sequence "]);
        for name in [tables, made(&sql, &functions)].concat() {
            let row = index.get(name);
            let row = row.unwrap_or_else(|| panic!("{name} of {number} is not in the index"));
            let named = row.iter().any(|cell| cell.contains(&number));
            assert!(named, "the index does not say that {number} makes {name}");
        }
    }
}

/// A function of today is made anew, not `or replace`d: so are only shims.
#[test]
fn the_index_leads_to_where_a_function_stands_today() {
    let files = files();
    let made = |number: &String, name: &String| {
        made(&files[number], &["create function "]).contains(&name.as_str())
    };
    for (name, cells) in index() {
        let today = cells[0].first().unwrap();
        let is_table = files.values().any(|sql| {
            sql.contains(&format!("create table {name} ("))
                || sql.contains(&format!("create sequence {name} "))
        });
        assert!(
            is_table || made(today, &name),
            "{today} does not make {name}"
        );
    }
}

#[test]
fn every_file_is_in_the_readme() {
    let readme = std::fs::read_to_string(format!("{FOLDER}/README.md")).unwrap();
    for number in files().keys() {
        assert!(readme.contains(number.as_str()), "{number}");
    }
}
