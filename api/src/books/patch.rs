//! Reads a JSON patch (RFC 6902) of a booking: `[{"op":"replace","path":"/status","value":"cancel-booking"}]`.
//!
//! Status is all that can be written, so an operation that writes elsewhere is refused before anything is
//! applied; tests may look at every field. That also keeps a patch from growing what it is applied to.

use json_patch::PatchOperation as Op;
use serde_json::Value;

use super::BookView;
use crate::input::Form;
use crate::problem::{Invalid, Problem, internal};

/// The one place that can be written.
const STATUS: &str = "/status";

/// A patch that writes the status, and nothing else.
#[derive(Debug)]
pub(super) struct Patch(json_patch::Patch);

impl Patch {
    pub(super) fn read(body: &[u8]) -> Result<Self, Problem> {
        let patch: json_patch::Patch = serde_json::from_slice(body)
            .map_err(|error| Problem::Malformed(format!("this is no JSON patch: {error}")))?;
        let writes: Vec<_> = patch
            .iter()
            .filter(|op| !matches!(op, Op::Test(_)))
            .collect();
        let refused = writes.iter().filter(|op| !writes_status(op));
        let mut refused: Vec<_> = refused
            .map(|op| {
                invalid(
                    op.path().as_str(),
                    "not-writable",
                    "only /status can be written",
                )
            })
            .collect();
        if writes.is_empty() {
            refused.push(invalid(STATUS, "required", "must be given"));
        }
        if refused.is_empty() {
            Ok(Self(patch))
        } else {
            Err(Problem::Invalid(refused))
        }
    }

    /// What the booking would say after it.
    pub(super) fn apply(&self, booking: &BookView) -> Result<Form, Problem> {
        let mut booking = serde_json::to_value(booking).map_err(|error| internal(&error))?;
        json_patch::patch(&mut booking, &self.0)
            .map_err(|error| Problem::PatchDoesNotFit(error.to_string()))?;
        match booking {
            Value::Object(fields) => Ok(fields.into()),
            other => Err(Problem::PatchDoesNotFit(format!("{other} is no booking"))),
        }
    }
}

/// Whether an operation writes a status that it brings along: what is moved there from elsewhere in a booking is no
/// status.
fn writes_status(op: &Op) -> bool {
    matches!(op, Op::Add(_) | Op::Replace(_) | Op::Remove(_)) && op.path().as_str() == STATUS
}

fn invalid(pointer: &str, code: &'static str, detail: &str) -> Invalid {
    Invalid {
        pointer: pointer.to_owned(),
        code,
        detail: detail.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use domain::{Currency, Phase, Status};
    use serde_json::json;

    use super::*;

    fn booking() -> BookView {
        BookView {
            userid: Some(1),
            status: Status::Booking,
            spacename: "numberone".into(),
            bookid: 7,
            phase: Phase::Paid,
            amount: 10_000,
            currency: Currency::KRW,
            starts_at: None,
            ends_at: None,
            unit: None,
        }
    }

    fn read(patch: &Value) -> Result<Patch, Problem> {
        Patch::read(patch.to_string().as_bytes())
    }

    fn status_after(patch: &Value) -> Result<Option<String>, Problem> {
        read(patch)?
            .apply(&booking())
            .map(|mut form| form.text("status"))
    }

    #[test]
    fn a_patch_writes_the_status_in_any_way_that_brings_one_along() {
        let cancel = Ok(Some("cancel-booking".to_owned()));
        for op in ["replace", "add"] {
            let patch = json!([
                {"op": "test", "path": "/userid", "value": 1},
                {"op": "test", "path": "/status", "value": "booking"},
                {"op": op, "path": "/status", "value": "cancel-booking"},
            ]);
            assert_eq!(status_after(&patch), cancel, "{op}");
        }
        let removed = json!([{"op": "remove", "path": "/status"}]);
        assert_eq!(status_after(&removed), Ok(None));
    }

    #[test]
    fn what_the_patch_takes_for_granted_must_be_so() {
        for patch in [
            json!([{"op": "test", "path": "/status", "value": "Timeout"}]),
            json!([{"op": "test", "path": "/moon", "value": 1}]),
            json!([{"op": "remove", "path": "/status"}]),
        ] {
            let mut operations = patch.as_array().unwrap().clone();
            operations.push(json!({"op": "replace", "path": "/status", "value": "cancel-booking"}));
            let applied = status_after(&Value::Array(operations));
            assert!(
                matches!(applied, Err(Problem::PatchDoesNotFit(_))),
                "{patch}: {applied:?}"
            );
        }
    }

    #[test]
    fn nothing_but_the_status_is_written() {
        for (patch, pointer) in [
            (
                json!([{"op": "replace", "path": "/amount", "value": 0}]),
                "/amount",
            ),
            (json!([{"op": "add", "path": "", "value": {}}]), ""),
            (
                json!([{"op": "add", "path": "/status/x", "value": 1}]),
                "/status/x",
            ),
            (
                json!([{"op": "remove", "path": "/spacename"}]),
                "/spacename",
            ),
            (
                json!([{"op": "copy", "from": "/spacename", "path": "/status"}]),
                "/status",
            ),
            (
                json!([{"op": "move", "from": "/spacename", "path": "/status"}]),
                "/status",
            ),
            (
                json!([{"op": "copy", "from": "", "path": "/more"}]),
                "/more",
            ),
            (json!([]), "/status"),
            (
                json!([{"op": "test", "path": "/userid", "value": 1}]),
                "/status",
            ),
        ] {
            match read(&patch) {
                Err(Problem::Invalid(errors)) => assert_eq!(errors[0].pointer, pointer, "{patch}"),
                other => panic!("{patch}: {other:?}"),
            }
        }
    }

    #[test]
    fn what_is_no_patch_is_malformed() {
        for body in [
            "",
            "{}",
            "null",
            r#"{"status":"cancel-booking"}"#,
            r#"[{"op":"replace","path":"/status"}]"#,
            r#"[{"op":"burn","path":"/status"}]"#,
            r#"[{"op":"replace","path":"status","value":1}]"#,
            r#"[1]"#,
        ] {
            let read = Patch::read(body.as_bytes());
            assert!(
                matches!(read, Err(Problem::Malformed(_))),
                "{body}: {read:?}"
            );
        }
    }
}
