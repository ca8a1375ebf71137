//! Customers and staff: what they ask for, and what they were told.
//!
//! A request is dealt with as the HTTP handlers deal with it: store the intent, take the payment, say when it is open.
//! A customer that gets no answer asks again, under the same command id, wherever somebody answers.

use std::time::Duration;

use domain::payment::Payment;
use domain::ports::{PaymentDue, PendingReason, Taken};
use domain::{BookId, Command, Money, UserId, book, payment, space};
use jiff::{SignedDuration, Timestamp};
use journal::append::Claim;
use journal::{Actor, CommandError, Done, Request, Trace};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::mutation::Mutation;
use crate::node::Node;
use crate::scheduler::{Place, Scheduler};
use crate::slots::Wish;
use crate::world::World;

/// What a booking costs.
pub(crate) const PRICE: Money = Money::krw(10_000);
/// Which space is booked.
const SPACE: &str = "numberone";
/// How often somebody asks that is not answered.
const ASKS_MAX: u32 = 60;
/// How many payments of a hundred are asked for a second time, beside the booking's own call.
const SECOND_CALLS: u64 = 20;
/// How long somebody waits for an answer.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a customer was told about a booking.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// 201.
    Paid(i64),
    /// 202.
    Waiting(i64),
    /// 402.
    Declined(i64),
    /// 409.
    SlotTaken,
    /// 409, for want of points.
    NotCovered,
    /// Nothing, in the end.
    Nothing,
}

fn trace(who: Actor) -> Trace {
    Trace {
        correlation_id: "a journey".to_owned(),
        causation_id: None,
        traceparent: None,
        actor: who,
        actor_id: None,
    }
}

/// What a customer wants.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) wish: Option<Wish>,
    /// Points to be spent on it.
    pub(crate) points: i64,
}

/// Books, and asks again as long as nobody answers.
pub(crate) async fn book(world: World, command_id: Uuid, order: Order) -> Told {
    let scheduler = world.parts.scheduler.clone();
    for _ in 0..ASKS_MAX {
        let Some(node) = world.any_node() else {
            scheduler.sleep(Duration::from_millis(500)).await;
            continue;
        };
        let (answer, answered) = oneshot::channel();
        let place = node.place;
        let mutation = world.parts.mutation;
        let second = scheduler.chance(SECOND_CALLS).then(|| world.clone());
        scheduler.spawn(place, async move {
            let told = place_booking(&node, command_id, order, mutation, second);
            let _ = answer.send(told.await);
        });
        tokio::select! {
            biased;
            told = answered => {
                if let Ok(Ok(told)) = told {
                    return told;
                }
            }
            () = scheduler.sleep(PATIENCE) => {}
        }
        scheduler
            .sleep(scheduler.up_to(Duration::from_secs(3)))
            .await;
    }
    Told::Nothing
}

async fn place_booking(
    node: &Node,
    command_id: Uuid,
    order: Order,
    mutation: Option<Mutation>,
    second: Option<World>,
) -> Result<Told, CommandError> {
    let fresh = node.line.next_book_id().await?;
    if mutation == Some(Mutation::ChargedBeforeIntent) {
        charge_unasked(node, fresh).await;
    }
    let request = order.request(command_id, fresh, node.journal.clock().now());
    let done = match node.journal.execute_one(request).await {
        Err(CommandError::SlotTaken) => return Ok(Told::SlotTaken),
        Err(CommandError::PointsNotCovered) => return Ok(Told::NotCovered),
        other => other?,
    };
    let mut streams = done.answer().streams.iter();
    let stream = streams.find(|s| s.aggregate_type == "Book");
    let Some(bookid) = stream.and_then(|stream| stream.aggregate_id.parse().ok()) else {
        return Ok(Told::Nothing);
    };
    let due = order.due(BookId(bookid));
    if let (Done::Stored(_), Some(world)) = (&done, second) {
        ask_beside(&world, due.clone());
    }
    let taken = match &done {
        Done::Stored(_) => node.payment.take(due).await,
        // The node that stored it may be charging at this moment, and says whether anything was sent.
        _ => match node.journal.load::<Payment>(BookId(bookid)).await? {
            Some((payment, _)) if payment.is_open() => Taken::Pending {
                reason: PendingReason::Timeout,
                sent: true,
            },
            _ => node.payment.take(due).await,
        },
    };
    match taken {
        Taken::Approved { .. } => Ok(Told::Paid(bookid)),
        Taken::Declined { .. } => Ok(Told::Declined(bookid)),
        Taken::Pending { reason, sent } => {
            let sent = sent && mutation != Some(Mutation::DeferredAsUnsent);
            defer(node, command_id, BookId(bookid), reason, sent).await?;
            Ok(Told::Waiting(bookid))
        }
    }
}

/// As `POST /payments` does: the same payment is asked for at a process, beside the booking's own call.
fn ask_beside(world: &World, due: PaymentDue) {
    let Some(node) = world.any_node() else {
        return;
    };
    world.count("a payment was asked for beside its booking's own call");
    let scheduler = world.parts.scheduler.clone();
    world.parts.scheduler.spawn(node.place, async move {
        scheduler
            .sleep(scheduler.up_to(Duration::from_secs(2)))
            .await;
        node.payment.take(due).await;
    });
}

impl Order {
    /// What is stored in one commit.
    fn request(self, command_id: Uuid, bookid: BookId, now: Timestamp) -> Request {
        let userid = Some(UserId(1 + bookid.0 % 2));
        let place = book::Command::Place {
            bookid,
            userid,
            spacename: SPACE.to_owned(),
            price: PRICE,
            scheduled: self.wish.map(|wish| Box::new(wish.scheduled(now))),
        };
        let charge = payment::Command::Request {
            bookid,
            userid,
            spacename: SPACE.to_owned(),
            price: PRICE,
            points: payment::Points {
                spent: self.points,
                ..payment::Points::default()
            },
        };
        let claim = self.wish.map(|wish| wish.claim(bookid.0));
        Request {
            command_id,
            trace: trace(Actor::Customer),
            commands: vec![
                Command::Book(bookid, place),
                Command::Payment(bookid, charge),
            ],
            claims: claim.into_iter().collect(),
        }
    }

    /// What the payment is asked for.
    fn due(self, bookid: BookId) -> PaymentDue {
        PaymentDue {
            bookid,
            charge_no: 1,
            spacename: SPACE.to_owned(),
            price: PRICE.with_minor(PRICE.minor - self.points),
            correlation_id: "a journey".to_owned(),
            traceparent: None,
        }
    }
}

/// The bug of charging before the intent is on disk.
async fn charge_unasked(node: &Node, bookid: BookId) {
    let call = domain::ports::ChargeRequest {
        payid: bookid,
        charge_no: 1,
        spacename: SPACE.to_owned(),
        price: PRICE,
        idempotency_key: payment::charge_key(bookid, 1),
        correlation_id: String::new(),
    };
    node.gateway.charge(call).await;
}

async fn defer(
    node: &Node,
    command_id: Uuid,
    bookid: BookId,
    reason: PendingReason,
    sent: bool,
) -> Result<(), CommandError> {
    let defer = book::Command::DeferPayment {
        reason: reason.to_string(),
        sent,
    };
    let id = Uuid::new_v5(&command_id, b"defer-payment");
    let request = Request::one(id, trace(Actor::System), Command::Book(bookid, defer));
    node.journal.execute_one(request).await.map(drop)
}

/// Sends a request, and again as long as nobody answers. True when it was done.
pub(crate) async fn send(
    world: World,
    command_id: Uuid,
    commands: Vec<Command>,
    claims: Vec<Claim>,
    who: Actor,
) -> bool {
    let scheduler = world.parts.scheduler.clone();
    for _ in 0..ASKS_MAX {
        let Some(node) = world.any_node() else {
            scheduler.sleep(Duration::from_millis(500)).await;
            continue;
        };
        let request = Request {
            command_id,
            trace: trace(who),
            commands: commands.clone(),
            claims: claims.clone(),
        };
        let (answer, answered) = oneshot::channel();
        scheduler.spawn(node.place, async move {
            let _ = answer.send(node.journal.execute_one(request).await);
        });
        tokio::select! {
            biased;
            told = answered => match told {
                Ok(Ok(Done::Stored(_) | Done::Already(_) | Done::Unchanged(_))) => return true,
                Ok(Err(CommandError::Refused(_) | CommandError::SlotTaken)) => return false,
                _ => {}
            },
            () = scheduler.sleep(PATIENCE) => {}
        }
        scheduler
            .sleep(scheduler.up_to(Duration::from_secs(2)))
            .await;
    }
    false
}

/// Moves a booking to another time at another price, if it is where it can be moved.
pub(crate) async fn move_booking(world: World, bookid: i64, wish: Wish) {
    let scheduler = world.parts.scheduler.clone();
    let Some(node) = world.any_node() else {
        return;
    };
    let Ok(Some((book, _))) = node.journal.load::<book::Book>(bookid).await else {
        return;
    };
    let from = book.price();
    let to = [8_000, 10_000, 13_000];
    let drawn = usize::try_from(scheduler.below(3)).unwrap_or(0);
    let to = from.with_minor(to[drawn]);
    let now = node.journal.clock().now();
    let difference = book.difference(to, now);
    let commands = Command::reschedule(BookId(bookid), wish.slot(), difference, now);
    let id = Uuid::new_v5(&Uuid::nil(), format!("move {bookid}").as_bytes());
    let claims = vec![wish.claim(bookid)];
    send(world, id, commands, claims, Actor::Customer).await;
}

/// Staff work a booking through as far as they get, and stop anywhere.
pub(crate) async fn fulfil(world: World, bookid: i64) {
    let scheduler = world.parts.scheduler.clone();
    let by = || "staff".to_owned();
    // Before the end of any slot, or after that of every one.
    let minutes = if scheduler.chance(50) { 0 } else { 10 };
    let left_at = Scheduler::begins_at() + SignedDuration::from_mins(minutes);
    let steps = [
        space::Command::StartPreparation { by: by() },
        space::Command::CompletePreparation { by: by() },
        space::Command::HandOver {
            method: space::Method::Key,
            by: by(),
        },
        space::Command::CheckIn { by: Some(by()) },
        space::Command::CheckOut {
            at: left_at,
            by: Some(by()),
        },
    ];
    for (step, command) in steps.into_iter().enumerate() {
        scheduler
            .sleep(scheduler.up_to(Duration::from_secs(4)))
            .await;
        if scheduler.chance(15) {
            return;
        }
        let id = Uuid::new_v5(&Uuid::nil(), format!("{bookid} {step}").as_bytes());
        let command = vec![Command::Space(BookId(bookid), command)];
        // It may not be registered yet; then staff look again a little later.
        for _ in 0..5 {
            if send(world.clone(), id, command.clone(), vec![], Actor::Manager).await {
                break;
            }
            scheduler.sleep(Duration::from_secs(1)).await;
        }
    }
}

/// The place where requests come from.
pub(crate) const OUTSIDE: Place = Place::Outside;
