//! Which port a process listens on.

use super::tables::code_of;

/// Tests that name a port's setting: these give every process a free one, and one finds it taken.
const NAMED_IN: [&str; 3] = ["bare.rs", "commands.rs", "server.rs"];

/// A port that was found free before the process is started may be another test's by then. So a process finds its own
/// and says which one it is; whoever gives it one must be in the list.
#[test]
fn no_test_chooses_a_port_for_a_process() {
    let files = code_of(&["cli"], "tests/it").into_iter();
    let named = files.filter(|(_, code)| code.contains("LISTEN_PORT"));
    let mut names: Vec<_> = named
        .map(|(file, _)| file.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    assert_eq!(names, NAMED_IN);
}
