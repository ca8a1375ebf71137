//! What a reader says was wrong, in words for people who do not know how it is built.

/// What to tell instead of a reader's own words.
pub(super) fn plain(said: &str) -> String {
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

fn kind(what: &str) -> String {
    let numbers = [
        ("u8", i128::from(u8::MIN), i128::from(u8::MAX)),
        ("u16", i128::from(u16::MIN), i128::from(u16::MAX)),
        ("u32", i128::from(u32::MIN), i128::from(u32::MAX)),
        ("i64", i128::from(i64::MIN), i128::from(i64::MAX)),
    ];
    if let Some((_, least, most)) = numbers.iter().find(|(name, ..)| *name == what) {
        return format!("a whole number from {least} to {most}");
    }
    let kind = match what {
        "a sequence" => "a list",
        "a boolean" => "true or false",
        what if what.starts_with("struct ") => "an object",
        _ => "a text",
    };
    kind.to_owned()
}
