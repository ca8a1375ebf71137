//! Whether everything has come to rest, and whether it is as it should be.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use domain::order::{Order, Stage};
use domain::{Event, payment, version};
use futures::FutureExt;
use journal::feed::Item;
use journal::{Recorded, StreamId};
use projections::batch::{self, Tables};
use projections::cell::Cell;
use projections::projection::{Key, Projection};
use projections::rows::Changed;

use crate::database::Inner;
use crate::gateway::AFTER_ALL;
use crate::people::Told;
use crate::scheduler::{Place, lock};
use crate::slots;
use crate::world::World;

/// Whether nothing is left to do.
pub(crate) fn is_at_rest(world: &World) -> bool {
    reasons(world).is_empty()
}

/// What is still to be done, for a schedule that does not come to its end.
pub(crate) fn why_not_at_rest(world: &World) -> String {
    let reasons = reasons(world).join("; ");
    let holds = &world.parts.database.inner().holds;
    format!("it does not come to rest: {reasons}; holes that are waited at: {holds:?}")
}

fn reasons(world: &World) -> Vec<String> {
    let inner = world.parts.database.inner();
    let head = inner.events.last_key_value().map_or(0, |(at, _)| *at);
    let mut reasons = vec![];
    for ((name, ..), checkpoint) in &inner.followers {
        if checkpoint.position < head {
            reasons.push(format!("{name} is at {} of {head}", checkpoint.position));
        }
    }
    if inner.followers.len() < 1 + world.parts.projections.len() && head > 0 {
        reasons.push("a follower never began".to_owned());
    }
    for job in inner.open_jobs() {
        reasons.push(format!(
            "{} {} is open: {:?}",
            job.kind, job.key, job.last_error
        ));
    }
    if !inner.parked.is_empty() || !inner.retries.is_empty() {
        reasons.push(format!("{} events are parked", inner.parked.len()));
    }
    drop(inner);
    if world.parts.scheduler.is_any_stopped() {
        reasons.push("a process sleeps".to_owned());
    }
    for place in [Place::Server, Place::Gateway] {
        if world.parts.scheduler.tasks_at(place) > 0 {
            reasons.push(format!("something is under way at {place:?}"));
        }
    }
    reasons
}

/// What is wrong when everything has come to rest.
pub(crate) fn final_check(world: &World) -> Vec<String> {
    let mut found = vec![];
    let inner = world.parts.database.inner();
    let events = recorded(&inner);
    let left_to_people: BTreeSet<i64> = inner.for_people().collect();
    let (refused, overslept) = (
        world.parts.gateway.refused(),
        world.overslept.load(Ordering::Relaxed),
    );
    let no_need: Vec<_> = left_to_people.difference(&refused).collect();
    if !no_need.is_empty() && !overslept {
        found.push(format!("people must look at {no_need:?}"));
    }
    let silent: Vec<_> = refused.difference(&left_to_people).collect();
    if !silent.is_empty() {
        found.push(format!(
            "the refunds of {silent:?} were refused, and nobody is told"
        ));
    }
    let spoke_up = world.parts.gateway.seen().contains_key(AFTER_ALL);
    check_answers(&inner, &lock(&world.told), spoke_up, &events, &mut found);
    check_commands(&inner, &mut found);
    check_orders(&inner, &left_to_people, &mut found);
    found.extend(slots::check(
        &inner,
        &events,
        &world.parts.gateway.charges(),
    ));
    let names = world.parts.projections.clone();
    for projection in names {
        check_read_model(&inner, projection, &events, &mut found);
    }
    drop(inner);
    // Of forgotten keys nobody knows what became; what was refused is known.
    let unknown = if overslept {
        &left_to_people
    } else {
        &BTreeSet::new()
    };
    check_money(world, &events, unknown, &mut found);
    found
}

fn recorded(inner: &Inner) -> Vec<Recorded> {
    let rows = inner.events.values();
    let items = rows.map(|row| Item::of(row.stored.clone(), &version::TODAY));
    items
        .flat_map(|item| item.into_events().unwrap_or_default())
        .collect()
}

fn check_answers(
    inner: &Inner,
    told: &[Told],
    spoke_up: bool,
    events: &[Recorded],
    found: &mut Vec<String>,
) {
    for told in told {
        let (bookid, name) = match told {
            Told::Paid(bookid) => (bookid, Some("Approved")),
            // The gateway may have said otherwise by itself before the decline was written down.
            Told::Declined(bookid) if spoke_up => (bookid, None),
            Told::Declined(bookid) => (bookid, Some("PaymentDeclined")),
            Told::Waiting(bookid) => (bookid, None),
            Told::SlotTaken | Told::NotCovered | Told::Nothing => continue,
        };
        if !inner.streams.contains_key(&StreamId::new("Book", bookid)) {
            found.push(format!("{told:?} was said of a booking that is not there"));
        }
        let stands = name.is_none_or(|name| {
            let key = bookid.to_string();
            events
                .iter()
                .any(|event| event.key() == key && event.event_type == name)
        });
        if !stands {
            found.push(format!("{told:?} was said, and is not so"));
        }
    }
}

fn check_commands(inner: &Inner, found: &mut Vec<String>) {
    let stored: BTreeSet<_> = inner
        .events
        .values()
        .map(|row| row.stored.command_id)
        .collect();
    for (id, answer) in &inner.commands {
        if !stored.contains(id) {
            found.push(format!(
                "command {id} counts as done and stored nothing ({answer:?})"
            ));
        }
    }
    let booked: BTreeSet<i64> = inner
        .streams
        .keys()
        .filter(|stream| stream.aggregate_type == "Book")
        .filter_map(|stream| stream.aggregate_id.parse().ok())
        .collect();
    for slot in &inner.slots {
        if !booked.contains(&slot.bookid) {
            found.push(format!(
                "a slot is held for booking {}, which is not there",
                slot.bookid
            ));
        }
    }
    for stream in inner.streams.keys() {
        let id = stream.aggregate_id.parse().unwrap_or(0);
        if !booked.contains(&id) {
            found.push(format!(
                "{} {id} is there without its booking",
                stream.aggregate_type
            ));
        }
    }
    for id in booked {
        if !inner.streams.contains_key(&StreamId::new("Payment", &id)) {
            found.push(format!("booking {id} is there without its payment"));
        }
    }
}

fn check_orders(inner: &Inner, left_to_people: &BTreeSet<i64>, found: &mut Vec<String>) {
    for (bookid, (order, _)) in &inner.orders {
        let Ok(order) = serde_json::from_value::<Order>(order.clone()) else {
            found.push(format!("the order of {bookid} cannot be read"));
            continue;
        };
        let is_over = matches!(order.stage, Stage::Fulfilling | Stage::Done | Stage::Failed);
        if !is_over && !left_to_people.contains(bookid) {
            found.push(format!("booking {bookid} is stuck as {:?}", order.stage));
        }
    }
}

/// How long a process may take, at most, to say that a call ended.
const SAYING_MAX_MS: i64 = 30_000;

/// Whether a charge arrived from a process that had slept and was killed before it could say so: nobody knows of it.
fn is_charged_by_the_dead(world: &World, bookid: i64) -> bool {
    let kills = lock(&world.kills_ms);
    let charges = world.parts.gateway.charges();
    let mut slept = charges
        .iter()
        .filter(|charge| charge.slept && charge.bookid == bookid);
    slept.any(|charge| {
        let saying = charge.at_ms..charge.at_ms + SAYING_MAX_MS;
        kills.iter().any(|at| saying.contains(at))
    })
}

/// The gateway's books against the Payment streams.
fn check_money(
    world: &World,
    events: &[Recorded],
    unknown: &BTreeSet<i64>,
    found: &mut Vec<String>,
) {
    let mut here: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    for event in events {
        let Event::Payment(said) = &event.event else {
            continue;
        };
        let (captured, refunded) = here.entry(event.key().parse().unwrap_or(0)).or_default();
        match said {
            payment::Event::Approved { captured: sum, .. }
            | payment::Event::ChargeApproved { captured: sum, .. }
            | payment::Event::LateApproval { captured: sum, .. }
            | payment::Event::DuplicateCharge { captured: sum, .. } => *captured += sum.minor,
            payment::Event::PartiallyRefunded { refund, .. }
            | payment::Event::Cancelled { refund, .. }
            | payment::Event::SurplusRefunded { refund, .. } => *refunded += refund.minor,
            _ => {}
        }
    }
    let mut there: BTreeMap<i64, (i64, i64)> = BTreeMap::new();
    let mut times: BTreeMap<(i64, u32), u32> = BTreeMap::new();
    for charge in world.parts.gateway.charges() {
        let (captured, refunded) = there.entry(charge.bookid).or_default();
        *captured += charge.captured;
        *refunded += charge.refunded;
        *times.entry((charge.bookid, charge.charge_no)).or_default() +=
            u32::from(charge.captured > 0);
        if charge.refunded > charge.captured {
            found.push(format!(
                "booking {} got back more than it paid",
                charge.bookid
            ));
        }
    }
    for ((bookid, charge_no), times) in times.into_iter().filter(|(_, times)| *times > 1) {
        found.push(format!(
            "charge {charge_no} of booking {bookid} was captured {times} times"
        ));
    }
    for (bookid, (captured, refunded)) in &there {
        let known = here.remove(bookid).unwrap_or_default();
        let differs = known != (*captured, *refunded) && !unknown.contains(bookid);
        if differs && !is_charged_by_the_dead(world, *bookid) {
            found.push(format!(
                "the gateway took {captured} for booking {bookid} and gave back {refunded}; its payment says {known:?}"
            ));
        }
    }
    for (bookid, known) in here {
        if known != (0, 0) {
            found.push(format!(
                "payment {bookid} says {known:?}, and the gateway knows nothing"
            ));
        }
    }
}

/// Tables that were folded from the first event on, one event a batch.
#[derive(Default)]
struct Fresh(BTreeMap<usize, BTreeMap<Key, Vec<Cell>>>);

#[async_trait::async_trait]
impl Tables for Fresh {
    async fn load(
        &mut self,
        place: usize,
        keys: Vec<Key>,
    ) -> Result<Vec<Vec<Cell>>, journal::StoreError> {
        let table = self.0.get(&place);
        let row = |key: &Key| table.and_then(|table| table.get(key)).cloned();
        Ok(keys.iter().filter_map(row).collect())
    }

    async fn save(&mut self, place: usize, rows: Vec<Changed>) -> Result<(), journal::StoreError> {
        let rows = rows.into_iter().map(|row| (row.key, row.cells));
        self.0.entry(place).or_default().extend(rows);
        Ok(())
    }
}

fn check_read_model(
    inner: &Inner,
    projection: &'static Projection,
    events: &[Recorded],
    found: &mut Vec<String>,
) {
    let mut fresh = Fresh::default();
    for row in events.chunk_by(|one, next| one.position == next.position) {
        let folded = batch::fold(projection, &mut fresh, row).now_or_never();
        if let Some(Err(error)) = folded {
            found.push(format!(
                "{} cannot be folded anew: {error}",
                projection.name
            ));
        }
    }
    for place in 0..projection.tables.len() {
        let live = inner.tables.get(&(projection.name.to_owned(), place));
        let rebuilt = fresh.0.get(&place).filter(|rows| !rows.is_empty());
        if live.filter(|rows| !rows.is_empty()) != rebuilt {
            found.push(format!("{} is not what a rebuild makes", projection.name));
        }
    }
}

/// Which event followed which in a stream.
pub(crate) fn transitions(world: &World) -> BTreeSet<(String, String)> {
    let inner = world.parts.database.inner();
    let mut found = BTreeSet::new();
    for (stream, rows) in &inner.streams {
        let mut before = format!("({})", stream.aggregate_type);
        for row in rows.values().filter_map(|at| inner.events.get(at)) {
            let name = row.stored.event_type.clone();
            found.insert((before, name.clone()));
            before = name;
        }
    }
    found
}
