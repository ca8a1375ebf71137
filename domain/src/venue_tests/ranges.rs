//! What operators are told of numbers.

use serde_json::json;

use super::read;
use super::read::complaints;

#[test]
fn the_numbers_that_are_said_to_be_possible_are() {
    let priced = |amount| json!({"amount": amount, "currency": "KRW"});
    let tiered =
        |hours, percent| json!({"tiers": [{"hours_before": hours, "refund_percent": percent}]});
    let fields: [(&str, &dyn Fn(serde_json::Value) -> serde_json::Value); 16] = [
        ("units", &|it| it),
        ("price_per_hour", &priced),
        ("overtime_per_hour", &priced),
        ("rates", &|it| json!([{"price_per_hour": priced(it)}])),
        ("points_rate", &|it| it),
        ("min_duration_minutes", &|it| it),
        ("max_duration_minutes", &|it| it),
        ("min_notice_minutes", &|it| it),
        ("max_notice_minutes", &|it| it),
        ("buffer_before_minutes", &|it| it),
        ("buffer_after_minutes", &|it| it),
        ("hold_minutes", &|it| it),
        ("no_show_grace_minutes", &|it| it),
        ("cancellation", &|it| json!({"grace_minutes": it})),
        ("cancellation", &|it| tiered(it, json!(0))),
        ("cancellation", &|it| tiered(json!(1), it)),
    ];
    for (name, with) in fields {
        let said = |number: serde_json::Value| {
            let mut body = json!({"spacename": "numberone"});
            body[name] = with(number);
            read(&body)
        };
        let range = |detail: &str| {
            let range = detail
                .split_once("from ")
                .and_then(|(_, it)| it.split_once(" to "));
            let (least, most) = range.unwrap_or_else(|| panic!("{name}: {detail}"));
            (least.parse::<i64>().unwrap(), most.parse::<i64>().unwrap())
        };
        let read = |number: serde_json::Value| {
            let errors = said(number).unwrap_err();
            let one = errors.iter().all(|it| it.pointer == errors[0].pointer);
            assert!(one, "{name}: {errors:?}");
            range(&errors[0].detail)
        };
        let (least, most) = read(json!(1.5));
        assert!(
            said(json!(least)).is_ok() && said(json!(most)).is_ok(),
            "{name}"
        );
        for beyond in [least - 1, most + 1] {
            assert_eq!(read(json!(beyond)), (least, most), "{name} {beyond}");
        }
    }
}

#[test]
fn a_price_that_cannot_be_read_is_no_other_currency() {
    let body = json!({
        "spacename": "numberone", "price_per_hour": {"amount": 1.5, "currency": "USD"},
        "overtime_per_hour": {"amount": 1, "currency": "USD"},
    });
    let expected = [("/price_per_hour/amount".to_owned(), "malformed")];
    assert_eq!(complaints(&body), expected);
}
