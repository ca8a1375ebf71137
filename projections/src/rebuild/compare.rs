//! Reads two generations side by side, in the order of keys.

use std::cmp::Ordering;
use std::future::ready;

use futures::TryStreamExt;
use futures::stream::BoxStream;
use journal::StoreError;
use sqlx::PgConnection;

use super::report::Report;
use super::witness::Sum;
use crate::cell::Cell;
use crate::projection::{Key, Table};
use crate::store::Statements;

/// A connection, and the schema of the generation to read through it.
pub(super) struct Side<'c> {
    pub(super) connection: &'c mut PgConnection,
    pub(super) schema: String,
}

/// A row with its key.
type Keyed = (Key, Vec<Cell>);

/// Sums up the rebuilt rows of a table, and reports every row that the live side has not, has otherwise, or has
/// alone. Without a live side there is nothing to report.
pub(super) async fn compare(
    table: &'static Table,
    live: Option<&mut Side<'_>>,
    rebuilt: &mut Side<'_>,
    report: &mut Report,
) -> Result<Sum, StoreError> {
    let statements = Statements::new(table, &rebuilt.schema);
    let mut rebuilt = keyed(table, statements.scan(rebuilt.connection));
    let mut sum = Sum::default();
    let Some(live) = live else {
        while let Some((_, cells)) = rebuilt.try_next().await? {
            sum.add(&cells);
        }
        return Ok(sum);
    };
    let live_statements = Statements::new(table, &live.schema);
    let mut live = keyed(table, live_statements.scan(live.connection));
    let (mut old, mut new) = (live.try_next().await?, rebuilt.try_next().await?);
    loop {
        match order(old.as_ref(), new.as_ref()) {
            None => return Ok(sum),
            Some(Ordering::Less) => {
                if let Some((key, cells)) = &old {
                    report.add_difference(table, *key, Some(cells), None);
                }
                old = live.try_next().await?;
            }
            Some(Ordering::Greater) => {
                if let Some((key, cells)) = &new {
                    report.add_difference(table, *key, None, Some(cells));
                    sum.add(cells);
                }
                new = rebuilt.try_next().await?;
            }
            Some(Ordering::Equal) => {
                if let (Some((key, was)), Some((_, is))) = (&old, &new) {
                    if was != is {
                        report.add_difference(table, *key, Some(was), Some(is));
                    }
                    sum.add(is);
                }
                old = live.try_next().await?;
                new = rebuilt.try_next().await?;
            }
        }
    }
}

/// Which of two heads comes first; `None` when both sides are at their end.
fn order(old: Option<&Keyed>, new: Option<&Keyed>) -> Option<Ordering> {
    match (old, new) {
        (None, None) => None,
        (Some(_), None) => Some(Ordering::Less),
        (None, Some(_)) => Some(Ordering::Greater),
        (Some((old, _)), Some((new, _))) => Some(old.cmp(new)),
    }
}

fn keyed<'c>(
    table: &'static Table,
    rows: BoxStream<'c, Result<Vec<Cell>, StoreError>>,
) -> BoxStream<'c, Result<Keyed, StoreError>> {
    Box::pin(rows.and_then(move |cells| {
        let key = table.key_of(&cells).map_err(StoreError::from);
        ready(key.map(|key| (key, cells)))
    }))
}
