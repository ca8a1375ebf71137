//! Pages: a part of the rows, in an order, with the number of all of them.

use journal::StoreError;
use serde::Serialize;

use super::names;
use super::source::{Dialect, Source, Value};
use crate::cell::{Cell, Value as _};
use crate::projection::{Column, Row};

/// How many rows a page holds at most.
pub const SIZE_MAX: u64 = 1_000;
/// How many rows a page holds when nobody says.
pub const SIZE_DEFAULT: u64 = 20;

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
pub(super) struct Conditions {
    dialect: Dialect,
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    /// None yet, for a store of this dialect.
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            sql: vec![],
            values: vec![],
        }
    }

    /// A number must be this one.
    pub(super) fn equal(&mut self, column: &str, number: i64) {
        let parameter = self.parameter(Value::Number(number));
        self.sql.push(format!("{column} = {parameter}"));
    }

    /// One of the columns must hold one of these words.
    pub(super) fn one_of(&mut self, columns: &[&str], words: Vec<String>) {
        let parameter = self.parameter(Value::Words(words));
        let tests: Vec<_> = columns
            .iter()
            .map(|column| self.dialect.is_one_of(column, &parameter))
            .collect();
        self.sql.push(format!("({})", tests.join(" or ")));
    }

    fn parameter(&mut self, value: Value) -> String {
        self.values.push(value);
        format!("${}", self.values.len() + 2)
    }

    fn to_sql(&self) -> String {
        if self.sql.is_empty() {
            String::new()
        } else {
            format!(" where {}", self.sql.join(" and "))
        }
    }
}

/// The page of the rows that meet the conditions, and how many of these there are.
pub(super) async fn ask<R: Row>(
    source: &Source<'_>,
    conditions: Conditions,
    request: &PageRequest,
) -> Result<Paged<R>, StoreError> {
    let sql = statement::<R>(&conditions, request);
    let mut parameters = vec![
        Value::Number(request.limit()),
        Value::Number(request.offset()),
    ];
    parameters.extend(conditions.values);
    let mut columns = vec![Column::of::<i64>("total")];
    columns.extend(R::COLUMNS);
    read(source.ask(&sql, parameters, &columns).await?)
}

/// One statement for rows and total: the total stands in each row, and in a row of its own when the page is
/// past the end.
fn statement<R: Row>(conditions: &Conditions, request: &PageRequest) -> String {
    let dialect = conditions.dialect;
    let (columns, order) = (names(R::COLUMNS), order::<R>(dialect, &request.sort));
    let from = format!("{}{}", dialect.table::<R>(), conditions.to_sql());
    format!(
        "select counted.total, page.* from (select count(*) as total from {from}) counted
         left join (
             select {columns} from {from} order by {order} limit $1 offset $2
         ) page on true
         order by {order}"
    )
}

/// Known columns in the order of the request, then the key, so that no two rows are equal.
fn order<R: Row>(dialect: Dialect, sort: &[(String, bool)]) -> String {
    let mut order: Vec<(&Column, bool)> = Vec::new();
    let known = sort
        .iter()
        .filter_map(|(wanted, down)| Some((column::<R>(wanted)?, *down)));
    let key = R::KEY
        .iter()
        .filter_map(|name| Some((column::<R>(name)?, false)));
    for (column, down) in known.chain(key) {
        // What was said of a column before decides; again it would change nothing.
        if !order.iter().any(|(before, _)| before == &column) {
            order.push((column, down));
        }
    }
    let order = order.into_iter();
    let order: Vec<_> = order
        .map(|(column, down)| dialect.order(column, down))
        .collect();
    order.join(", ")
}

fn column<R: Row>(name: &str) -> Option<&'static Column> {
    R::COLUMNS.iter().find(|column| column.name == name)
}

fn read<R: Row>(answer: Vec<Vec<Cell>>) -> Result<Paged<R>, StoreError> {
    let mut total = 0;
    let mut rows = Vec::with_capacity(answer.len());
    for mut cells in answer {
        let row = cells.split_off(1);
        total = i64::from_cell(cells.pop().unwrap_or(Cell::Null))?;
        // Past the end there is the total alone; a row has its key at least.
        if row.iter().any(|cell| *cell != Cell::Null) {
            rows.push(R::from_cells(row)?);
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
        order::<BookRow>(Dialect::Postgres, &sort)
    }

    #[test]
    fn the_key_decides_in_the_end() {
        assert_eq!(order_by(&[]), "bookid");
        assert_eq!(order_by(&[("userid", true)]), "userid desc, bookid");
        assert_eq!(order_by(&[("bookid", true)]), "bookid desc");
    }

    #[test]
    fn a_column_that_is_none_is_ignored_and_never_reaches_sql() {
        assert_eq!(order_by(&[("userid; drop table events", false)]), "bookid");
        assert_eq!(
            order_by(&[("BOOKID", false), ("status", false)]),
            "status collate \"C\", bookid"
        );
    }

    #[test]
    fn each_store_is_told_what_the_other_does_by_itself() {
        let sort = [("spacename".to_owned(), true), ("userid".to_owned(), false)];
        let order = |dialect| order::<BookRow>(dialect, &sort);
        assert_eq!(
            order(Dialect::Postgres),
            "spacename collate \"C\" desc, userid, bookid"
        );
        assert_eq!(
            order(Dialect::Sqlite),
            "spacename desc, userid nulls last, bookid"
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
