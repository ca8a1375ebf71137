//! Points: who has how many, and where they came from.
//!
//! A booking without a user earns for nobody: its points stand on My Page and in no balance.

use domain::{Event, UserId, payment};
use jiff::Timestamp;
use journal::Recorded;

use crate::booking;
use crate::projection::{Key, Projection, Table, Unfit, row};
use crate::rows::Rows;

/// Points came.
const ACCRUED: &str = "accrued";
/// Points went.
const CLAWED_BACK: &str = "clawed_back";
/// Points paid for a booking.
const SPENT: &str = "spent";
/// Points that had paid for a booking came back.
const RETURNED: &str = "returned";

/// The projection.
pub(crate) static POINTS: Projection = Projection {
    name: "points",
    version: 1,
    tables: &[
        Table::state::<BalanceRow>(account),
        Table::log::<LedgerRow>().indexed_by(&["btree (userid, position)"]),
    ],
    by_booking: false,
    fold,
};

row! {
    /// How many points a user has.
    pub struct BalanceRow in points.balances by (userid) {
        /// The user.
        pub userid: i64,
        /// How many.
        pub points: i64,
    }
}

row! {
    /// Points that came or went at one place in the journal.
    pub struct LedgerRow in points.ledger by (position) {
        /// The event's place in the journal.
        pub position: i64,
        /// Whose they are.
        pub userid: i64,
        /// The payment that they came with.
        pub payid: i64,
        /// `accrued`, `clawed_back`, `spent` or `returned`.
        pub kind: String,
        /// How many; less than zero when they went.
        pub points: i64,
        /// When it happened.
        pub at: Timestamp,
    }
}

impl LedgerRow {
    /// Adds what another part of the same row moved: a position is one line, which says what it comes to.
    fn add(&mut self, part: &Self) -> Result<(), Unfit> {
        let (one, other) = (self.userid, part.userid);
        if one != other {
            return Err(Unfit(format!(
                "one recorded event moves points of user {one} and of user {other}"
            )));
        }
        self.points = self.points.saturating_add(part.points);
        self.kind = if self.points < 0 {
            CLAWED_BACK
        } else {
            ACCRUED
        }
        .to_owned();
        Ok(())
    }
}

fn enter(rows: &mut Rows, event: &Recorded, line: LedgerRow) -> Result<(), Unfit> {
    if event.part > 0 {
        let before = rows.change_if_there::<LedgerRow>(&[event.position].into())?;
        if let Some(before) = before {
            return before.add(&line);
        }
    }
    rows.add(line)
}

fn account(event: &Recorded) -> Option<Key> {
    movement(event).map(|movement| [movement.user.0].into())
}

/// What an event does to a user's points.
struct Movement {
    user: UserId,
    kind: &'static str,
    points: i64,
}

fn movement(event: &Recorded) -> Option<Movement> {
    use payment::Event as E;
    let Event::Payment(event) = &event.event else {
        return None;
    };
    let (user, kind, points) = match event {
        E::PointsAccrued { userid, points, .. } => (*userid, ACCRUED, *points),
        E::PointsClawedBack { userid, points, .. } => {
            (*userid, CLAWED_BACK, points.saturating_neg())
        }
        E::PointsSpent { userid, points, .. } => (*userid, SPENT, points.saturating_neg()),
        E::PointsReturned { userid, points, .. } => (*userid, RETURNED, *points),
        _ => return None,
    };
    user.map(|user| Movement { user, kind, points })
}

fn fold(rows: &mut Rows, event: &Recorded) -> Result<(), Unfit> {
    let Some(Movement { user, kind, points }) = movement(event) else {
        return Ok(());
    };
    let userid = user.0;
    let line = LedgerRow {
        position: event.position,
        userid,
        payid: booking::id(event)?,
        kind: kind.to_owned(),
        points,
        at: booking::at(event),
    };
    enter(rows, event, line)?;
    match rows.change_if_there::<BalanceRow>(&[userid].into())? {
        Some(balance) => balance.points = balance.points.saturating_add(points),
        None => rows.add(BalanceRow { userid, points })?,
    }
    Ok(())
}
