//! Golden files: whole answers, fields in the order in which they were sent.

use crate::client::Answer;

/// The headers that stand in a golden file.
const SHOWN: [&str; 19] = [
    "accept-patch",
    "accept-post",
    "access-control-allow-credentials",
    "access-control-allow-headers",
    "access-control-allow-methods",
    "access-control-allow-origin",
    "access-control-expose-headers",
    "access-control-max-age",
    "allow",
    "content-type",
    "etag",
    "idempotent-replayed",
    "link",
    "location",
    "retry-after",
    "vary",
    "x-content-type-options",
    "x-event-position",
    "x-projection-lag",
];

/// Compares an answer with its golden file. Only what cannot be the same twice is left out: times, ids of
/// journeys, and positions that depend on who was faster.
#[track_caller]
pub(crate) fn assert_golden(name: &str, answer: &Answer) {
    let mut text = format!("{}\n", answer.status);
    for header in SHOWN {
        for (_, value) in answer.headers.iter().filter(|(name, _)| name == header) {
            text += &format!("{header}: {value}\n");
        }
    }
    if !answer.body.is_empty() {
        text += &format!("\n{}\n", indented(&answer.body));
    }
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path("snapshots");
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.add_filter(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", "[time]");
    settings.add_filter(
        r#""correlation_id": "[^"]+""#,
        r#""correlation_id": "[id]""#,
    );
    settings.add_filter(r#""position": \d+"#, r#""position": [position]"#);
    settings.add_filter(r"x-event-position: \d+", "x-event-position: [position]");
    // What is shown of My Page holds times.
    settings.add_filter(r#"etag: "(\d+-)?[0-9a-f]{16}""#, "etag: \"$1[print]\"");
    settings.bind(|| insta::assert_snapshot!(name, text));
}

/// JSON with line breaks, its order untouched.
fn indented(json: &str) -> String {
    let (mut text, mut depth, mut in_string, mut escaped) = (String::new(), 0_usize, false, false);
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        if in_string {
            text.push(c);
            in_string = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '['
                if characters
                    .peek()
                    .is_some_and(|next| matches!(next, '}' | ']')) =>
            {
                text.push(c);
            }
            '{' | '[' => {
                depth += 1;
                text += &format!("{c}\n{:1$}", "", depth * 2);
            }
            '}' | ']' if text.ends_with(['{', '[']) => text.push(c),
            '}' | ']' => {
                depth -= 1;
                text += &format!("\n{:1$}{c}", "", depth * 2);
            }
            ',' => text += &format!(",\n{:1$}", "", depth * 2),
            ':' => text += ": ",
            _ => {
                in_string = c == '"';
                text.push(c);
            }
        }
    }
    text
}

#[test]
fn indenting_keeps_the_order_and_what_stands_in_strings() {
    let json = r#"{"b":[],"a":{"x":"{,:\"}"},"c":[1,2]}"#;
    let expected = r#"{
  "b": [],
  "a": {
    "x": "{,:\"}"
  },
  "c": [
    1,
    2
  ]
}"#;
    assert_eq!(indented(json), expected);
}
