//! Questions take half of the connections at most, so that who takes commands finds one.

use futures::future::join_all;
use journal::schema::connect;
use tokio::task::JoinSet;

use crate::force::until;
use crate::sql;
use crate::stage::Stage;

const CONNECTIONS: u32 = 4;
const WAITING: &str = "select count(*) from pg_locks where locktype = 'advisory' and not granted
                       and database = (select oid from pg_database where datname = current_database())";

#[tokio::test]
async fn however_many_ask_there_are_connections_for_those_who_command() {
    let mut stage = Stage::open().await;
    let connections = connect(stage.url(), CONNECTIONS).unwrap();
    let questions = connections.for_questions();
    // Each question is as slow as we like.
    sql::run(&mut stage.owner, "select pg_advisory_lock(7)").await;
    let mut asked = JoinSet::new();
    for _ in 0..CONNECTIONS {
        let questions = questions.clone();
        asked.spawn(async move {
            let question = sqlx::query("select pg_advisory_xact_lock_shared(7)");
            question.execute(&questions).await
        });
    }
    until("half of them are asked", async || {
        sql::number(&mut stage.owner, WAITING).await >= i64::from(CONNECTIONS / 2)
    })
    .await;
    let commands = (0..CONNECTIONS / 2).map(|_| sqlx::query("select 1").execute(&connections));
    for command in join_all(commands).await {
        command.unwrap();
    }
    let half = i64::from(CONNECTIONS / 2);
    assert_eq!(sql::number(&mut stage.owner, WAITING).await, half);
    sql::run(&mut stage.owner, "select pg_advisory_unlock(7)").await;
    for question in asked.join_all().await {
        question.unwrap();
    }
}
