//! What slots cost. Amounts are computed by hand in the comments.

use jiff::SignedDuration;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::{LONG_AGO, at, read, slot, venue};
use crate::terms::{Slot, overtime as overtime_of};
use crate::value::{BOOKINGS_ADDED_UP, Currency, Money, PRICE_MAX};
use crate::venue::{SLOT_MINUTES_MAX, Venue};

fn price(body: Value, start: &str, end: &str) -> (Vec<(String, i64)>, i64) {
    let price = venue(body).price(&slot(start, end));
    let lines = price.lines.iter();
    (
        lines
            .map(|line| (line.start.to_string(), line.amount.minor))
            .collect(),
        price.total.minor,
    )
}

fn total(per_hour: i64, currency: &str, end: &str) -> i64 {
    let body = json!({"price_per_hour": {"amount": per_hour, "currency": currency}});
    price(body, "2026-12-01T00:00:00Z", end).1
}

#[test]
fn an_hours_price_by_the_time_that_passes_rounded_half_up() {
    for (per_hour, end, expected) in [
        (10_000, "2026-12-01T02:00:00Z", 20_000),
        (10_000, "2026-12-01T01:30:00Z", 15_000),
        // A third of an hour: 3333.33.
        (10_000, "2026-12-01T00:20:00Z", 3_333),
        // Two thirds: 6666.67.
        (10_000, "2026-12-01T00:40:00Z", 6_667),
        // Half of one unit is one, and a little less is none.
        (1, "2026-12-01T00:30:00Z", 1),
        (1, "2026-12-01T00:29:59.999999Z", 0),
        (0, "2026-12-01T02:00:00Z", 0),
        // 10^9 an hour for 366 days = 8784 hours: more than a booking may cost.
        (1_000_000_000, "2027-12-02T00:00:00Z", 8_784_000_000_000),
    ] {
        assert_eq!(
            total(per_hour, "KRW", end),
            expected,
            "{per_hour} until {end}"
        );
    }
}

#[test]
fn minor_units_are_what_the_currency_has() {
    // 20 minutes at 10 dollars an hour are 333 cents, at 1000 yen an hour 333 yen: nothing is multiplied by 100.
    assert_eq!(total(1_000, "USD", "2026-12-01T00:20:00Z"), 333);
    assert_eq!(total(1_000, "JPY", "2026-12-01T00:20:00Z"), 333);
    let body = json!({"price_per_hour": {"amount": 1_000, "currency": "JPY"}});
    let price = venue(body).price(&slot("2026-12-01T00:00:00Z", "2026-12-01T01:00:00Z"));
    let expected = Money {
        minor: 1_000,
        currency: Currency::JPY,
    };
    assert_eq!((price.total, price.lines[0].amount), (expected, expected));
}

#[test]
fn a_slot_is_cut_where_its_rate_changes() {
    let krw = |amount: i64| json!({"amount": amount, "currency": "KRW"});
    let body = json!({
        "timezone": "Asia/Seoul",
        "price_per_hour": krw(10_000),
        "rates": [
            {"days": ["saturday", "sunday"], "price_per_hour": krw(15_000)},
            {"from": "18:00", "to": "02:00", "price_per_hour": krw(12_000)},
            {"from": "07:00", "to": "08:00", "price_per_hour": krw(10_000)},
        ],
    });
    // Tuesday 17:00 to 19:30: one hour at 10000, an hour and a half at 12000.
    let evening = price(
        body.clone(),
        "2026-12-01T17:00:00+09:00",
        "2026-12-01T19:30:00+09:00",
    );
    let lines = vec![
        ("2026-12-01T08:00:00Z".to_owned(), 10_000),
        ("2026-12-01T09:00:00Z".to_owned(), 18_000),
    ];
    assert_eq!(evening, (lines, 28_000));
    // Friday 23:00 to Saturday 03:00: an hour at 12000; the weekend, named first, goes before the evening: 3 x 15000.
    let night = price(
        body.clone(),
        "2026-12-04T23:00:00+09:00",
        "2026-12-05T03:00:00+09:00",
    );
    assert_eq!(night.1, 57_000);
    // Sunday 23:00 to Monday 03:00: 15000, then the evening of Sunday goes on until 02:00: 2 x 12000, then 10000.
    let night = price(
        body.clone(),
        "2026-12-06T23:00:00+09:00",
        "2026-12-07T03:00:00+09:00",
    );
    assert_eq!(night.1, 49_000);
    // The same price is one line, whoever says it.
    let morning = price(
        body,
        "2026-12-01T06:00:00+09:00",
        "2026-12-01T09:00:00+09:00",
    );
    assert_eq!((morning.0.len(), morning.1), (1, 30_000));
}

#[test]
fn what_passes_is_paid_for_when_the_clocks_are_set() {
    // Berlin sets its clocks forward at 02:00 on 2026-03-29, and back at 03:00 on 2026-10-25.
    let body = json!({"timezone": "Europe/Berlin", "price_per_hour": {"amount": 1_000, "currency": "EUR"}});
    let spring = price(
        body.clone(),
        "2026-03-29T01:00:00+01:00",
        "2026-03-29T04:00:00+02:00",
    );
    assert_eq!(spring.1, 2_000);
    let autumn = price(
        body,
        "2026-10-25T01:00:00+02:00",
        "2026-10-25T04:00:00+01:00",
    );
    assert_eq!(autumn.1, 4_000);
}

#[test]
fn a_rate_that_begins_in_the_hour_that_is_skipped_begins_with_the_next_one() {
    let eur = |amount: i64| json!({"amount": amount, "currency": "EUR"});
    let body = json!({
        "timezone": "Europe/Berlin", "price_per_hour": eur(1_000),
        "rates": [{"from": "02:30", "to": "05:00", "price_per_hour": eur(2_000)}],
    });
    // 01:00 to 06:00 is four hours: one at 1000, two from 03:00 to 05:00 at 2000, one at 1000.
    let spring = price(
        body.clone(),
        "2026-03-29T01:00:00+01:00",
        "2026-03-29T06:00:00+02:00",
    );
    assert_eq!(spring.1, 6_000);
    // In autumn 01:00 to 06:00 is six hours: an hour and a half, then from the first 02:30 on three and a half, then one.
    let autumn = price(
        body,
        "2026-10-25T01:00:00+02:00",
        "2026-10-25T06:00:00+01:00",
    );
    assert_eq!(autumn.1, 1_500 + 7_000 + 1_000);
}

#[test]
fn a_booking_has_a_highest_price() {
    // 10^9 an hour: 40 hours cost 4 * 10^10, which is all that a booking may.
    let venue = venue(json!({"price_per_hour": {"amount": 1_000_000_000, "currency": "USD"}}));
    let most = slot("2026-12-01T00:00:00Z", "2026-12-02T16:00:00Z");
    let quote = venue.quote(most, at(LONG_AGO)).unwrap();
    assert_eq!(quote.price.total.minor, PRICE_MAX);
    let more = slot("2026-12-01T00:00:00Z", "2026-12-02T16:00:00.000002Z");
    let refused = venue.quote(more, at(LONG_AGO)).unwrap_err();
    assert_eq!(refused.len(), 1);
    assert_eq!(
        (refused[0].code(), refused[0].field()),
        ("price-out-of-range", "end")
    );
    assert_eq!(
        refused[0].to_string(),
        "it would cost 40000000001 USD; a booking costs at most 40000000000"
    );
}

/// The dearest things that can be said, and a little beyond.
fn dear() -> impl Strategy<Value = (i64, i64, i64, i64, u32)> {
    let amount = 0..=1_100_000_000_i64;
    let minutes = 1..=i64::from(SLOT_MINUTES_MAX) + 1;
    (
        amount.clone(),
        amount.clone(),
        amount,
        minutes,
        any::<u32>(),
    )
}

proptest! {
    #[test]
    fn whatever_is_booked_can_be_added_up((hour, night, overtime, minutes, late) in dear()) {
        let eur = |amount: i64| json!({"amount": amount, "currency": "EUR"});
        let body = json!({
            "spacename": "numberone", "price_per_hour": eur(hour), "overtime_per_hour": eur(overtime),
            "rates": [{"from": "20:00", "to": "06:00", "price_per_hour": eur(night)}],
        });
        let Ok(definition) = read(&body) else { return Ok(()) };
        let venue = Venue::new(definition, 1).unwrap();
        let start = at("2026-12-01T00:00:00Z");
        let slot = Slot::new(start, start + SignedDuration::from_mins(minutes));
        if let Ok(quote) = venue.quote(slot, at(LONG_AGO)) {
            let charged = quote.price.total.minor + overtime_of(quote.terms.overtime_per_hour, late).minor;
            prop_assert!(charged.checked_mul(BOOKINGS_ADDED_UP).is_some(), "{charged}");
        }
    }
}

/// Rates of whole hours, on some days, at prices that tell them apart.
fn rates() -> impl Strategy<Value = Vec<(usize, u32, u32)>> {
    proptest::collection::vec((0..4_usize, 0..24_u32, 1..25_u32), 0..5).prop_map(|rates| {
        rates
            .into_iter()
            .filter(|(_, from, to)| from != to)
            .collect()
    })
}

proptest! {
    #[test]
    fn each_hour_costs_what_the_first_rate_that_fits_it_says(rates in rates(), start in 0..200_i64, hours in 1..100_i64) {
        const DAYS: [&[&str]; 4] = [&[], &["tuesday"], &["saturday", "sunday"], &["friday", "tuesday"]];
        let krw = |amount: i64| json!({"amount": amount, "currency": "KRW"});
        let price = |place: usize| 1_i64 << (8 * (place + 1));
        let said: Vec<_> = rates.iter().enumerate().map(|(place, (days, from, to))| json!({
            "days": DAYS[*days], "from": format!("{from:02}:00"), "to": format!("{to:02}:00"),
            "price_per_hour": krw(price(place) % 1_000_000_007),
        })).collect();
        let venue = venue(json!({"price_per_hour": krw(1), "rates": said}));
        // 2026-12-01 is a Tuesday.
        let begin = at("2026-12-01T00:00:00Z") + SignedDuration::from_hours(start);
        let slot = Slot::new(begin, begin + SignedDuration::from_hours(hours));
        let week = ["tuesday", "wednesday", "thursday", "friday", "saturday", "sunday", "monday"];
        let fits = |(days, from, to): &(usize, u32, u32), hour: i64| {
            let is_on = |day: i64| DAYS[*days].is_empty() || DAYS[*days].contains(&week[usize::try_from(day.rem_euclid(7)).unwrap()]);
            let (day, hour) = (hour.div_euclid(24), u32::try_from(hour.rem_euclid(24)).unwrap());
            if from < to {
                is_on(day) && (*from..*to).contains(&hour)
            } else {
                (is_on(day) && hour >= *from) || (is_on(day - 1) && hour < *to)
            }
        };
        let costs = |hour: i64| {
            let first = rates.iter().position(|rate| fits(rate, hour));
            first.map_or(1, |place| price(place) % 1_000_000_007)
        };
        let expected: i64 = (start..start + hours).map(costs).sum();
        prop_assert_eq!(venue.price(&slot).total.minor, expected);
    }
}

#[test]
fn a_quote_is_price_and_terms_of_what_can_be_booked() {
    let venue = venue(json!({"max_duration_minutes": 120}));
    let (ok, too_long) = (
        slot("2026-12-01T00:00:00Z", "2026-12-01T02:00:00Z"),
        slot("2026-12-01T00:00:00Z", "2026-12-01T03:00:00Z"),
    );
    let quote = venue.quote(ok, at(LONG_AGO)).unwrap();
    assert_eq!((quote.slot, quote.price.total.minor), (ok, 20_000));
    assert_eq!(quote.terms, venue.terms());
    assert_eq!(venue.quote(too_long, at(LONG_AGO)).unwrap_err().len(), 1);
}
