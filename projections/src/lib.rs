//! Shows: the read models, their folds and the queries on them.
//!
//! A projection is data ([`projection::Projection`]): a name, a version, tables and a pure fold. To add one,
//! write a file like `books.rs` and put its name into [`PROJECTIONS`]. [`prepare`] makes the tables, [`run`]
//! keeps them filled from the journal, or [`file`] My Page in a file; [`ReadModels`] answers questions, and [`rebuild`]
//! makes any of them anew beside the one that readers see. Nothing here can act: folds are given rows and events, and
//! nothing else.

pub mod batch;
mod board;
pub mod booking;
mod books;
mod calendar;
pub mod cell;
mod day;
pub mod file;
mod generation;
mod live;
mod money;
mod mypage;
mod packed;
mod payments;
mod points;
pub mod progress;
pub mod projection;
mod query;
pub mod rebuild;
pub mod rows;
mod spaces;
mod store;

pub use board::BoardRow;
pub use books::BookRow;
pub use day::Day;
pub use generation::{PrepareError, outdated, prepare};
pub use live::run;
pub use mypage::{MypageRow, TimelineRow};
pub use payments::PaymentRow;
pub use points::{BalanceRow, LedgerRow};
pub use query::{
    BoardFilter, BoardList, BoardPage, BookedDay, BookingFilter, Freshness, LAG_EVENTS_MAX,
    LedgerPart, LongerPart, LongerPlace, OfBooking, PageRequest, Paged, Place, ReadModels,
    RevenueDay, SIZE_DEFAULT, SIZE_MAX, Standstill, Watch,
};
pub use spaces::SpaceRow;

use projection::Projection;

/// Every projection.
pub const PROJECTIONS: &[&Projection] = &[
    &books::BOOKS,
    &payments::PAYMENTS,
    &spaces::SPACES,
    &mypage::MYPAGE,
    &points::POINTS,
    &calendar::CALENDAR,
    &board::BOARD,
];

/// Their names, in the same order.
pub const NAMES: [&str; PROJECTIONS.len()] = {
    let mut names = [""; PROJECTIONS.len()];
    let mut place = 0;
    while place < names.len() {
        names[place] = PROJECTIONS[place].name;
        place += 1;
    }
    names
};

/// The projection of this name.
#[must_use]
pub fn by_name(name: &str) -> Option<&'static Projection> {
    PROJECTIONS
        .iter()
        .find(|projection| projection.name == name)
        .copied()
}
