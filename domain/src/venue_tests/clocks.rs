//! The days on which clocks are set, in several zones: the wall clock's rules against a clock that is read minute by
//! minute, and money against time.

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::{
    ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_assert_ne, prop_assume,
    proptest,
};
use proptest::test_runner::FileFailurePersistence;
use serde_json::json;

use super::super::grid::Grid;
use super::super::hours::reached;
use super::{at, venue};
use crate::terms::Slot;
use crate::venue::{Span, Taken, Venue, WallTime, zone};

/// Zones and a moment shortly before their clocks are set: forward and back; by a half hour; at midnight; over the
/// date line; and zones that leave them alone.
const CHANGES: [(&str, &str); 16] = [
    ("Europe/Berlin", "2026-03-28T22:00:00Z"),
    ("Europe/Berlin", "2026-10-24T22:00:00Z"),
    ("America/New_York", "2026-03-08T04:00:00Z"),
    ("America/New_York", "2026-11-01T03:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T12:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T12:00:00Z"),
    ("America/Havana", "2026-03-08T03:00:00Z"),
    ("America/Havana", "2026-11-01T03:00:00Z"),
    ("Africa/Cairo", "2026-04-23T20:00:00Z"),
    ("Africa/Cairo", "2026-10-29T19:00:00Z"),
    ("America/Sao_Paulo", "2018-02-18T00:00:00Z"),
    ("America/Sao_Paulo", "2018-11-04T00:00:00Z"),
    ("Pacific/Apia", "2011-12-30T06:00:00Z"),
    ("Asia/Kathmandu", "2026-03-28T22:00:00Z"),
    ("Asia/Seoul", "2026-03-28T22:00:00Z"),
    ("UTC", "2026-03-28T22:00:00Z"),
];

fn minutes(count: i64) -> SignedDuration {
    SignedDuration::from_mins(count)
}

fn wall(minutes: u32) -> WallTime {
    format!("{:02}:{:02}", minutes / 60, minutes % 60)
        .parse()
        .unwrap()
}

/// A zone and moments of the two days around one of its changes.
fn near_a_change() -> impl Strategy<Value = (&'static str, Timestamp)> {
    (0..CHANGES.len(), 0..2_880_i64).prop_map(|(which, offset)| {
        let (name, about) = CHANGES[which];
        (name, at(about) + minutes(offset - 1_200))
    })
}

/// The first minute from two days before on at which the clock shows this time of this date or a later one.
fn reached_by_watching(zone: &TimeZone, date: Date, time: WallTime) -> Timestamp {
    let wanted = date.at(0, 0, 0, 0) + minutes(i64::from(time.minutes()));
    let mut moment = TimeZone::UTC.to_timestamp(wanted).unwrap() - minutes(2_880);
    while zone.to_datetime(moment) < wanted {
        moment += minutes(1);
    }
    moment
}

/// Whether a moment is on a grid of the clock: what the clock shows, or the first minute of the day.
fn on_grid_by_looking(zone: &TimeZone, moment: Timestamp, step: u32) -> bool {
    let shown = zone.to_datetime(moment);
    let of_day = i64::from(shown.hour()) * 60 + i64::from(shown.minute());
    let begins = zone.to_datetime(moment - minutes(1)).date() < shown.date();
    shown.second() == 0
        && shown.subsec_nanosecond() == 0
        && (of_day % i64::from(step) == 0 || begins)
}

#[test]
fn the_zones_of_these_tests_do_set_their_clocks() {
    for (name, about) in CHANGES {
        let zone = zone(name).unwrap();
        let next = zone.following(at(about)).next();
        let soon = next.is_some_and(|it| it.timestamp() < at(about) + minutes(1_440));
        assert_eq!(
            soon,
            !matches!(name, "Asia/Kathmandu" | "Asia/Seoul" | "UTC"),
            "{name} {about}"
        );
    }
}

fn config() -> ProptestConfig {
    let failures = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/src/venue_tests/regressions.txt"
    );
    ProptestConfig {
        failure_persistence: Some(Box::new(FileFailurePersistence::Direct(failures))),
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_time_of_the_wall_clock_is_reached_when_the_clock_shows_it(
        (name, about) in near_a_change(), time in 0..=1_440_u32,
    ) {
        let zone = zone(name).unwrap();
        let (date, time) = (zone.to_datetime(about).date(), wall(time));
        prop_assert_eq!(reached(&zone, date, time), reached_by_watching(&zone, date, time));
    }

    #[test]
    fn the_grid_is_what_the_clock_shows(
        (name, about) in near_a_change(), seconds in 0..60_i64,
        step in prop::sample::select(vec![1_u32, 5, 15, 20, 30, 45, 60, 90, 120, 240, 720, 1_440]),
    ) {
        let zone = zone(name).unwrap();
        let grid = Grid { zone: &zone, minutes: Some(step) };
        let moment = about + SignedDuration::from_secs(seconds);
        let mut next = about + minutes(i64::from(seconds > 0));
        while !on_grid_by_looking(&zone, next, step) {
            next += minutes(1);
        }
        prop_assert_eq!(grid.at_or_after(moment), Some(next));
        let mut last = about;
        while !on_grid_by_looking(&zone, last, step) {
            last -= minutes(1);
        }
        prop_assert_eq!(grid.at_or_before(moment), Some(last));
        prop_assert_eq!(grid.has(moment), moment == next);
    }

    #[test]
    fn money_follows_the_time_that_passes(
        (name, start) in near_a_change(), length in 1..2_880_i64, per_hour in 0..100_000_i64,
        (from, to) in (0..1_440_u32, 0..=1_440_u32), other in 0..100_000_i64,
    ) {
        prop_assume!(from != to);
        let krw = |amount: i64| json!({"amount": amount, "currency": "KRW"});
        let slot = Slot::new(start, start + minutes(length));
        // One rate: the time that passes, however the clocks are set.
        let flat = venue(json!({"timezone": name, "price_per_hour": krw(per_hour)}));
        let price = flat.price(&slot);
        prop_assert_eq!(price.total.minor, (per_hour * length * 2 + 60) / 120);
        prop_assert_eq!(price.lines.len(), 1);
        // Several: the lines are the slot, without a gap, and each costs its own time.
        let rate = json!({"from": wall(from), "to": wall(to), "price_per_hour": krw(other)});
        let rated = venue(json!({"timezone": name, "price_per_hour": krw(per_hour), "rates": [rate]}));
        let price = rated.price(&slot);
        prop_assert_eq!(price.lines.first().unwrap().start, slot.start);
        prop_assert_eq!(price.lines.last().unwrap().end, slot.end);
        for pair in price.lines.windows(2) {
            prop_assert_eq!(pair[0].end, pair[1].start);
            prop_assert_ne!(pair[0].per_hour, pair[1].per_hour);
        }
        for line in &price.lines {
            let time = line.end.duration_since(line.start).as_mins();
            prop_assert_eq!(line.amount.minor, (line.per_hour.minor * time * 2 + 60) / 120);
        }
        let sum: i64 = price.lines.iter().map(|line| line.amount.minor).sum();
        prop_assert_eq!(price.total.minor, sum);
    }

    #[test]
    fn what_is_shown_as_free_can_be_booked_and_is_free(
        venue in venues(), about in near_a_change(), claims in taken(), length in 15..600_i64,
    ) {
        let (_, now) = about;
        let (units, claims) = (vec![1, 2], shifted(&claims, now));
        let span = Span::new(now, now + minutes(2_880));
        let length = minutes(length);
        for window in venue.free(&units, &claims, span, Some(length), now, usize::MAX).shown {
            prop_assert!(window.end.duration_since(window.start) >= length);
            prop_assert!(window.units >= 1);
            let slot = Slot::new(window.start, window.end);
            let refused = venue.check(&slot, now).err().unwrap_or_default();
            // A whole window may be longer than a slot may be; nothing else stands against it.
            prop_assert!(refused.iter().all(|it| it.code() == "too-long"), "{:?}", refused);
            prop_assert_eq!(free_units(&venue, &units, &claims, &slot), window.units);
        }
    }

    #[test]
    fn what_is_offered_can_be_booked_and_nothing_nearer_can(
        venue in venues(), about in near_a_change(), claims in taken(), length in 1..20_i64, start in 0..2_880_i64,
    ) {
        let (_, now) = about;
        let (units, claims) = (vec![1, 2], shifted(&claims, now));
        let span = Span::new(now, now + minutes(2_880));
        let length = minutes(length * 30);
        let wish = Slot::new(now + minutes(start), now + minutes(start) + length);
        let offers = venue.alternatives(&units, &claims, span, &wish, now);
        for offer in &offers {
            prop_assert_eq!(offer.end.duration_since(offer.start), length);
            prop_assert!(venue.check(offer, now).is_ok());
            prop_assert!(free_units(&venue, &units, &claims, offer) > 0);
        }
        for pair in offers.windows(2) {
            prop_assert!(pair[0].start < pair[1].start);
        }
        // A length beside the grid fits only over a change of the clocks, which is not looked for.
        let grid = i64::from(venue.definition().granularity_minutes.unwrap_or(1));
        prop_assume!(length.as_mins() % grid == 0);
        // By trying every minute: the nearest one on either side is among them.
        let bookable = |start: Timestamp| {
            let slot = Slot::new(start, start + length);
            span.covers(&Span::new(slot.start, slot.end))
                && venue.check(&slot, now).is_ok()
                && free_units(&venue, &units, &claims, &slot) > 0
        };
        let mut back = (1..=2_880).map(|by| wish.start - minutes(by));
        let mut on = (1..=2_880).map(|by| wish.start + minutes(by));
        let nearest_before = offers.iter().map(|it| it.start).filter(|it| *it < wish.start).max();
        let nearest_after = offers.iter().map(|it| it.start).filter(|it| *it > wish.start).min();
        prop_assert_eq!(nearest_before, back.find(|start| bookable(*start)));
        prop_assert_eq!(nearest_after, on.find(|start| bookable(*start)));
    }
}

/// On how many units a slot is free, buffers included, by looking at each.
fn free_units(venue: &Venue, units: &[i64], taken: &[Taken], slot: &Slot) -> usize {
    let (start, end) = venue.terms().occupied(slot);
    let occupied = Span::new(start, end);
    let is_free = |unit: &&i64| {
        let mut of_it = taken.iter().filter(|it| it.unit == **unit);
        !of_it.any(|it| Span::new(it.start, it.end).meets(&occupied))
    };
    units.iter().filter(is_free).count()
}

/// Minutes of the two days at which units are taken.
fn taken() -> impl Strategy<Value = Vec<(i64, i64, i64)>> {
    prop::collection::vec((1..=2_i64, 0..2_880_i64, 1..240_i64), 0..8)
}

fn shifted(taken: &[(i64, i64, i64)], now: Timestamp) -> Vec<Taken> {
    let taken = taken.iter();
    taken
        .map(|(unit, start, length)| Taken {
            unit: *unit,
            start: now + minutes(*start),
            end: now + minutes(start + length),
        })
        .collect()
}

/// Venues with rules, in the zones of the changes.
fn venues() -> impl Strategy<Value = Venue> {
    let rules = (
        0..CHANGES.len(),
        prop::sample::select(vec![None, Some(15_u32), Some(30), Some(60)]),
        (0..1_440_u32, 0..=1_440_u32),
        (0..60_u32, 0..60_u32, 0..120_u32),
        any::<bool>(),
        (0..1_000_i64, 1..500_i64),
    );
    rules.prop_map(|(which, granularity, (from, to), (before, after, notice), always, blackout)| {
        let (name, about) = CHANGES[which];
        let hours = json!([{"from": wall(from), "to": wall(if from == to { to / 2 + 1 } else { to })}]);
        let days = ["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"];
        let week: serde_json::Map<_, _> = days.map(|day| (day.to_owned(), hours.clone())).into_iter().collect();
        let start = at(about) + minutes(blackout.0);
        venue(json!({
            "timezone": name, "granularity_minutes": granularity, "min_notice_minutes": notice,
            "max_duration_minutes": 720, "buffer_before_minutes": before, "buffer_after_minutes": after,
            "opening_hours": if always { json!(null) } else { json!(week) },
            "blackouts": [{"start": start, "end": start + minutes(blackout.1)}],
        }))
    })
}
