//! Which port a process listens on.

use std::path::Path;

/// Tests that name a port's setting: these give every process a free one, and one finds it taken.
const NAMED_IN: [&str; 3] = ["bare.rs", "commands.rs", "server.rs"];

/// A port that was found free before the process is started may be another test's by then. So a process finds its own
/// and says which one it is; whoever gives it one must be in the list.
#[test]
fn no_test_chooses_a_port_for_a_process() {
    let mut open = vec![Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it")).to_owned()];
    let mut found = vec![];
    while let Some(path) = open.pop() {
        if path.is_dir() {
            let inside = path.read_dir().unwrap();
            open.extend(inside.map(|entry| entry.unwrap().path()));
        } else if std::fs::read_to_string(&path)
            .unwrap()
            .contains("LISTEN_PORT")
        {
            found.push(path.file_name().unwrap().to_str().unwrap().to_owned());
        }
    }
    found.sort();
    assert_eq!(found, NAMED_IN);
}
