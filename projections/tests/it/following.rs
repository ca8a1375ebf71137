//! Bookings as the read models show them, end to end: commands in, rows out.

use domain::{BookId, Phase, Status, UserId};
use journal::Actor;
use projections::{BookRow, MypageRow, PaymentRow, SpaceRow};

use crate::story::{self, CANCELLED, REGISTERED, Step, play};
use crate::world::World;

const ID: BookId = BookId(1);
const USER: UserId = UserId(1);

/// Status of book, payment, space, My Page, and the phase that all of them show.
async fn shown(world: &World) -> (Status, Option<Status>, Option<Status>, Status, Phase) {
    let book = world.models.find::<BookRow>(ID).await.unwrap().unwrap();
    let payment = world.models.find::<PaymentRow>(ID).await.unwrap();
    let space = world.models.find::<SpaceRow>(ID).await.unwrap();
    let mypage = world.models.find::<MypageRow>(ID).await.unwrap().unwrap();
    assert_eq!(book.phase, mypage.phase);
    for phase in [
        payment.as_ref().map(|row| row.phase),
        space.as_ref().map(|row| row.phase),
    ] {
        assert_eq!(phase.unwrap_or(book.phase), book.phase);
    }
    let payment = payment.and_then(|row| row.status);
    (
        book.status,
        payment,
        space.and_then(|row| row.status),
        mypage.status,
        book.phase,
    )
}

#[tokio::test]
async fn a_booking_is_shown_step_by_step() {
    let world = World::new().await;
    let followers = world.follow();
    let registered = Some(Status::SuccessRegister);
    let paid = Some(Status::SuccessPay);
    for (steps, expected) in [
        (
            vec![Step::Place],
            (Status::Booking, None, None, Status::Booking, Phase::Placed),
        ),
        (
            vec![Step::Approve],
            (Status::Booking, paid, None, Status::SuccessPay, Phase::Paid),
        ),
        (
            vec![Step::Register, Step::Confirm],
            (
                Status::SuccessRegister,
                paid,
                registered,
                Status::Registered,
                Phase::Registered,
            ),
        ),
        (
            vec![Step::Prepare, Step::Ready],
            (
                Status::SuccessRegister,
                paid,
                Some(Status::Ready),
                Status::Ready,
                Phase::Ready,
            ),
        ),
        (
            vec![
                Step::HandOver,
                Step::CheckIn,
                Step::CheckOut,
                Step::CloseCompleted,
            ],
            (
                Status::Completed,
                paid,
                Some(Status::Completed),
                Status::Completed,
                Phase::Completed,
            ),
        ),
    ] {
        play(&world, 1, &steps).await;
        world.caught_up().await;
        assert_eq!(shown(&world).await, expected, "after {steps:?}");
    }
    assert_eq!(world.models.points(USER).await.unwrap(), 100);
    let book = world.models.find::<BookRow>(ID).await.unwrap().unwrap();
    assert_eq!(
        (book.version, book.amount, book.userid),
        (3, 10_000, Some(1))
    );
    let mypage = world.models.find::<MypageRow>(ID).await.unwrap().unwrap();
    assert_eq!(
        (mypage.bookid, mypage.payid, mypage.spaceid),
        (1, Some(1), Some(1))
    );
    assert!(mypage.created_at <= mypage.updated_at);
    followers.stop().await;
}

#[tokio::test]
async fn a_cancellation_gives_money_and_points_back() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    play(&world, 1, &CANCELLED).await;
    world.follow_to_the_end().await;
    assert_eq!(
        shown(&world).await,
        (
            Status::CancelRegister,
            Some(Status::CancelPay),
            Some(Status::CancelRegister),
            Status::CancelRegister,
            Phase::Cancelled
        )
    );
    let payment = world.models.find::<PaymentRow>(ID).await.unwrap().unwrap();
    assert_eq!((payment.captured, payment.refunded), (10_000, 10_000));
    let mypage = world.models.find::<MypageRow>(ID).await.unwrap().unwrap();
    assert_eq!((mypage.refunded, mypage.points), (10_000, 0));
    assert_eq!(world.models.points(USER).await.unwrap(), 0);
    let ledger = world.models.ledger_after(USER, 0, 100).await.unwrap();
    let points: Vec<_> = ledger
        .rows
        .iter()
        .map(|row| (row.kind.as_str(), row.points))
        .collect();
    assert_eq!(points, [("accrued", 100), ("clawed_back", -100)]);
}

#[tokio::test]
async fn a_declined_booking_is_shown_as_failed_and_registers_nothing() {
    let world = World::new().await;
    play(&world, 1, &[Step::Place, Step::Decline, Step::Reject]).await;
    world.follow_to_the_end().await;
    let failed = Status::PayFailed;
    assert_eq!(
        shown(&world).await,
        (failed, Some(failed), None, failed, Phase::PaymentFailed)
    );
}

#[tokio::test]
async fn money_that_comes_twice_asks_for_attention_until_it_is_back() {
    let world = World::new().await;
    play(&world, 1, &[Step::Place, Step::Approve, Step::ChargeAgain]).await;
    let followers = world.follow();
    world.caught_up().await;
    let mypage = world.models.find::<MypageRow>(ID).await.unwrap().unwrap();
    assert!(mypage.attention.is_some());
    play(&world, 1, &[Step::Refunded(1)]).await;
    world.caught_up().await;
    let mypage = world.models.find::<MypageRow>(ID).await.unwrap().unwrap();
    assert_eq!((mypage.attention, mypage.refunded), (None, 10_000));
    let payment = world.models.find::<PaymentRow>(ID).await.unwrap().unwrap();
    assert_eq!((payment.captured, payment.refunded), (20_000, 10_000));
    followers.stop().await;
}

#[tokio::test]
async fn the_timeline_has_a_line_for_every_event() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    play(&world, 1, &CANCELLED).await;
    story::place(&world, 2, 2, "numberfour").await;
    world.follow_to_the_end().await;
    let lines = world.models.timeline(ID).await.unwrap();
    let told: Vec<_> = lines
        .iter()
        .map(|line| {
            let note = line.note.as_deref().unwrap_or("-");
            format!(
                "{} {} {} | {note}",
                line.event,
                line.status.as_str(),
                line.phase.as_str()
            )
        })
        .collect();
    insta::assert_snapshot!(told.join("\n"), @r"
    Booked booking placed | numberone, 10000 KRW
    PaymentRequested booking placed | 10000 KRW
    Approved success-pay paid | 10000 KRW captured
    PointsAccrued success-pay paid | 100 points
    Registered Registered registered | -
    BookConfirmed Registered registered | -
    Bookcancelled cancel-booking cancelling | 10000 KRW to be given back: because
    RefundRequested cancel-booking cancelling | 10000 KRW: the booking was cancelled
    Cancelled cancel-pay refunded | 10000 KRW given back
    PointsClawedBack cancel-pay refunded | 100 points taken back
    Registercancelled cancel-pay refunded | -
    BookClosed cancel-register cancelled | -
    ");
    assert!(lines.iter().all(|line| line.actor_type == Actor::Customer
        && line.actor_id.as_deref() == Some("1")
        && line.correlation_id == "journey"));
    assert!(lines.is_sorted_by_key(|line| line.position));
    assert_eq!(world.models.timeline(BookId(2)).await.unwrap().len(), 2);
    assert_eq!(world.models.timeline(BookId(3)).await.unwrap(), []);
}

#[tokio::test]
async fn a_poison_event_parks_its_booking_only() {
    let world = World::new().await;
    play(&world, 1, &[Step::Place]).await;
    // Nothing was ever booked under 2: no projection of bookings can place it.
    play(&world, 2, &[Step::Register, Step::Prepare]).await;
    play(&world, 1, &[Step::Approve]).await;
    let followers = world.follow();
    world.caught_up().await;
    assert_eq!(shown(&world).await.4, Phase::Paid);
    let parked = "select string_agg(format('%s %s %s %s', name, key, event_type, reason), e'\n' order by position)
                  from parked where name = 'mypage'";
    assert_eq!(
        world.text(parked).await,
        "mypage 2 Registered there is no row 2 in mypages\nmypage 2 PreparationStarted "
    );
    // What comes later for the same booking stands behind it, also in another batch.
    play(&world, 2, &[Step::Ready]).await;
    play(&world, 1, &[Step::Register]).await;
    world.caught_up().await;
    assert_eq!(shown(&world).await.4, Phase::Registered);
    assert_eq!(
        world
            .text("select count(*)::text from parked where key = '2'")
            .await,
        "15"
    );
    assert_eq!(
        world
            .text("select count(*)::text from parked where key <> '2'")
            .await,
        "0"
    );
    followers.stop().await;
}

#[tokio::test]
async fn another_process_goes_on_where_one_stopped() {
    let world = World::new().await;
    play(&world, 1, &REGISTERED).await;
    world.follow_to_the_end().await;
    play(&world, 1, &CANCELLED[..3]).await;
    world.follow_to_the_end().await;
    // Had anything been folded twice, points would have been given or taken twice.
    assert_eq!(world.models.points(USER).await.unwrap(), 0);
    assert_eq!(
        world
            .models
            .find::<MypageRow>(ID)
            .await
            .unwrap()
            .unwrap()
            .points,
        0
    );
    assert_eq!(
        world
            .models
            .find::<BookRow>(ID)
            .await
            .unwrap()
            .unwrap()
            .phase,
        Phase::Refunded
    );
}

#[tokio::test]
async fn a_name_as_long_as_a_book_does_not_stop_the_follower() {
    let world = World::new().await;
    // Not compressible, and longer than an index entry may be.
    let name: String = (0..2_000)
        .map(|n| format!("{:x}", n * 7_919 % 65_521))
        .collect();
    story::place(&world, 1, 1, &name).await;
    play(&world, 2, &[Step::Place]).await;
    world.follow_to_the_end().await;
    assert_eq!(
        world
            .models
            .find::<MypageRow>(ID)
            .await
            .unwrap()
            .unwrap()
            .spacename,
        name
    );
    assert!(
        world
            .models
            .find::<MypageRow>(BookId(2))
            .await
            .unwrap()
            .is_some()
    );
}
