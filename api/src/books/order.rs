//! What a customer orders, and what the place that it names makes of it: a price, and with a time a slot and terms.

use domain::book::{self, Book, Scheduled};
use domain::payment::{self, Points};
use domain::terms::Slot;
use domain::value::BasisPoints;
use domain::venue::{Quote, Refused};
use domain::{BookId, Command as Asked, Currency, Money, UserId};
use jiff::Timestamp;
use journal::append::Claim;
use journal::venues::{Bookable, Place};

use crate::input::Form;
use crate::problem::{Invalid, Problem};
use crate::settings::Settings;

/// What a customer orders. A number and a status that the client sends are not its to give, and ignored.
pub(crate) struct Order {
    pub(super) userid: Option<UserId>,
    pub(crate) spacename: String,
    /// For when; without a time it is a booking as the seed knows it.
    pub(super) slot: Option<Slot>,
    /// What the customer believes that it costs.
    expected_amount: Option<i64>,
    /// Points to be spent on it.
    points: i64,
}

impl Order {
    pub(crate) fn read(body: &[u8]) -> Result<Self, Problem> {
        let mut form = Form::parse(body)?;
        let order = Self {
            userid: form.integer("userid").map(UserId),
            spacename: form.required_text("spacename"),
            slot: slot(&mut form),
            expected_amount: form.integer("expected_amount"),
            points: form.integer("points").unwrap_or(0),
        };
        if order.points < 0 {
            form.refuse("points", "negative", "must be zero or more");
        } else if order.points > 0 && order.userid.is_none() {
            form.refuse("userid", "required", "must be given where points are spent");
        }
        form.finish()?;
        Ok(order)
    }

    /// The same booking at another time.
    pub(super) fn to_move(book: &Book, slot: Slot, expected_amount: Option<i64>) -> Self {
        Self {
            userid: book.userid(),
            spacename: book.spacename().to_owned(),
            slot: Some(slot),
            expected_amount,
            points: 0,
        }
    }

    /// What the place makes of it at this moment.
    pub(crate) fn offer(
        &self,
        place: &Place,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Offer, Problem> {
        let default_price = settings.default_price;
        let offer = match (place, self.slot) {
            (Place::Retired, _) => return Err(retired()),
            (Place::Undefined, Some(_)) => return Err(no_such_venue()),
            (Place::Undefined, None) => {
                Offer::unscheduled(default_price, Points::default().rate, now)
            }
            (Place::Venue(of), Some(slot)) => Offer::at(of, slot, now)?,
            (Place::Venue(of), None) if of.venue.definition().unscheduled => {
                Offer::unscheduled(default_price, of.venue.definition().points_rate, now)
            }
            (Place::Venue(_), None) => return Err(needs_a_time()),
        };
        match self.expected_amount {
            Some(amount) if amount != offer.price.minor => {
                Err(Problem::PriceChanged { price: offer.price })
            }
            _ => offer.paid_with(self.points, settings.points_currency),
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
    /// Points that pay for a part of it, and what its payment earns.
    pub(crate) points: Points,
    /// The units of which it needs one.
    units: Vec<i64>,
    made_at: Timestamp,
}

impl Offer {
    fn unscheduled(default_price: i64, rate: BasisPoints, made_at: Timestamp) -> Self {
        Self {
            price: Money::krw(default_price),
            quote: None,
            points: Points { spent: 0, rate },
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
            points: Points {
                spent: 0,
                rate: venue.definition().points_rate,
            },
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
            points: self.points,
        };
        vec![Asked::Book(bookid, place), Asked::Payment(bookid, charge)]
    }

    /// What is left to pay when `spent` points have paid. Points are worth something in one currency only: bookings in
    /// another one neither take nor earn them.
    fn paid_with(mut self, spent: i64, points_currency: Currency) -> Result<Self, Problem> {
        if self.price.currency != points_currency {
            self.points.rate = BasisPoints(0);
        }
        let most = if self.price.currency == points_currency {
            self.price.minor
        } else {
            0
        };
        if spent > most {
            let detail = format!("can pay for at most {most} of this booking");
            return Err(invalid(&["/points"], "too-many", &detail));
        }
        self.points.spent = spent;
        Ok(self)
    }

    /// What the gateway is asked for.
    pub(crate) fn to_pay(&self) -> Money {
        self.price.with_minor(self.price.minor - self.points.spent)
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
