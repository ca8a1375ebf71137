use crate::world::World;
use projections::rebuild::Goal;

#[tokio::test]
async fn perf() {
    let world = World::new().await;
    world.run_sql(r#"
        alter table events disable trigger all;
        insert into events (aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata)
        select t, b::text, s, e, '1', p, '{"occurred_at":"2026-11-22T08:40:01.123456Z","correlation_id":"journey","actor_type":"customer","actor_id":"1"}'
        from generate_series(1, 20000) b, lateral (values
          ('Book', 1, 'Booked', jsonb_build_object('type','Booked','bookid',b,'userid',b%1000,'spacename','numberone','status','booking','amount',10000,'currency','KRW')),
          ('Payment', 1, 'PaymentRequested', jsonb_build_object('type','PaymentRequested','payid',b,'bookid',b,'userid',b%1000,'spacename','numberone','amount',10000,'currency','KRW','charge_no',1,'idempotency_key','k')),
          ('Payment', 2, 'Approved', jsonb_build_object('type','Approved','payid',b,'bookid',b,'userid',b%1000,'spacename','numberone','amount',10000,'currency','KRW','charge_no',1,'gateway_ref','k','status','success-pay')),
          ('Payment', 3, 'PointsAccrued', jsonb_build_object('type','PointsAccrued','payid',b,'userid',b%1000,'points',100)),
          ('Space', 1, 'Registered', jsonb_build_object('type','Registered','payid',b,'bookid',b,'spaceid',b,'userid',b%1000,'spacename','numberone','status','success-register')),
          ('Book', 2, 'BookConfirmed', jsonb_build_object('type','BookConfirmed','bookid',b,'status','success-register'))
        ) v(t, s, e, p) order by b;
    "#).await;
    for name in projections::NAMES {
        let r = world.replay(name, Goal::Switch).await.unwrap();
        println!("{name}: {} events {} rows {} s {}/s", r.events, r.rows, r.seconds, r.events_per_second);
        assert_eq!(world.text("select count(*)::text from parked").await, "0");
    }
    for name in projections::NAMES {
        let r = world.replay(name, Goal::Switch).await.unwrap();
        println!("{name}: {} events {} rows {} s {}/s", r.events, r.rows, r.seconds, r.events_per_second);
    }
}
