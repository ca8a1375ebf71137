//! Which variables are settings of ours, and which are only meant to be.
//!
//! The process's environment is full of other people's variables, and Kubernetes injects names such as `PAYMENT_PORT`
//! and `PAYMENT_SERVICE_HOST`. What begins as only ours do, what is nearly one of ours, and what is one of ours cut
//! short is a typing error. The names of the local server are no settings of a service, and are read elsewhere;
//! misspelt, they are refused here.

use std::collections::BTreeMap;

use super::Error;

/// Beginnings that only our names have.
const OURS: [&str; 6] = [
    "CB_",
    "CORS_",
    "LISTEN_PORT_",
    "READINESS_LAG_",
    "REQUIRE_IF_",
    "SPACERENT_",
];
/// How long a name must be to be taken for another one that it resembles: shorter ones are everybody's.
const ALIKE_CHARS_MIN: usize = 8;
/// How many characters may be wrong, missing or too many in a name that resembles another one.
const ALIKE_ERRORS_MAX: usize = 2;
/// The same, in names of less than [`LONG_CHARS_MIN`].
const ALIKE_ERRORS_MAX_IN_SHORT: usize = 1;
/// How long a name is that may have more errors in it.
const LONG_CHARS_MIN: usize = 12;

/// Refuses what is left of our own spelling when the `known` names are taken away.
pub(super) fn refuse_unknown(
    variables: &BTreeMap<String, String>,
    known: &[&str],
) -> Result<(), Error> {
    let is_known = |name: &str| {
        let file_of = name.strip_suffix("_FILE").unwrap_or(name);
        [name, file_of].iter().any(|it| known.contains(it))
            || local_postgres::VARIABLES.contains(&name)
    };
    let is_meant = |name: &str| {
        begins_as_ours(name)
            || known
                .iter()
                .any(|ours| is_cut_short(name, ours) || is_alike(name, ours))
    };
    let mut names = variables.keys().filter(|name| !of_kubernetes(name));
    match names.find(|name| !is_known(name) && is_meant(name)) {
        Some(name) => Err(Error::Unknown(name.clone())),
        None => Ok(()),
    }
}

fn begins_as_ours(name: &str) -> bool {
    OURS.iter().any(|begin| name.starts_with(begin))
        || name.starts_with("MYPAGE_S")
        || (name.starts_with("PAYMENT_") && (name.ends_with("_MS") || name.ends_with("_MAX")))
}

/// Whether a name is the first words of ours, two at least: `PAYMENT_TIMEOUT`.
fn is_cut_short(name: &str, ours: &str) -> bool {
    let rest = ours.strip_prefix(name);
    name.contains('_') && rest.is_some_and(|rest| rest.starts_with('_'))
}

/// Whether a name is ours but for a slip or two.
fn is_alike(name: &str, ours: &str) -> bool {
    let errors_max = match name.len() {
        0..ALIKE_CHARS_MIN => return false,
        ALIKE_CHARS_MIN..LONG_CHARS_MIN => ALIKE_ERRORS_MAX_IN_SHORT,
        _ => ALIKE_ERRORS_MAX,
    };
    name.len().abs_diff(ours.len()) <= errors_max && distance(name, ours) <= errors_max
}

/// How many characters must be changed, added or taken away to make the one of the other.
fn distance(one: &str, other: &str) -> usize {
    let other: Vec<_> = other.chars().collect();
    let mut row: Vec<usize> = (0..=other.len()).collect();
    for (line, a) in one.chars().enumerate() {
        let mut next = vec![line + 1];
        let above = row.iter().zip(row.iter().skip(1));
        for ((corner, above), b) in above.zip(&other) {
            let left = next.last().copied().unwrap_or(0);
            let changed = corner + usize::from(a != *b);
            next.push(changed.min(above + 1).min(left + 1));
        }
        row = next;
    }
    row.last().copied().unwrap_or(0)
}

/// What Kubernetes injects for a service; it knows none that is called `listen`.
fn of_kubernetes(name: &str) -> bool {
    let of_a_port = name.ends_with("_PORT") || name.contains("_PORT_");
    name.contains("_SERVICE_") || of_a_port && !name.starts_with("LISTEN_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_as_far_apart_as_slips_are_needed() {
        for (one, other, slips) in [
            ("", "", 0),
            ("abc", "abc", 0),
            ("abc", "abd", 1),
            ("abc", "ab", 1),
            ("ab", "abc", 1),
            ("abc", "xabc", 1),
            ("acb", "abc", 2),
            ("abc", "", 3),
        ] {
            assert_eq!(distance(one, other), slips, "{one} {other}");
        }
    }
}
