use serde_json::json;

use super::*;

fn form(body: &serde_json::Value) -> Form {
    Form::parse(body.to_string().as_bytes()).unwrap()
}

fn codes(form: Form) -> Vec<(String, &'static str)> {
    match form.finish() {
        Err(Problem::Invalid(errors)) => errors.into_iter().map(|e| (e.pointer, e.code)).collect(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn numbers_come_as_numbers_strings_or_not_at_all() {
    for (given, read) in [
        (json!(1), Some(1)),
        (json!("1"), Some(1)),
        (json!(" 42 "), Some(42)),
        (json!("-7"), Some(-7)),
        (json!(i64::MAX), Some(i64::MAX)),
        (json!(i64::MIN.to_string()), Some(i64::MIN)),
        (json!(1.0), Some(1)),
        (json!(-0.0), Some(0)),
        (json!(1e3), Some(1_000)),
        (json!(999_999_999_999.0), Some(999_999_999_999)),
        (json!("+5"), Some(5)),
        (json!("007"), Some(7)),
        (json!(""), None),
        (json!("  "), None),
        (json!(null), None),
    ] {
        let mut form = form(&json!({"userid": given}));
        assert_eq!(form.integer("userid"), read, "{given}");
        assert_eq!(form.finish(), Ok(()), "{given}");
    }
}

#[test]
fn what_is_no_whole_number_is_refused() {
    for given in [
        json!("one"),
        json!(1.5),
        json!("1.5"),
        json!(true),
        json!([1]),
        json!({"id": 1}),
        json!("9223372036854775808"),
        json!(u64::MAX),
        json!(0.1),
        json!(1e300),
        // Read as floats, several such numbers are the same.
        json!(9_007_199_254_740_993.0),
        json!(1e12),
        json!("1.0"),
        json!("1e3"),
        json!("1 2"),
        json!("0x1"),
    ] {
        let mut form = form(&json!({"userid": given}));
        assert_eq!(form.integer("userid"), None, "{given}");
        assert_eq!(
            codes(form),
            [("/userid".to_owned(), "not-a-number")],
            "{given}"
        );
    }
}

#[test]
fn texts_come_as_scalars_or_not_at_all() {
    let longest = "é".repeat(TEXT_CHARS_MAX);
    for (given, read) in [
        (json!("numberone"), Some("numberone")),
        (json!("스터디룸 1"), Some("스터디룸 1")),
        (json!(5), Some("5")),
        (json!(true), Some("true")),
        (json!(longest), Some(longest.as_str())),
        (json!(""), None),
        (json!("   "), None),
        (json!(null), None),
    ] {
        let mut form = form(&json!({"spacename": given}));
        assert_eq!(form.text("spacename").as_deref(), read, "{given}");
        assert_eq!(form.finish(), Ok(()), "{given}");
    }
}

#[test]
fn what_cannot_be_a_text_is_refused() {
    for (given, code) in [
        (json!(["a"]), "not-a-text"),
        (json!({"a": 1}), "not-a-text"),
        (json!("x".repeat(TEXT_CHARS_MAX + 1)), "too-long"),
        // Postgres cannot keep a NUL, and nobody means a line break.
        (json!("a\u{0}b"), "control-character"),
        (json!("a\nb"), "control-character"),
    ] {
        let mut form = form(&json!({"spacename": given}));
        assert_eq!(form.text("spacename"), None, "{given}");
        assert_eq!(codes(form), [("/spacename".to_owned(), code)], "{given}");
    }
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_each_thing_once() {
    let mut form = form(&json!({"userid": "x", "bookid": [], "unknown": {"deep": []}}));
    assert_eq!(form.integer("userid"), None);
    assert_eq!(form.required_integer("bookid"), 0);
    assert_eq!(form.required_text("spacename"), "");
    let expected = [
        ("/userid", "not-a-number"),
        ("/bookid", "not-a-number"),
        ("/spacename", "required"),
    ];
    assert_eq!(
        codes(form),
        expected.map(|(pointer, code)| (pointer.to_owned(), code))
    );
}

#[test]
fn a_body_that_is_no_object_is_malformed() {
    for body in [
        "",
        "{",
        "[]",
        "1",
        "null",
        "\"text\"",
        "{\"a\":1}x",
        "\u{feff}{}",
    ] {
        assert!(
            matches!(Form::parse(body.as_bytes()), Err(Problem::Malformed(_))),
            "{body:?}"
        );
    }
    let deep = "[".repeat(100_000);
    assert!(matches!(
        Form::parse(deep.as_bytes()),
        Err(Problem::Malformed(_))
    ));
    assert!(matches!(
        Form::parse(b"{\"a\":\"\xff\"}"),
        Err(Problem::Malformed(_))
    ));
}

#[test]
fn a_field_says_something_unless_it_is_null_or_empty() {
    let form = form(&json!({"null": null, "empty": "", "false": false, "text": "t"}));
    let said: Vec<_> = ["null", "empty", "false", "text", "absent"]
        .map(|field| form.has(field))
        .into();
    assert_eq!(said, [false, false, true, true, false]);
}

#[test]
fn a_parameter_that_is_empty_is_none_and_one_that_must_be_a_number_is_one() {
    let parameters = Parameters::of(&[("a", "1"), ("a", "2"), ("empty", ""), ("word", "x")]);
    assert_eq!(parameters.get("a"), Some("1"));
    assert_eq!(parameters.get("empty"), None);
    assert_eq!(parameters.integer("a"), Ok(Some(1)));
    assert_eq!(parameters.integer("empty"), Ok(None));
    assert_eq!(parameters.required_integer("a"), Ok(1));
    for name in ["empty", "absent", "word"] {
        let missing = parameters.required_integer(name);
        assert!(matches!(missing, Err(Problem::Malformed(_))), "{name}");
    }
    assert!(matches!(
        parameters.integer("word"),
        Err(Problem::Malformed(_))
    ));
}
