//! `cargo bench -p bench --bench append`: how dear a booking is beside the barest commit, on a server of its
//! own with fsync on. A figure above 1 is faster than the baseline, commit for commit.

#![allow(
    clippy::float_arithmetic,
    clippy::cast_precision_loss,
    clippy::print_stdout,
    reason = "a benchmark prints ratios"
)]

use std::time::Duration;

use local_postgres::Profile;
use local_postgres::testing::Cluster;

const ROUNDS: usize = 3;
const EACH: usize = 256;
const GROUP: usize = 64;

fn main() -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run())
}

async fn run() -> anyhow::Result<()> {
    let cluster = Cluster::start(Profile::Durable).await?;
    cluster.server().create_database_if_missing("bench").await?;
    let url = cluster.url("bench");
    journal::schema::migrate(&url).await?;
    println!(
        "{:>8} {:>24} {:>24} {:>24}",
        "clients", "one insert a commit", "one booking a call", "64 bookings a call"
    );
    for clients in [1, 16, 64] {
        let width = u32::try_from(clients)?;
        let journal = bench::journal(&url, width)?;
        let owner = sqlx::postgres::PgPoolOptions::new()
            .max_connections(width)
            .connect(&url)
            .await?;
        for _ in 0..ROUNDS {
            let base = rate(
                bench::one_insert_a_commit(&owner, clients, EACH).await?,
                clients * EACH,
            );
            let single = rate(
                bench::one_command_a_call(&journal, clients, EACH).await?,
                clients * EACH,
            );
            let grouped = rate(
                bench::commands_in_groups(&journal, clients, EACH, GROUP).await?,
                clients * EACH,
            );
            println!(
                "{clients:>8} {:>17.0}/s 1.00 {:>17.0}/s {:.2} {:>17.0}/s {:.2}",
                base,
                single,
                single / base,
                grouped,
                grouped / base
            );
        }
        owner.close().await;
        journal.pool().close().await;
    }
    Ok(())
}

fn rate(took: Duration, done: usize) -> f64 {
    done as f64 / took.as_secs_f64()
}
