//! What a customer orders, and what the place that it names makes of it: a price, and with a time a slot and terms.

use domain::book::{self, Scheduled};
use domain::payment::{self, POINTS_RATE, Points};
use domain::terms::Slot;
use domain::value::BasisPoints;
use domain::venue::{Quote, Refused};
use domain::{BookId, Command as Asked, Money, UserId};
use jiff::Timestamp;
use journal::append::Claim;
use journal::venues::{Bookable, Place};

use crate::input::Form;
use crate::problem::{Invalid, Problem};

/// What a customer orders. A number and a status that the client sends are not its to give, and ignored.
pub(crate) struct Order {
    pub(super) userid: Option<UserId>,
    pub(crate) spacename: String,
    /// For when; without a time it is a booking as the seed knows it.
    pub(super) slot: Option<Slot>,
    /// What the customer believes that it costs.
    expected_amount: Option<i64>,
}

impl Order {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Problem> {
        let mut form = Form::parse(body)?;
        let order = Self {
            userid: form.integer("userid").map(UserId),
            spacename: form.required_text("spacename"),
            slot: slot(&mut form),
            expected_amount: form.integer("expected_amount"),
        };
        form.finish()?;
        Ok(order)
    }

    /// What the place makes of it at this moment.
    pub(crate) fn offer(
        &self,
        place: &Place,
        default_price: i64,
        now: Timestamp,
    ) -> Result<Offer, Problem> {
        let offer = match (place, self.slot) {
            (Place::Retired, _) => return Err(retired()),
            (Place::Undefined, Some(_)) => return Err(no_such_venue()),
            (Place::Undefined, None) => Offer::unscheduled(default_price, now),
            (Place::Venue(of), Some(slot)) => Offer::at(of, slot, now)?,
            (Place::Venue(of), None) if of.venue.definition().unscheduled => {
                Offer::unscheduled(default_price, now)
            }
            (Place::Venue(_), None) => return Err(needs_a_time()),
        };
        match self.expected_amount {
            Some(amount) if amount != offer.price.minor => {
                Err(Problem::PriceChanged { price: offer.price })
            }
            _ => Ok(offer),
        }
    }
}

/// The slot in a body: both times, or none.
fn slot(form: &mut Form) -> Option<Slot> {
    for (given, other) in [("start", "end"), ("end", "start")] {
        if form.has(given) && !form.has(other) {
            form.refuse(other, "required", "must be given with the other time");
        }
    }
    let (start, end) = (form.time("start"), form.time("end"));
    Some(Slot::new(start?, end?))
}

/// What a booking costs, and what is agreed to.
pub(crate) struct Offer {
    pub(crate) price: Money,
    /// With a time: how the price comes about, and the terms.
    pub(crate) quote: Option<Quote>,
    /// What its payment earns.
    rate: BasisPoints,
    /// The units of which it needs one.
    units: Vec<i64>,
    made_at: Timestamp,
}

impl Offer {
    fn unscheduled(default_price: i64, made_at: Timestamp) -> Self {
        Self {
            price: Money::krw(default_price),
            quote: None,
            rate: POINTS_RATE,
            units: vec![],
            made_at,
        }
    }

    fn at(of: &Bookable, slot: Slot, now: Timestamp) -> Result<Self, Problem> {
        let Bookable { venue, units } = of;
        let quote = venue.quote(slot, now).map_err(refused)?;
        Ok(Self {
            price: quote.price.total,
            quote: Some(quote),
            rate: venue.definition().points_rate,
            units: units.clone(),
            made_at: now,
        })
    }

    /// The booking, and the intent to charge for it.
    pub(super) fn commands(&self, bookid: BookId, order: &Order) -> Vec<Asked> {
        let place = book::Command::Place {
            bookid,
            userid: order.userid,
            spacename: order.spacename.clone(),
            price: self.price,
            scheduled: self.scheduled().map(Box::new),
        };
        let charge = payment::Command::Request {
            bookid,
            userid: order.userid,
            spacename: order.spacename.clone(),
            price: self.price,
            points: Points {
                spent: 0,
                rate: self.rate,
            },
        };
        vec![Asked::Book(bookid, place), Asked::Payment(bookid, charge)]
    }

    fn scheduled(&self) -> Option<Scheduled> {
        let quote = self.quote.as_ref()?;
        Some(Scheduled {
            slot: quote.slot,
            terms: quote.terms.clone(),
            booked_at: self.made_at,
        })
    }

    /// The time that it takes of one of the venue's units.
    pub(super) fn claims(&self, bookid: BookId) -> Vec<Claim> {
        let claim = self.quote.as_ref().map(|Quote { slot, terms, .. }| {
            let (start, end) = terms.occupied(slot);
            Claim {
                bookid: bookid.0,
                units: self.units.clone(),
                start,
                end,
            }
        });
        claim.into_iter().collect()
    }
}

/// Every rule of a venue that stands against a slot.
fn refused(refused: Vec<Refused>) -> Problem {
    Problem::Invalid(refused.into_iter().map(Invalid::from).collect())
}

/// Times at a place that nobody defined.
fn no_such_venue() -> Problem {
    let detail = "times can be booked at venues only, and this is none";
    invalid(&["/start", "/end"], "no-such-venue", detail)
}

fn retired() -> Problem {
    let detail = "this venue takes no bookings any more";
    invalid(&["/spacename"], "venue-retired", detail)
}

fn needs_a_time() -> Problem {
    let detail = "must be given: this venue is booked for a time";
    invalid(&["/start", "/end"], "required", detail)
}

fn invalid(pointers: &[&str], code: &'static str, detail: &str) -> Problem {
    let at = |pointer: &&str| Invalid {
        pointer: (*pointer).to_owned(),
        code,
        detail: detail.to_owned(),
    };
    Problem::Invalid(pointers.iter().map(at).collect())
}
