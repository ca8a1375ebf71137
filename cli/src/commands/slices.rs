//! `spacerent slices`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, bail};
use journal::follow::{self, FollowerId, Layout, Part, Slice};
use journal::schema;
use journal::{Journal, StoreError};
use processes::order;
use serde::Serialize;
use sqlx::Connection;

use crate::args::SlicesArgs;
use crate::database::{self, Database, FEW, look_at_journal};
use crate::output;
use crate::settings::Settings;

/// What the server says to a login that may not change the layout.
const NOT_ALLOWED: &str = "42501";

#[derive(Serialize)]
struct List {
    followers: Vec<Layout>,
}

#[derive(Serialize)]
struct Outcome {
    /// Into how many slices it was cut.
    before: i32,
    #[serde(flatten)]
    now: Layout,
}

pub async fn run(
    settings: &Settings,
    folder: Option<PathBuf>,
    args: &SlicesArgs,
) -> anyhow::Result<ExitCode> {
    if let Some(name) = &args.name {
        refuse_others(name)?;
    }
    match args.count {
        Some(count) => cut(settings, folder, count, args.json).await?,
        None => list(settings, folder, args.json).await?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Only the saga can be cut.
fn refuse_others(name: &str) -> anyhow::Result<()> {
    let orders = order::follower_id().name;
    if projections::by_name(name).is_some() {
        bail!(
            "{name} is a read model, which is verified, switched and rolled back at one position: it is not cut; only \
             `{orders}` is"
        );
    }
    if name != orders {
        bail!("there is no follower `{name}`; only `{orders}` can be cut");
    }
    Ok(())
}

async fn list(settings: &Settings, folder: Option<PathBuf>, json: bool) -> anyhow::Result<()> {
    let followers = look_at_journal(settings, folder, async |journal| {
        Ok(journal.layouts().await?)
    })
    .await?;
    if json {
        output::json(&List { followers })?;
        return Ok(());
    }
    let rows = followers.iter().flat_map(|layout| {
        // One that never ran has no rows yet: it shows how it would.
        let parts = Slice::each_of(layout.slices).map(|slice| {
            let mut parts = layout.parts.iter();
            (slice, parts.find(|part| part.slice == slice.number()))
        });
        parts.map(|(slice, part)| row(layout, slice, part))
    });
    output::table(
        ["follower", "slice", "of", "position", "behind", "lease"],
        rows,
    )?;
    Ok(())
}

fn row(layout: &Layout, slice: Slice, part: Option<&Part>) -> [String; 6] {
    let of_part = |say: fn(&Part) -> String| part.map_or_else(|| "-".to_owned(), say);
    let is_held = part.is_some_and(|part| part.owned);
    [
        layout.name.clone(),
        slice.number().to_string(),
        slice.count().to_string(),
        of_part(|part| part.position.to_string()),
        of_part(|part| part.lag_events.to_string()),
        if is_held { "held" } else { "free" }.to_owned(),
    ]
}

/// As the owner of the tables: who runs the service cannot change how its work is shared.
async fn cut(
    settings: &Settings,
    folder: Option<PathBuf>,
    count: i32,
    json: bool,
) -> anyhow::Result<()> {
    let id = order::follower_id();
    let database = Database::open(settings, folder).await?;
    let cut = async {
        let journal = database::journal(database.connect(FEW)?);
        schema::check(journal.pool()).await?;
        let outcome = cut_now(&database, &journal, &id, count).await;
        journal.pool().close().await;
        outcome
    }
    .await;
    database.close().await?;
    let Outcome { before, now } = cut?;
    if json {
        output::json(&Outcome { before, now })?;
        return Ok(());
    }
    let from = now.parts.iter().map(|part| part.position).min();
    output::result(&if before == count {
        format!("{}: is cut into {count} already", now.name)
    } else {
        format!(
            "{}: cut into {count}, before {before}, from position {} on",
            now.name,
            from.unwrap_or(0)
        )
    })?;
    Ok(())
}

async fn cut_now(
    database: &Database,
    journal: &Journal,
    id: &FollowerId,
    count: i32,
) -> anyhow::Result<Outcome> {
    let mut owner = schema::connect_as_owner(&database.owner_url).await?;
    let before = follow::cut(&mut owner, id, count).await;
    owner.close().await.map_err(StoreError::from)?;
    let before = match before {
        Err(error) if error.sqlstate() == Some(NOT_ALLOWED) => {
            return Err(error).context("MIGRATION_DATABASE_URL must name the owner of the tables");
        }
        before => before?.with_context(|| format!("{} has no layout", id.name))?,
    };
    let layouts = journal.layouts().await?.into_iter();
    let mut its =
        layouts.filter(|layout| (&layout.name, layout.generation) == (&id.name, id.generation));
    let now = its.next().context("its layout is gone")?;
    Ok(Outcome { before, now })
}
