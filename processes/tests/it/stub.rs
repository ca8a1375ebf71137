//! The stub gateway's books.

use std::sync::Arc;

use domain::payment::{charge_key, refund_key};
use domain::ports::{
    ChargeOutcome, ChargeRequest, LookupOutcome, PaymentGateway, RefundOutcome, RefundRequest,
    StubLedger,
};
use domain::{BookId, Money};
use futures::future::join_all;
use journal::runtime::{SystemRandom, Tokio};
use processes::gateway::stub::StubGateway;

use crate::world::{PRICE, World};

fn stub(world: &World) -> StubGateway {
    StubGateway::new(
        world.journal.pool().clone(),
        Arc::new(Tokio),
        Arc::new(SystemRandom),
    )
}

fn charge(bookid: i64, spacename: &str) -> ChargeRequest {
    ChargeRequest {
        payid: BookId(bookid),
        charge_no: 1,
        spacename: spacename.to_owned(),
        price: PRICE,
        idempotency_key: charge_key(BookId(bookid), 1),
        correlation_id: String::new(),
    }
}

fn refund(gateway_ref: &str, refund_no: u32, minor: i64) -> RefundRequest {
    RefundRequest {
        payid: BookId(1),
        refund_no,
        gateway_ref: gateway_ref.to_owned(),
        refund: Money::krw(minor),
        reason: String::new(),
        idempotency_key: refund_key(BookId(1), refund_no),
        correlation_id: String::new(),
    }
}

async fn captured(stub: &StubGateway) -> String {
    match stub.charge(charge(1, "numberone")).await {
        ChargeOutcome::Approved {
            gateway_ref,
            captured,
        } if captured == PRICE => gateway_ref,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_equal_keys_at_once_are_one_charge() {
    let world = World::in_real_time().await;
    let stub = stub(&world);
    let answers = join_all((0..50).map(|_| stub.charge(charge(1, "numberone")))).await;
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert!(matches!(answers[0], ChargeOutcome::Approved { .. }));
    assert_eq!(stub.charges().await.unwrap().len(), 1);
}

#[tokio::test]
async fn the_first_answer_to_a_key_stands() {
    let world = World::in_real_time().await;
    let stub = stub(&world);
    let declined = stub.charge(charge(1, "declined")).await;
    assert!(matches!(declined, ChargeOutcome::Declined { .. }));
    assert_eq!(stub.charge(charge(1, "numberone")).await, declined);
    let approved = stub.charge(charge(2, "numberone")).await;
    assert_eq!(stub.charge(charge(2, "declined")).await, approved);
    assert_eq!(
        stub.charges().await.unwrap().len(),
        1,
        "a decline is no charge"
    );
}

#[tokio::test]
async fn it_can_be_asked() {
    let world = World::in_real_time().await;
    let stub = stub(&world);
    let gateway_ref = captured(&stub).await;
    stub.charge(charge(2, "declined")).await;
    let look_up = async |bookid: i64| stub.look_up(&charge_key(BookId(bookid), 1)).await;
    assert_eq!(
        look_up(1).await,
        LookupOutcome::Approved {
            gateway_ref,
            captured: PRICE
        }
    );
    assert!(matches!(look_up(2).await, LookupOutcome::Declined { .. }));
    assert_eq!(look_up(3).await, LookupOutcome::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn refunds_never_exceed_their_charge() {
    let world = World::in_real_time().await;
    let stub = stub(&world);
    let gateway_ref = captured(&stub).await;
    // Thirty times a quarter, at once.
    let answers =
        join_all((1..=30).map(|no| stub.refund(refund(&gateway_ref, no, PRICE.minor / 4)))).await;
    let refunded = answers
        .iter()
        .filter(|a| matches!(a, RefundOutcome::Refunded { .. }))
        .count();
    assert_eq!(refunded, 4);
    let ledger = stub.charges().await.unwrap();
    assert_eq!(ledger[0].refunded, PRICE.minor);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_equal_refunds_at_once_are_one() {
    let world = World::in_real_time().await;
    let stub = stub(&world);
    let gateway_ref = captured(&stub).await;
    let answers =
        join_all((0..50).map(|_| stub.refund(refund(&gateway_ref, 1, PRICE.minor)))).await;
    assert!(
        answers.iter().all(|answer| *answer == answers[0]),
        "{answers:?}"
    );
    assert!(matches!(answers[0], RefundOutcome::Refunded { .. }));
    assert_eq!(
        world
            .number("select count(*) from stub_gateway.refunds")
            .await,
        1
    );
}

#[tokio::test]
async fn nothing_goes_back_that_was_not_captured() {
    let world = World::in_real_time().await;
    let stub = stub(&world);
    stub.charge(charge(1, "declined")).await;
    let reference: String = sqlx::query_scalar("select reference::text from stub_gateway.charges")
        .fetch_one(&world.owner)
        .await
        .unwrap();
    for gateway_ref in [
        reference.as_str(),
        "00000000-0000-0000-0000-000000000000",
        "no uuid",
    ] {
        let answer = stub.refund(refund(gateway_ref, 1, 1)).await;
        assert!(
            matches!(answer, RefundOutcome::Rejected { .. }),
            "{gateway_ref}: {answer:?}"
        );
    }
}
