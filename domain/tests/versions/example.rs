//! The worked example of docs/changing-events.md, which shows parts of this file: a table with a past.
//!
//! Tests of other crates read journals through it, too.

use domain::version::{Lineage, Step, Stream, Table, shape};
use serde_json::{Value, json};

/// `Booked` 1 named the space `room`.
fn room_is_spacename(mut payload: Value) -> Result<Value, String> {
    let fields = payload.as_object_mut().ok_or("it is not an object")?;
    let room = fields.remove("room").ok_or("it names no room")?;
    fields.insert("spacename".to_owned(), room);
    Ok(payload)
}

/// `Booked` 2 had a price without a currency; prices were in won then.
fn price_is_in_won(mut payload: Value) -> Result<Value, String> {
    let fields = payload.as_object_mut().ok_or("it is not an object")?;
    let price = fields.remove("price").ok_or("it has no price")?;
    fields.insert("amount".to_owned(), price);
    fields.insert("currency".to_owned(), "KRW".into());
    Ok(payload)
}

static BOOKED: &[Step] = &[
    Step::one("1", shape("Booked", "2"), room_is_spacename),
    Step::one("2", shape("Booked", "3"), price_is_in_won),
];

/// For the release before: prices in won are all that it knows.
fn currency_is_left_out(mut payload: Value) -> Result<Value, String> {
    let fields = payload.as_object_mut().ok_or("it is not an object")?;
    let amount = fields.remove("amount").ok_or("it has no amount")?;
    match fields.remove("currency") {
        Some(currency) if currency == "KRW" => fields.insert("price".to_owned(), amount),
        currency => return Err(format!("its currency is {currency:?}")),
    };
    Ok(payload)
}

/// `Booked` in the release before: it writes version 2, and reads what the next release writes.
pub static BOOKED_BEFORE: Lineage = Lineage::now(
    "Booked",
    "2",
    &[
        Step::one("1", shape("Booked", "2"), room_is_spacename),
        Step::one("3", shape("Booked", "2"), currency_is_left_out),
    ],
);

/// Points were a field of the payment, and none were given for little money.
fn points_are_a_fact(payload: Value) -> Result<Vec<(&'static str, Value)>, String> {
    let mut approved = payload;
    let fields = approved.as_object_mut().ok_or("it is not an object")?;
    let points = fields.remove("points").and_then(|points| points.as_i64());
    let points = points.ok_or("it does not say how many points")?;
    let accrued = json!({
        "payid": fields.get("payid"),
        "userid": fields.get("userid"),
        "points": points,
    });
    let mut parts = vec![("Approved", approved)];
    if points > 0 {
        parts.push(("PointsAccrued", accrued));
    }
    Ok(parts)
}

static PAID: &[Step] = &[Step::several(
    "1",
    &[shape("Approved", "1"), shape("PointsAccrued", "1")],
    points_are_a_fact,
)];

static BOOKING_VIEWED: &[Step] = &[Step::nothing(
    "1",
    "looking at a booking is not something that happened to it; the access log has it",
)];

/// Somebody came in, was registered and left again, told at the end of the day.
fn two_ends_of_a_visit(payload: Value) -> Result<Vec<(&'static str, Value)>, String> {
    let Value::Object(fields) = payload else {
        return Err("it is not an object".to_owned());
    };
    let field = |name: &str| fields.get(name).cloned().unwrap_or(Value::Null);
    let registered = json!({
        "spaceid": field("spaceid"),
        "bookid": field("spaceid"),
        "payid": field("spaceid"),
        "userid": field("userid"),
        "spacename": field("spacename"),
        "status": "success-register",
    });
    let checked_out = json!({
        "spaceid": field("spaceid"),
        "status": "completed",
        "overtime_minutes": field("overtime_minutes"),
    });
    Ok(vec![
        ("Registered", registered),
        ("CheckedOut", checked_out),
    ])
}

static VISITED: &[Step] = &[Step::several(
    "1",
    &[shape("Registered", "1"), shape("CheckedOut", "1")],
    two_ends_of_a_visit,
)];

pub static EXAMPLE: Table = Table(&[
    Stream {
        aggregate_type: "Book",
        events: &[
            Lineage::now("Booked", "3", BOOKED),
            Lineage::retired("BookingViewed", BOOKING_VIEWED),
            Lineage::first("PaymentDeferred"),
            Lineage::first("BookConfirmed"),
            Lineage::first("BookRejected"),
            Lineage::first("BookExpired"),
            Lineage::first("Bookcancelled"),
            Lineage::first("BookClosed"),
        ],
    },
    Stream {
        aggregate_type: "Payment",
        events: &[
            Lineage::retired("Paid", PAID),
            Lineage::first("PaymentRequested"),
            Lineage::first("Approved"),
            Lineage::first("PointsAccrued"),
            Lineage::first("PaymentDeclined"),
            Lineage::first("VoidRequested"),
            Lineage::first("RefundRequested"),
            Lineage::first("Cancelled"),
            Lineage::first("PointsClawedBack"),
        ],
    },
    Stream {
        aggregate_type: "Space",
        events: &[
            Lineage::retired("Visited", VISITED),
            Lineage::first("Registered"),
            Lineage::first("CheckedOut"),
            Lineage::first("Registercancelled"),
        ],
    },
]);
