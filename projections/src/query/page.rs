//! Pages: a part of the rows, in an order, with the number of all of them.

use journal::StoreError;
use serde::Serialize;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::names;
use crate::projection::Row;
use crate::store;

/// How many rows a page holds at most.
pub const SIZE_MAX: u64 = 1_000;
/// How many rows a page holds when nobody says.
pub(super) const SIZE_DEFAULT: u64 = 20;

/// Which page of a collection, and in which order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// Counted from 0.
    pub page: u64,
    /// Rows on a page; taken as 1 when less, as 1,000 when more.
    pub size: u64,
    /// Columns to sort by, and whether downwards. Unknown ones are ignored; the key comes last.
    pub sort: Vec<(String, bool)>,
}

impl Default for PageRequest {
    fn default() -> Self {
        Self {
            page: 0,
            size: SIZE_DEFAULT,
            sort: vec![],
        }
    }
}

impl PageRequest {
    pub(super) fn limit(&self) -> i64 {
        i64::try_from(self.size.clamp(1, SIZE_MAX)).unwrap_or(i64::MAX)
    }

    pub(super) fn offset(&self) -> i64 {
        let offset = self.page.saturating_mul(self.size.clamp(1, SIZE_MAX));
        i64::try_from(offset).unwrap_or(i64::MAX)
    }
}

/// A page of rows.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Paged<T> {
    /// The rows, in the order that was asked for.
    pub rows: Vec<T>,
    /// How many there are on all pages, at the same moment.
    pub total: i64,
}

/// What a row must be to be on a page. Parameters count from `$3`: limit and offset come first.
#[derive(Debug, Default)]
pub(super) struct Conditions {
    sql: Vec<String>,
    pub(super) values: Vec<Value>,
}

/// A parameter.
#[derive(Debug)]
pub(super) enum Value {
    Number(i64),
    Words(Vec<String>),
}

impl Conditions {
    /// Adds a condition; `condition` is given the parameter's name.
    pub(super) fn and(&mut self, value: Value, condition: impl FnOnce(&str) -> String) {
        self.values.push(value);
        let parameter = format!("${}", self.values.len() + 2);
        self.sql.push(condition(&parameter));
    }

    fn to_sql(&self) -> String {
        if self.sql.is_empty() {
            String::new()
        } else {
            format!(" where {}", self.sql.join(" and "))
        }
    }
}

/// One statement for rows and total: the total stands in each row, and in a row of its own when the page is
/// past the end.
pub(super) fn statement<R: Row>(conditions: &Conditions, request: &PageRequest) -> String {
    let (columns, order) = (names(R::COLUMNS), order::<R>(&request.sort));
    let from = format!("{}.{}{}", R::SCHEMA, R::TABLE, conditions.to_sql());
    format!(
        "select total.rows, page.* from (select count(*) as rows from {from}) total
         left join lateral (
             select {columns} from {from} order by {order} limit $1 offset $2
         ) page on true
         order by {order}"
    )
}

/// Known columns in the order of the request, then the key, so that no two rows are equal.
fn order<R: Row>(sort: &[(String, bool)]) -> String {
    let mut order: Vec<String> = Vec::new();
    let known = sort.iter().filter_map(|(wanted, down)| {
        let column = R::COLUMNS.iter().find(|column| column.name == wanted)?;
        Some(format!(
            "{}{}",
            column.name,
            if *down { " desc" } else { "" }
        ))
    });
    for column in known.chain(R::KEY.iter().map(ToString::to_string)) {
        if !order.contains(&column) {
            order.push(column);
        }
    }
    order.join(", ")
}

pub(super) fn read<R: Row>(answer: &[PgRow]) -> Result<Paged<R>, StoreError> {
    let total = match answer.first() {
        Some(row) => row.try_get(0)?,
        None => 0,
    };
    let mut rows = Vec::with_capacity(answer.len());
    let key = R::KEY.first().copied().unwrap_or_default();
    for row in answer {
        // Past the end there is the total alone.
        if row.try_get::<Option<i64>, _>(key)?.is_some() {
            rows.push(R::from_cells(store::read(row, R::COLUMNS, 1)?)?);
        }
    }
    Ok(Paged { rows, total })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::BookRow;

    fn order_by(sort: &[(&str, bool)]) -> String {
        let sort: Vec<_> = sort
            .iter()
            .map(|(name, down)| ((*name).to_owned(), *down))
            .collect();
        order::<BookRow>(&sort)
    }

    #[test]
    fn the_key_decides_in_the_end() {
        assert_eq!(order_by(&[]), "bookid");
        assert_eq!(order_by(&[("userid", true)]), "userid desc, bookid");
        assert_eq!(order_by(&[("bookid", true)]), "bookid desc, bookid");
    }

    #[test]
    fn a_column_that_is_none_is_ignored_and_never_reaches_sql() {
        assert_eq!(order_by(&[("userid; drop table events", false)]), "bookid");
        assert_eq!(
            order_by(&[("BOOKID", false), ("status", false)]),
            "status, bookid"
        );
    }

    #[test]
    fn a_page_holds_at_least_one_row_and_at_most_a_thousand() {
        let sized = |size| PageRequest {
            page: 2,
            size,
            ..PageRequest::default()
        };
        assert_eq!((sized(0).limit(), sized(0).offset()), (1, 2));
        assert_eq!(
            (sized(5_000).limit(), sized(5_000).offset()),
            (1_000, 2_000)
        );
        let far = PageRequest {
            page: u64::MAX,
            ..PageRequest::default()
        };
        assert_eq!(far.offset(), i64::MAX);
    }
}
