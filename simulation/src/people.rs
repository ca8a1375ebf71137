//! Customers and staff: what they ask for, and what they were told.
//!
//! A request is dealt with as the HTTP handlers deal with it: store the intent, take the payment, say when it is open. Who gets no
//! answer asks again, under the same command id, wherever somebody answers.

use std::time::Duration;

use domain::payment::Payment;
use domain::ports::{PaymentDue, PendingReason, Taken};
use domain::{BookId, Command, Money, UserId, book, payment, space};
use jiff::Timestamp;
use journal::append::Claim;
use journal::{Actor, CommandError, Done, Request, Trace};
use tokio::sync::oneshot;
use uuid::Uuid;

use crate::mutation::Mutation;
use crate::node::Node;
use crate::scheduler::Place;
use crate::world::World;

/// What a booking costs.
pub(crate) const PRICE: Money = Money::krw(10_000);
/// How often somebody asks who is not answered.
const ASKS_MAX: u32 = 60;
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

/// A wish for a slot: which unit, or the next one, and from which hour on for how long.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Slot {
    pub(crate) unit: i64,
    pub(crate) from_hour: i64,
    pub(crate) hours: i64,
}

impl Slot {
    fn claim(self, bookid: i64) -> Claim {
        let at = |hour: i64| {
            Timestamp::from_second(1_900_000_000 + hour * 3_600).unwrap_or(Timestamp::UNIX_EPOCH)
        };
        Claim {
            bookid,
            units: vec![self.unit, self.unit + 1],
            start: at(self.from_hour),
            end: at(self.from_hour + self.hours),
        }
    }
}

/// Books, and asks again as long as nobody answers.
pub(crate) async fn book(world: World, command_id: Uuid, slot: Option<Slot>) -> Told {
    let scheduler = world.parts.scheduler.clone();
    for _ in 0..ASKS_MAX {
        let Some(node) = world.any_node() else {
            scheduler.sleep(Duration::from_millis(500)).await;
            continue;
        };
        let (answer, answered) = oneshot::channel();
        let place = node.place;
        let mutation = world.parts.mutation;
        scheduler.spawn(place, async move {
            let _ = answer.send(place_booking(&node, command_id, slot, mutation).await);
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
    slot: Option<Slot>,
    mutation: Option<Mutation>,
) -> Result<Told, CommandError> {
    let Node {
        journal, payment, ..
    } = node;
    let fresh = journal.next_book_id().await?;
    let spacename = || "numberone".to_owned();
    let due = |bookid: BookId| PaymentDue {
        bookid,
        charge_no: 1,
        spacename: spacename(),
        price: PRICE,
        correlation_id: "a journey".to_owned(),
        traceparent: None,
    };
    if mutation == Some(Mutation::ChargedBeforeIntent) {
        let call = domain::ports::ChargeRequest {
            payid: fresh,
            charge_no: 1,
            spacename: spacename(),
            price: PRICE,
            idempotency_key: payment::charge_key(fresh, 1),
            correlation_id: String::new(),
        };
        node.gateway.charge(call).await;
    }
    let userid = Some(UserId(1 + fresh.0 % 2));
    let place = book::Command::Place {
        bookid: fresh,
        userid,
        spacename: spacename(),
        price: PRICE,
        scheduled: None,
    };
    let charge = payment::Command::Request {
        bookid: fresh,
        userid,
        spacename: spacename(),
        price: PRICE,
        points: payment::Points::default(),
    };
    let request = Request {
        command_id,
        trace: trace(Actor::Customer),
        commands: vec![Command::Book(fresh, place), Command::Payment(fresh, charge)],
        claims: slot.map(|slot| slot.claim(fresh.0)).into_iter().collect(),
    };
    let done = match journal.execute_one(request).await {
        Err(CommandError::SlotTaken) => return Ok(Told::SlotTaken),
        other => other?,
    };
    let stream = done
        .answer()
        .streams
        .iter()
        .find(|s| s.aggregate_type == "Book");
    let Some(bookid) = stream.and_then(|stream| stream.aggregate_id.parse().ok()) else {
        return Ok(Told::Nothing);
    };
    let taken = match &done {
        Done::Stored(_) => payment.take(due(BookId(bookid))).await,
        _ if mutation == Some(Mutation::TwinCharges) => payment.take(due(BookId(bookid))).await,
        // Who stored it may be charging at this moment, and says whether anything was sent.
        _ => match journal.load::<Payment>(bookid).await? {
            Some((payment, _)) if payment.is_open() => Taken::Pending {
                reason: PendingReason::Timeout,
                sent: true,
            },
            _ => payment.take(due(BookId(bookid))).await,
        },
    };
    match taken {
        Taken::Approved { .. } => Ok(Told::Paid(bookid)),
        Taken::Declined { .. } => Ok(Told::Declined(bookid)),
        Taken::Pending { reason, sent } => {
            let sent = sent && mutation != Some(Mutation::DeferredAsUnsent);
            let defer = book::Command::DeferPayment {
                reason: reason.to_string(),
                sent,
            };
            let id = Uuid::new_v5(&command_id, b"defer-payment");
            let defer = Command::Book(BookId(bookid), defer);
            journal
                .execute_one(Request::one(id, trace(Actor::System), defer))
                .await?;
            Ok(Told::Waiting(bookid))
        }
    }
}

/// Sends a request, and again as long as nobody answers. True when it was done.
pub(crate) async fn send(
    world: World,
    command_id: Uuid,
    commands: Vec<Command>,
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
            claims: vec![],
        };
        let (answer, answered) = oneshot::channel();
        scheduler.spawn(node.place, async move {
            let _ = answer.send(node.journal.execute_one(request).await);
        });
        tokio::select! {
            biased;
            told = answered => match told {
                Ok(Ok(Done::Stored(_) | Done::Already(_) | Done::Unchanged(_))) => return true,
                Ok(Err(CommandError::Refused(_))) => return false,
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

/// Staff work a booking through as far as they get, and stop anywhere.
pub(crate) async fn fulfil(world: World, bookid: i64) {
    let scheduler = world.parts.scheduler.clone();
    let by = || "staff".to_owned();
    let steps = [
        space::Command::StartPreparation { by: by() },
        space::Command::CompletePreparation { by: by() },
        space::Command::HandOver {
            method: space::Method::Key,
            by: by(),
        },
        space::Command::CheckIn { by: Some(by()) },
        space::Command::CheckOut {
            at: Timestamp::UNIX_EPOCH,
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
            if send(world.clone(), id, command.clone(), Actor::Manager).await {
                break;
            }
            scheduler.sleep(Duration::from_secs(1)).await;
        }
    }
}

/// The place where requests come from.
pub(crate) const OUTSIDE: Place = Place::Outside;
