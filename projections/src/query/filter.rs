//! Which bookings to show.

use domain::{Status, UserId};

use super::page::Conditions;
use super::source::Dialect;
use crate::projection::Row;
use crate::{BookRow, MypageRow, PaymentRow, SpaceRow};

/// A row about one booking: its key is the booking's number, and it says whose booking it is, of which space,
/// and how far.
pub trait OfBooking: Row {}

impl OfBooking for BookRow {}
impl OfBooking for PaymentRow {}
impl OfBooking for SpaceRow {}
impl OfBooking for MypageRow {}

/// A filter; what is `None` lets everything pass.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BookingFilter {
    /// Only the bookings of this user.
    pub userid: Option<i64>,
    /// Of which booking.
    pub bookid: Option<i64>,
    /// Of which space.
    pub spacename: Option<String>,
    /// How far, in the seed's words or in those of the phases.
    pub status: Option<String>,
    /// How far, in the words of the phases.
    pub phase: Option<String>,
}

impl BookingFilter {
    /// Everything of this user.
    #[must_use]
    pub fn of_user(userid: UserId) -> Self {
        Self {
            userid: Some(userid.0),
            ..Self::default()
        }
    }

    pub(super) fn conditions<R: OfBooking>(&self, dialect: Dialect) -> Conditions {
        let mut conditions = Conditions::new(dialect);
        if let Some(userid) = self.userid {
            conditions.equal("userid", userid);
        }
        if let Some(bookid) = self.bookid {
            // The key is the booking's number, and has the index.
            conditions.equal(R::KEY.first().copied().unwrap_or_default(), bookid);
        }
        if let Some(spacename) = &self.spacename {
            conditions.one_of(&["spacename"], vec![spacename.clone()]);
        }
        if let Some(status) = &self.status {
            conditions.one_of(&["status", "phase"], words_for(status));
        }
        if let Some(phase) = &self.phase {
            conditions.one_of(&["phase"], vec![phase.clone()]);
        }
        conditions
    }
}

/// A status as it was asked for, and as My Page writes it: what the other resources call `success-register` is
/// `Registered` there.
fn words_for(status: &str) -> Vec<String> {
    let aliases = [
        Status::Registered.as_str(),
        Status::SuccessRegister.as_str(),
    ];
    if aliases.contains(&status) {
        aliases.map(str::to_owned).to_vec()
    } else {
        vec![status.to_owned()]
    }
}
