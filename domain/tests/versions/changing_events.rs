//! The worked example of docs/changing-events.md: it runs, and the page shows what runs.

use std::fs;
use std::path::{Path, PathBuf};

use domain::version::{Table, shape};
use domain::{Event, book, payment, space};
use uuid::Uuid;

use crate::example::{BOOKED_BEFORE, EXAMPLE};
use crate::frozen::{Sample, complaints};

const EXAMPLE_FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/versions/example");
const PAGE: &str = include_str!("../../../docs/changing-events.md");

fn read(file: &str) -> Vec<Event> {
    let sample = Sample::read(Path::new(EXAMPLE_FOLDER), file);
    sample.decode(&EXAMPLE).unwrap().into_events()
}

#[test]
fn the_example_is_whole() {
    let complaints = complaints(
        &EXAMPLE,
        Path::new(EXAMPLE_FOLDER),
        include_str!("example.txt"),
    );
    assert_eq!(complaints, [""; 0], "\n{}", complaints.join("\n"));
}

#[test]
fn a_reshaped_event_reads_as_if_it_had_been_written_today() {
    let today = read("Book.Booked.3.json");
    assert!(matches!(
        today[..],
        [Event::Book(book::Event::Booked { .. })]
    ));
    assert_eq!(read("Book.Booked.1.json"), today);
    assert_eq!(read("Book.Booked.2.json"), today);
}

#[test]
fn a_split_event_reads_as_its_parts_in_order_and_a_dropped_one_as_none() {
    let [Event::Payment(approved), Event::Payment(accrued)] = &read("Payment.Paid.1.json")[..]
    else {
        panic!("not two");
    };
    assert!(matches!(approved, payment::Event::Approved { .. }));
    assert!(matches!(
        accrued,
        payment::Event::PointsAccrued { points: 100, .. }
    ));
    assert_eq!(read("Payment.Paid.1.pointless.json").len(), 1);
    let visit = read("Space.Visited.1.json");
    assert!(matches!(
        visit[..],
        [
            Event::Space(space::Event::Registered { .. }),
            Event::Space(space::Event::CheckedOut { .. })
        ]
    ));
    assert_eq!(read("Book.BookingViewed.1.json"), []);
}

#[test]
fn the_release_before_reads_ahead() {
    let payload = |file| Sample::read(Path::new(EXAMPLE_FOLDER), file).payload;
    let written = payload("Book.Booked.3.json");
    let taken = BOOKED_BEFORE.step("3").unwrap().take(written).unwrap();
    assert_eq!(
        taken,
        [(shape("Booked", "2"), payload("Book.Booked.2.json"))]
    );
    assert_eq!(BOOKED_BEFORE.today, Some("2"));

    let mut in_dollars = payload("Book.Booked.3.json");
    in_dollars["currency"] = "USD".into();
    assert!(BOOKED_BEFORE.step("3").unwrap().take(in_dollars).is_err());
}

#[test]
fn what_a_stored_event_may_become_is_known_without_reading_it() {
    let may = |name, version| EXAMPLE.may_become("Payment", name, version);
    let mut paid = may("Paid", "1").unwrap();
    paid.sort_unstable();
    assert_eq!(paid, ["Approved", "PointsAccrued"]);
    assert_eq!(
        EXAMPLE.may_become("Book", "BookingViewed", "1"),
        Some(vec![])
    );
    assert_eq!(may("Paid", "2"), None);
    assert_eq!(
        EXAMPLE.stored_names(&["Approved", "Booked"]),
        ["Booked", "Paid", "Approved"]
    );
    assert!(EXAMPLE.knows("Book", "Booked", "2") && !EXAMPLE.knows("Book", "Booked", "4"));
}

/// The blocks of a language on the page.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = PAGE.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split("\n```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_page_shows_this_code() {
    let shown = blocks("rust");
    assert!(shown.len() >= 4, "{}", shown.len());
    for block in shown {
        let runs = include_str!("example.rs").contains(&block);
        assert!(runs, "on the page, and not in example.rs:\n{block}");
    }
}

#[test]
fn the_page_shows_these_samples() {
    let mut files = vec![];
    for folder in ["", "steps"] {
        let folder = Path::new(EXAMPLE_FOLDER).join(folder);
        files.extend(
            fs::read_dir(folder)
                .unwrap()
                .map(|file| file.unwrap().path()),
        );
    }
    let json = |file: &PathBuf| fs::read_to_string(file).ok();
    let samples: Vec<String> = files.iter().filter_map(json).collect();
    let shown = blocks("json");
    assert!(shown.len() >= 3, "{}", shown.len());
    for block in shown {
        let is_it = |sample: &String| sample.trim_end() == block;
        assert!(
            samples.iter().any(is_it),
            "on the page, and no sample:\n{block}"
        );
    }
}

/// A copy of the example's samples that a test may spoil.
struct Copy {
    folder: PathBuf,
    frozen: String,
}

impl Copy {
    fn new() -> Self {
        let name = format!(
            "samples-{}",
            Uuid::new_v5(
                &Uuid::nil(),
                format!("{:?}", std::thread::current().id()).as_bytes()
            )
        );
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("steps")).unwrap();
        for part in ["", "steps"] {
            for file in fs::read_dir(Path::new(EXAMPLE_FOLDER).join(part)).unwrap() {
                let file = file.unwrap();
                if file.file_type().unwrap().is_file() {
                    fs::copy(file.path(), folder.join(part).join(file.file_name())).unwrap();
                }
            }
        }
        Self {
            folder,
            frozen: include_str!("example.txt").to_owned(),
        }
    }

    fn complaints(&self, table: &Table) -> String {
        complaints(table, &self.folder, &self.frozen).join("\n")
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn whatever_is_forgotten_is_complained_of() {
    let copy = Copy::new();
    assert_eq!(copy.complaints(&EXAMPLE), "");

    let edited = copy.folder.join("Book.Booked.1.json");
    let was = fs::read_to_string(&edited).unwrap();
    fs::write(&edited, was.replace("numberone", "numbertwo")).unwrap();
    let said = copy.complaints(&EXAMPLE);
    assert!(said.contains("Book.Booked.1.json was edited"), "{said}");
    assert!(
        said.contains("steps/Book.Booked.1.json is not what the step makes"),
        "{said}"
    );

    fs::remove_file(&edited).unwrap();
    let said = copy.complaints(&EXAMPLE);
    assert!(said.contains("Book.Booked.1.json is gone"), "{said}");
    assert!(
        said.contains("the step from Book Booked 1 has no sample"),
        "{said}"
    );
    fs::write(&edited, was).unwrap();

    fs::remove_file(copy.folder.join("steps/Book.Booked.2.json")).unwrap();
    let said = copy.complaints(&EXAMPLE);
    assert!(
        said.contains("steps/Book.Booked.2.json is missing; the step makes"),
        "{said}"
    );

    fs::remove_file(copy.folder.join("Payment.PointsAccrued.1.json")).unwrap();
    let said = copy.complaints(&EXAMPLE);
    assert!(
        said.contains("Payment PointsAccrued 1 is written today and has no sample"),
        "{said}"
    );
    assert!(
        said.contains("Payment Paid 1 leads to PointsAccrued 1, which has no sample"),
        "{said}"
    );

    let copy = Copy::new();
    fs::write(copy.folder.join("Book.Booked.4.json"), "{}").unwrap();
    let said = copy.complaints(&EXAMPLE);
    assert!(
        said.contains("Book.Booked.4.json is new: freeze it with the line"),
        "{said}"
    );
    assert!(
        said.contains(r#"Book event "Booked" version "4" is not known"#),
        "{said}"
    );
}
