//! What a reader says was wrong, in words for people who do not know how it is built.

use super::limits;

/// What to tell instead of a reader's own words about what stands at `pointer`.
pub(super) fn plain(said: &str, pointer: &str) -> String {
    if let Some(known) = said.strip_prefix("unknown variant ") {
        return match expected(known) {
            Some(words) => format!("must be {}", words.replace('`', "")),
            None => "is not known here".to_owned(),
        };
    }
    if let Some(known) = said.strip_prefix("unknown field ") {
        return match expected(known) {
            Some(words) => format!("is not known here; there is {}", any_of(words)),
            None => "is not known here".to_owned(),
        };
    }
    if let Some(name) = said.strip_prefix("missing field ") {
        return format!("must say {}", name.replace('`', ""));
    }
    let is_of_type = said.starts_with("invalid type") || said.starts_with("invalid value");
    match expected(said).filter(|_| is_of_type) {
        Some("u8" | "u16" | "u32" | "i64") => limits::a_number(pointer),
        Some(what) => format!("must be {}", kind(what)),
        None => said.to_owned(),
    }
}

/// What was expected, as the reader says it.
fn expected(said: &str) -> Option<&str> {
    said.rsplit_once(", expected ").map(|(_, what)| what)
}

/// `` one of `a`, `b` `` as "a, b".
fn any_of(words: &str) -> String {
    let words = words.strip_prefix("one of ").unwrap_or(words);
    words.replace('`', "")
}

fn kind(what: &str) -> &str {
    match what {
        "a sequence" => "a list",
        "a boolean" => "true or false",
        what if what.starts_with("struct ") => "an object",
        _ => "a text",
    }
}
