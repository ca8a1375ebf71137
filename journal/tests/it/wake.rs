//! Wake-ups: an append here or in another process is a reason to look, and nothing hangs on it.

use std::sync::Arc;

use journal::notify;
use journal::runtime::Tokio;
use tokio_util::sync::CancellationToken;

use crate::force::{until, within};
use crate::samples::booked;
use crate::sql;
use crate::stage::{Stage, append_one, journal};

#[tokio::test]
async fn an_append_wakes_this_process_and_the_others() {
    let mut stage = Stage::open().await;
    let (here, there) = (stage.journal.clone(), journal(stage.url()));
    let (mut woken_here, mut woken_there) = (here.wake(), there.wake());
    let stop = CancellationToken::new();
    let test = async {
        let listening = "select count(*) from pg_stat_activity
                         where datname = current_database() and query ilike 'listen%'";
        until("both listen", async || {
            sql::number(&mut stage.owner, listening).await == 2
        })
        .await;
        append_one(&here, booked(1, 7)).await.unwrap();
        within("woken here", woken_here.woken()).await;
        within("woken there", woken_there.woken()).await;
        // A repeat stores nothing, so it wakes nobody.
        append_one(&here, booked(1, 7)).await.unwrap();
        let woken = futures::future::FutureExt::now_or_never(woken_here.woken());
        assert!(woken.is_none());
        stop.cancel();
    };
    let runtime = Arc::new(Tokio);
    tokio::join!(
        notify::run(here.clone(), runtime.clone(), stop.clone()),
        notify::run(there.clone(), runtime, stop.clone()),
        test,
    );
}
