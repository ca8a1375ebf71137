//! What is looked for after chaos: each kind of harm as one query or more, which find nothing where all is well.
//!
//! What customers were answered is in the table `answered (what, bookid, start)` of the transaction that asks.

/// A kind of harm.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Harm {
    /// Answered 2xx, and not there.
    Lost,
    /// Happened twice, or more of it than there may be.
    Doubled,
    /// An event that a follower could not take.
    Parked,
    /// Bookings and jobs that did not come to an end or need people, and followers behind the head.
    Stuck,
    /// Registered without an approval before it.
    Unapproved,
    /// Bookings whose money is not where it belongs.
    Money,
    /// Slots that are kept for nobody, or not kept.
    Slots,
    /// Read models that are not what a rebuild makes.
    Differing,
    /// Requests that were answered 500: something was not foreseen.
    Unforeseen,
}

impl Harm {
    pub const ALL: [Self; 9] = [
        Self::Lost,
        Self::Doubled,
        Self::Parked,
        Self::Stuck,
        Self::Unapproved,
        Self::Money,
        Self::Slots,
        Self::Differing,
        Self::Unforeseen,
    ];

    pub const fn says(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Doubled => "doubled",
            Self::Parked => "parked",
            Self::Stuck => "stuck",
            Self::Unapproved => "registered without approval",
            Self::Money => "money not where it belongs",
            Self::Slots => "slots not kept as promised",
            Self::Differing => "read models that differ from a rebuild",
            Self::Unforeseen => "answered 500",
        }
    }
}

/// One thing that is looked for: what it is, and how many of it there are.
#[derive(Clone, Debug)]
pub struct Look {
    pub harm: Harm,
    pub what: String,
    pub query: String,
}

/// What happens to a stream at most once.
pub const ONCE: [&str; 9] = [
    "Approved",
    "Registered",
    "BookConfirmed",
    "Bookcancelled",
    "Cancelled",
    "Registercancelled",
    "BookClosed",
    "NoShowMarked",
    "BookExpired",
];
/// What one request does at most once: its journey's id is its own.
pub const ONCE_A_REQUEST: [&str; 3] = ["Booked", "Rescheduled", "Bookcancelled"];
/// What comes only with something else: points with a charge that earned them, or a refund that took them back.
pub const NEVER_MORE_THAN: [(&str, [&str; 2]); 2] = [
    ("PointsAccrued", ["Approved", "ChargeApproved"]),
    ("PointsClawedBack", ["Cancelled", "PartiallyRefunded"]),
];

/// Bookings that have not come to their end, on My Page as in the books.
pub const UNSETTLED: &str = "
    select count(*) from events e
    where e.event_type = 'Booked' and not exists (
        select from books.books b join mypage.mypages m using (bookid) join payments.payments p using (bookid)
        where b.bookid = e.aggregate_id::bigint
          and (b.status, m.status) in (('success-register', 'Registered'), ('cancel-register', 'cancel-register'),
                                       ('pay-failed', 'pay-failed'), ('no-show', 'no-show'), ('expired', 'expired')))";
/// What is dated by the business waits for its hour.
pub const OPEN_JOBS: &str = "select count(*) from jobs where state = 'open' and not timer";
pub const BEHIND: &str = "
    select count(*) from followers f left join projections p using (name, generation)
    where coalesce(p.state, 'live') = 'live' and f.position < (select max(position) from events)";

/// What was charged and what was given back, as the gateway and as the journal know it.
const MONEY_DIFFERS: &str = "
    with ledger as (
        select c.bookid, sum(c.amount) - coalesce(sum(r.amount), 0) as held
        from stub_gateway.charges c
        left join (select charge, sum(amount) as amount from stub_gateway.refunds group by 1) r on r.charge = c.reference
        where c.declined is null group by 1
    ), streams as (
        select aggregate_id::bigint as bookid,
               sum(case when event_type in ('Approved', 'ChargeApproved', 'LateApproval', 'DuplicateCharge') then (payload->>'amount')::bigint
                        else -(payload->>'amount')::bigint end) as held
        from events
        where aggregate_type = 'Payment'
          and event_type in ('Approved', 'ChargeApproved', 'LateApproval', 'DuplicateCharge', 'Cancelled', 'PartiallyRefunded', 'SurplusRefunded')
        group by 1
    )
    select count(*) from ledger l full join streams s using (bookid) where coalesce(l.held, 0) <> coalesce(s.held, 0)";
/// Bookings of this kind, of which the gateway holds money or does not.
const OF_MONEY: &str = "
    select count(*) from books.books b left join (
        select c.bookid, sum(c.amount) - coalesce(sum(r.amount), 0) as held
        from stub_gateway.charges c
        left join (select charge, sum(amount) as amount from stub_gateway.refunds group by 1) r on r.charge = c.reference
        where c.declined is null group by 1) l using (bookid)
    where ";
const CHARGED_TWICE: &str = "
    select count(*) from (
        select from stub_gateway.charges where declined is null group by bookid, charge_no having count(*) > 1) twice";
const MORE_GIVEN_BACK: &str = "
    select count(*) from (
        select from stub_gateway.charges c join stub_gateway.refunds r on r.charge = c.reference
        group by c.key, c.amount having sum(r.amount) > c.amount) more";
const UNAPPROVED: &str = "
    select count(*) from events r
    where r.event_type = 'Registered' and not exists (
        select from events a where a.aggregate_id = r.aggregate_id and a.event_type = 'Approved' and a.position < r.position)";
const KEPT: &str = "select bookid, unit, during from slot_claims";
const OWED: &str = "select bookid, unit, during from slots_by_events(0, 9223372036854775807)";
/// One that is under way is not lost; it is among the unsettled ones.
const UNCANCELLED: &str = "
    select count(*) from answered a where a.what = 'cancelled' and not exists (
        select from events e join books.books b on b.bookid = a.bookid
        where e.aggregate_type = 'Book' and e.aggregate_id = a.bookid::text and e.event_type = 'Bookcancelled'
          and b.status in ('cancel-booking', 'cancel-register'))";
/// Those of which the journal does not say that they were ever for that time.
const UNMOVED: &str = "
    select count(*) from answered a where a.what = 'moved' and not exists (
        select from events e
        where e.aggregate_type = 'Book' and e.aggregate_id = a.bookid::text and e.event_type in ('Booked', 'Rescheduled')
          and (e.payload -> 'slot' ->> 'start')::timestamptz = a.start::timestamptz)";

fn look(harm: Harm, what: impl Into<String>, query: impl Into<String>) -> Look {
    Look {
        harm,
        what: what.into(),
        query: query.into(),
    }
}

/// Among the bookings that were answered, those of which there is no such row.
fn unbooked(place: &str, row: &str) -> Look {
    look(
        Harm::Lost,
        format!("a booking that is not in {place}"),
        format!(
            "select count(*) from answered a where a.what = 'booked' and not exists (select from {row})"
        ),
    )
}

fn more_than_once(event: &str, what: String, of: &str) -> Look {
    let query = format!(
        "select count(*) from (select from events where event_type = '{event}' group by {of} having count(*) > 1) twice"
    );
    look(Harm::Doubled, what, query)
}

fn once() -> impl Iterator<Item = Look> {
    ONCE.iter().map(|event| {
        more_than_once(
            event,
            format!("{event} twice"),
            "aggregate_type, aggregate_id",
        )
    })
}

fn once_a_request() -> impl Iterator<Item = Look> {
    ONCE_A_REQUEST.iter().map(|event| {
        let what = format!("{event} twice for one request");
        more_than_once(event, what, "metadata ->> 'correlation_id'")
    })
}

fn never_more_than() -> impl Iterator<Item = Look> {
    NEVER_MORE_THAN.iter().map(|(event, [one, other])| {
        let query = format!(
            "select count(*) from (
                 select from events where aggregate_type = 'Payment' group by aggregate_id
                 having count(*) filter (where event_type = '{event}')
                      > count(*) filter (where event_type in ('{one}', '{other}'))) more"
        );
        look(Harm::Doubled, format!("{event} too often"), query)
    })
}

/// Everything that is asked of the database.
pub fn looks() -> Vec<Look> {
    use Harm::{Doubled, Lost, Money, Parked, Slots, Stuck, Unapproved};
    let mut looks = vec![
        unbooked(
            "the journal",
            "events where aggregate_type = 'Book' and aggregate_id = a.bookid::text and sequence = 1",
        ),
        unbooked("the books", "books.books b where b.bookid = a.bookid"),
        unbooked(
            "the payments",
            "payments.payments p where p.bookid = a.bookid",
        ),
        unbooked("My Page", "mypage.mypages m where m.bookid = a.bookid"),
        look(Lost, "a cancellation", UNCANCELLED),
        look(Lost, "a move", UNMOVED),
        look(Doubled, "charged twice", CHARGED_TWICE),
        look(Doubled, "more given back than was taken", MORE_GIVEN_BACK),
        look(Parked, "an event", "select count(*) from parked"),
        look(Stuck, "a booking", UNSETTLED),
        look(Stuck, "an open job", OPEN_JOBS),
        look(
            Stuck,
            "a job that needs people",
            "select count(*) from jobs where state = 'attention'",
        ),
        look(Stuck, "a follower behind the head", BEHIND),
        look(Unapproved, "a registration", UNAPPROVED),
        look(
            Money,
            "the gateway's books differ from the journal",
            MONEY_DIFFERS,
        ),
        look(
            Money,
            "nothing is held for one that is registered",
            format!(
                "{OF_MONEY} b.status in ('success-register', 'no-show') and coalesce(l.held, 0) <= 0"
            ),
        ),
        look(
            Money,
            "something is held for one that is over",
            format!("{OF_MONEY} b.status not in ('success-register', 'no-show') and l.held > 0"),
        ),
        look(
            Slots,
            "kept for nobody",
            format!("select count(*) from ({KEPT} except {OWED}) kept"),
        ),
        look(
            Slots,
            "promised and not kept",
            format!("select count(*) from ({OWED} except {KEPT}) owed"),
        ),
    ];
    looks.extend(once());
    looks.extend(once_a_request());
    looks.extend(never_more_than());
    looks
}
