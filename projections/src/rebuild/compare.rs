//! Reads two generations side by side, in the order of keys.
//!
//! Rows are compared as the bytes that COPY gives; only those that differ are looked into.

use std::cmp::Ordering;

use journal::StoreError;
use sqlx::PgConnection;

use super::report::Report;
use super::witness::Sum;
use crate::packed;
use crate::projection::{Key, Table};
use crate::store::{Scan, Statements};

/// A connection, and the schema of the generation to read through it.
pub(super) struct Side<'c> {
    pub(super) connection: &'c mut PgConnection,
    pub(super) schema: String,
}

/// A row with its key.
type Keyed = (Key, Vec<u8>);

/// Sums up the rows of a table.
pub(super) async fn sum_up(table: &'static Table, side: &mut Side<'_>) -> Result<Sum, StoreError> {
    let statements = Statements::new(table, &side.schema);
    let mut rows = statements.scan(side.connection).await?;
    let mut sum = Sum::default();
    while let Some(tuple) = rows.next().await? {
        sum.add(&tuple);
    }
    Ok(sum)
}

/// Sums up the rebuilt rows of a table, and reports every row that the live side has not, has otherwise, or has
/// alone.
pub(super) async fn compare(
    table: &'static Table,
    live: &mut Side<'_>,
    rebuilt: &mut Side<'_>,
    report: &mut Report,
) -> Result<Sum, StoreError> {
    let statements = Statements::new(table, &rebuilt.schema);
    let mut rebuilt = statements.scan(rebuilt.connection).await?;
    let live_statements = Statements::new(table, &live.schema);
    let mut live = live_statements.scan(live.connection).await?;
    let mut sum = Sum::default();
    let (mut old, mut new) = (
        next(table, &mut live).await?,
        next(table, &mut rebuilt).await?,
    );
    loop {
        match order(old.as_ref(), new.as_ref()) {
            None => return Ok(sum),
            Some(Ordering::Less) => {
                if let Some((key, tuple)) = &old {
                    report.add_difference(table, key, Some(tuple), None)?;
                }
                old = next(table, &mut live).await?;
            }
            Some(Ordering::Greater) => {
                if let Some((key, tuple)) = &new {
                    report.add_difference(table, key, None, Some(tuple))?;
                    sum.add(tuple);
                }
                new = next(table, &mut rebuilt).await?;
            }
            Some(Ordering::Equal) => {
                if let (Some((key, was)), Some((_, is))) = (&old, &new) {
                    if was != is {
                        report.add_difference(table, key, Some(was), Some(is))?;
                    }
                    sum.add(is);
                }
                old = next(table, &mut live).await?;
                new = next(table, &mut rebuilt).await?;
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

async fn next(table: &Table, rows: &mut Scan<'_>) -> Result<Option<Keyed>, StoreError> {
    let Some(tuple) = rows.next().await? else {
        return Ok(None);
    };
    Ok(Some((packed::key(table, &tuple)?, tuple)))
}
