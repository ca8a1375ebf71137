//! Reads what clients send, as tolerantly as the seed did.
//!
//! Numbers may come as strings, an empty string and an absent field are null, a scalar will do for a text, and
//! fields that nobody knows are ignored. What remains wrong is collected, so that the client learns all of it
//! at once. A body that is not a JSON object at all is another matter, and answered 400.

use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use domain::{BookId, written};
use jiff::Timestamp;
use serde_json::{Map, Number, Value};

use crate::problem::{Invalid, Problem};

/// How many characters a text may have. The seed's columns held as many.
pub(crate) const TEXT_CHARS_MAX: usize = 255;

/// Whether a text can be a name, or a word that is looked for: what cannot is stored nowhere, and the database could
/// not even be asked for some of it.
pub(crate) fn is_usable(text: &str) -> bool {
    text.chars().count() <= TEXT_CHARS_MAX && !text.chars().any(char::is_control)
}

/// A body on its way to typed values.
pub(crate) struct Form {
    fields: Map<String, Value>,
    errors: Vec<Invalid>,
    /// Whether only a text is a text.
    is_strict: bool,
}

impl From<Map<String, Value>> for Form {
    fn from(fields: Map<String, Value>) -> Self {
        let (errors, is_strict) = (Vec::new(), false);
        Self {
            fields,
            errors,
            is_strict,
        }
    }
}

impl Form {
    /// A form over a body.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Problem> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(fields.into()),
            Ok(_) => Err(Problem::Malformed("the body must be a JSON object".into())),
            Err(error) => Err(Problem::Malformed(format!("JSON parse error: {error}"))),
        }
    }

    /// A form over a body that may have these fields and no other, whose texts are texts.
    pub(crate) fn strict(body: &[u8], known: &[&str]) -> Result<Self, Problem> {
        let mut form = Self::parse(body)?;
        let unknown = form
            .fields
            .keys()
            .filter(|name| !known.contains(&name.as_str()));
        for name in unknown.cloned().collect::<Vec<_>>() {
            form.refuse(&name, "unknown-field", "is not known here");
        }
        form.is_strict = true;
        Ok(form)
    }

    /// A whole number, or null.
    pub(crate) fn integer(&mut self, field: &str) -> Option<i64> {
        let number = match self.fields.get(field) {
            None | Some(Value::Null) => return None,
            Some(Value::Number(number)) => number.as_i64().or_else(|| whole(number)),
            Some(Value::String(text)) if text.trim().is_empty() => return None,
            Some(Value::String(text)) => text.trim().parse().ok(),
            Some(_) => None,
        };
        if number.is_none() {
            self.refuse(field, "not-a-number", "must be a whole number");
        }
        number
    }

    /// A text, or null.
    pub(crate) fn text(&mut self, field: &str) -> Option<String> {
        let text = match self.fields.get(field) {
            None | Some(Value::Null) => return None,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) if !self.is_strict => number.to_string(),
            Some(Value::Bool(truth)) if !self.is_strict => truth.to_string(),
            Some(_) => {
                self.refuse(field, "not-a-text", "must be a text");
                return None;
            }
        };
        if text.chars().count() > TEXT_CHARS_MAX {
            self.refuse(
                field,
                "too-long",
                &format!("must have at most {TEXT_CHARS_MAX} characters"),
            );
        } else if text.chars().any(char::is_control) {
            self.refuse(
                field,
                "control-character",
                "must not hold control characters",
            );
        } else if !text.trim().is_empty() {
            return Some(text);
        }
        None
    }

    /// A text that must be there.
    pub(crate) fn required_text(&mut self, field: &str) -> String {
        let before = self.errors.len();
        let text = self.text(field);
        if text.is_none() && self.errors.len() == before {
            self.refuse(field, "required", "must be given");
        }
        text.unwrap_or_default()
    }

    /// A whole number that must be there.
    pub(crate) fn required_integer(&mut self, field: &str) -> i64 {
        let before = self.errors.len();
        let number = self.integer(field);
        if number.is_none() && self.errors.len() == before {
            self.refuse(field, "required", "must be given");
        }
        number.unwrap_or_default()
    }

    /// A time as RFC 3339 writes it, or null. The seed had none, so nothing else is taken for one.
    pub(crate) fn time(&mut self, field: &str) -> Option<Timestamp> {
        let time = match self.fields.get(field) {
            None | Some(Value::Null) => return None,
            Some(Value::String(text)) if text.is_empty() => return None,
            Some(Value::String(text)) => written::time(text),
            Some(_) => None,
        };
        if time.is_none() {
            self.refuse(field, "not-a-time", written::A_TIME);
        }
        time
    }

    /// A time that must be there.
    pub(crate) fn required_time(&mut self, field: &str) -> Timestamp {
        let before = self.errors.len();
        let time = self.time(field);
        if time.is_none() && self.errors.len() == before {
            self.refuse(field, "required", "must be given");
        }
        time.unwrap_or_default()
    }

    /// Whether a field says anything.
    pub(crate) fn has(&self, field: &str) -> bool {
        match self.fields.get(field) {
            None | Some(Value::Null) => false,
            Some(Value::String(text)) => !text.is_empty(),
            Some(_) => true,
        }
    }

    /// Whether nothing has been said against a field.
    pub(crate) fn is_fine(&self, field: &str) -> bool {
        let pointer = pointer(field);
        !self.errors.iter().any(|error| error.pointer == pointer)
    }

    /// Notes that a field cannot be used.
    pub(crate) fn refuse(&mut self, field: &str, code: &'static str, detail: &str) {
        self.errors.push(Invalid {
            pointer: pointer(field),
            code,
            detail: detail.to_owned(),
        });
    }

    /// The end of reading: everything that was refused, if anything was.
    pub(crate) fn finish(self) -> Result<(), Problem> {
        if self.errors.is_empty() {
            Ok(())
        } else {
            Err(Problem::Invalid(self.errors))
        }
    }
}

/// A field of a body, or a parameter, as a JSON pointer.
pub(crate) fn pointer(name: &str) -> String {
    format!("/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// `1.0` and `1e3` as the whole numbers that they are. What has a fraction is no whole number, and a large one is refused:
/// it was read as a float, and that may be the number next to the one that was meant.
fn whole(number: &Number) -> Option<i64> {
    const EXACT_MAX: i64 = 1_000_000_000_000;
    let text = number.to_string();
    let whole = text.strip_suffix(".0")?.parse().ok()?;
    (-EXACT_MAX < whole && whole < EXACT_MAX).then_some(whole)
}

/// The number in an item's address. What is no number names no item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ItemId(pub(crate) BookId);

impl<S: Send + Sync> FromRequestParts<S> for ItemId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Path(id) = Path::<String>::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::NoSuchItem)?;
        let id = id.parse().map_err(|_| Problem::NoSuchItem)?;
        Ok(Self(BookId(id)))
    }
}

/// What is wrong with a parameter, whatever it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Astray {
    /// Nobody knows it.
    Unknown,
    /// It stands there twice.
    Twice,
}

/// The parameters behind the question mark. Of a name that stands there twice, the first that says
/// anything counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parameters as they would stand in an address.
    #[cfg(test)]
    pub(crate) fn of(pairs: &[(&str, &str)]) -> Self {
        Self(
            pairs
                .iter()
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        )
    }

    /// Names and values, as they came.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&str, &str)> {
        let pairs = self.0.iter();
        pairs.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// Their names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.pairs().map(|(name, _)| name)
    }

    /// A parameter's value; an empty one counts as not given.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        self.all(name).next()
    }

    /// All values of a parameter that may stand there more than once.
    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        let given = self
            .0
            .iter()
            .filter(move |(given, value)| given == name && !value.is_empty());
        given.map(|(_, value)| value.as_str())
    }

    /// A parameter that must be a text when it is given: one that something could have.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        let text = self.get(name);
        if text.is_none_or(is_usable) {
            return Ok(text);
        }
        Err(Problem::Malformed(format!(
            "{name} must be a text of at most {TEXT_CHARS_MAX} characters, without control characters"
        )))
    }

    /// Refuses parameters that are not among `known`, and those that stand there twice.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        match self.astray(known).first() {
            None => Ok(()),
            Some((name, Astray::Unknown)) => Err(Problem::Malformed(format!(
                "{name} is not known here; there are {}",
                known.join(", ")
            ))),
            Some((name, Astray::Twice)) => {
                Err(Problem::Malformed(format!("{name} must be given once")))
            }
        }
    }

    /// Parameters that are not among `known`, and those that stand there twice, each once.
    pub(crate) fn astray(&self, known: &[&str]) -> Vec<(&str, Astray)> {
        let (mut met, mut astray) = (Vec::new(), Vec::<(&str, Astray)>::new());
        for name in self.names() {
            let found = if !known.contains(&name) {
                Astray::Unknown
            } else if met.contains(&name) {
                Astray::Twice
            } else {
                met.push(name);
                continue;
            };
            if !astray.contains(&(name, found)) {
                astray.push((name, found));
            }
        }
        astray
    }

    /// A parameter that must be there, and a whole number.
    pub(crate) fn required_integer(&self, name: &str) -> Result<i64, Problem> {
        self.integer(name)?
            .ok_or_else(|| Problem::Malformed(format!("{name} must be given")))
    }

    /// A parameter that must be a whole number when it is given.
    pub(crate) fn integer(&self, name: &str) -> Result<Option<i64>, Problem> {
        self.get(name)
            .map(str::parse)
            .transpose()
            .map_err(|_| Problem::Malformed(format!("{name} must be a whole number")))
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(parameters) = Query::from_request_parts(parts, state)
            .await
            .map_err(|_| Problem::Malformed("the query string cannot be read".into()))?;
        Ok(Self(parameters))
    }
}

#[cfg(test)]
#[path = "input_tests.rs"]
mod tests;
