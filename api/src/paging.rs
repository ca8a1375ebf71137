//! Pages of a collection: what a client may ask for, and the links that lead on.
//!
//! `page` counts from 0, `size` is 20 unless said otherwise and at most [`SIZE_MAX`]; what cannot be used falls
//! back to the default, as in the seed. `/mypages` had no pages in the seed: without being asked it shows as
//! many rows as a page may have and a link to the rest.

use std::fmt::Write;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use projections::{PageRequest, SIZE_DEFAULT, SIZE_MAX};
use serde::Serialize;

use crate::client::Client;
use crate::hal::{Link, Links};
use crate::input::Parameters;

/// How a collection is shown to somebody who asks for no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unasked {
    /// The first page of the usual size.
    FirstPage,
    /// As much as one page may hold, without a page block.
    Everything,
}

/// The page that is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    /// Which, from 0.
    pub(crate) number: u64,
    /// How many rows.
    pub(crate) size: u64,
    /// Columns to order by, and whether downwards.
    sort: Vec<(String, bool)>,
    /// Whether a client may say in which order.
    any_order: bool,
    given: bool,
    unasked: Unasked,
    /// The parameters that narrow and order the collection, kept on every link: `&userid=1…`.
    kept: String,
}

impl Asked {
    /// The page of a collection that has one order and large items, at most `most` of them.
    pub(crate) fn in_one_order(parameters: &Parameters, most: u64) -> Self {
        let asked = Self::read(parameters, Unasked::FirstPage, &[]);
        Self {
            size: asked.size.min(most),
            sort: vec![],
            any_order: false,
            kept: String::new(),
            ..asked
        }
    }

    /// The page that `parameters` ask for; those named in `filters` stay on the links.
    pub(crate) fn read(parameters: &Parameters, unasked: Unasked, filters: &[&str]) -> Self {
        // As many as the seed's numbers could be.
        let number = |name| parameters.get(name)?.parse::<u32>().ok().map(u64::from);
        let given = parameters.get("page").is_some() || parameters.get("size").is_some();
        let default = match unasked {
            Unasked::Everything if !given => SIZE_MAX,
            _ => SIZE_DEFAULT,
        };
        let mut kept = String::new();
        for name in filters.iter().chain(&["sort"]) {
            for value in parameters.all(name) {
                // Writing to a string cannot fail.
                let _ = write!(kept, "&{name}={}", escaped(value));
            }
        }
        Self {
            number: number("page").unwrap_or(0),
            size: number("size")
                .filter(|size| *size > 0)
                .unwrap_or(default)
                .min(SIZE_MAX),
            sort: parameters.all("sort").map(order).collect(),
            any_order: true,
            given,
            unasked,
            kept,
        }
    }

    /// The same, as read models are asked.
    pub(crate) fn request(&self) -> PageRequest {
        PageRequest {
            page: self.number,
            size: self.size,
            sort: self.sort.clone(),
        }
    }

    /// The page, once it is known how many rows there are in all.
    pub(crate) fn of(self, total: i64) -> Page {
        Page {
            asked: self,
            total: u64::try_from(total).unwrap_or(0),
        }
    }
}

/// A page of a collection of a known size.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Page {
    asked: Asked,
    total: u64,
}

/// The block that Spring's clients read.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Block {
    size: u64,
    total_elements: u64,
    total_pages: u64,
    number: u64,
}

/// `bookid,desc` as a column and its direction.
fn order(text: &str) -> (String, bool) {
    match text.split_once(',') {
        Some((column, direction)) => (column.to_owned(), direction.eq_ignore_ascii_case("desc")),
        None => (text.to_owned(), false),
    }
}

impl Page {
    fn pages(&self) -> u64 {
        self.total.div_ceil(self.asked.size)
    }

    /// The page block, unless the collection is shown without pages.
    pub(crate) fn block(&self) -> Option<Block> {
        let block = Block {
            size: self.asked.size,
            total_elements: self.total,
            total_pages: self.pages(),
            number: self.asked.number,
        };
        (self.asked.given || self.asked.unasked == Unasked::FirstPage).then_some(block)
    }

    /// First, prev, self, next and last of the collection at `path`, where there is more than one page.
    pub(crate) fn links(&self, client: &Client, path: &str) -> Links {
        let (number, pages) = (self.asked.number, self.pages());
        let to = |number: u64| Link::to(client.address(&self.path(path, number)));
        let whole = self.block().is_none();
        let mut links = Vec::new();
        if pages > 1 && !whole {
            links.push(("first", to(0)));
        }
        if number > 0 {
            links.push(("prev", to(number - 1)));
        }
        links.push(("self", self.this(client, path)));
        if number + 1 < pages {
            links.push(("next", to(number + 1)));
        }
        if pages > 1 && !whole {
            links.push(("last", to(pages - 1)));
        }
        Links(links)
    }

    fn path(&self, path: &str, number: u64) -> String {
        format!(
            "{path}?page={number}&size={}{}",
            self.asked.size, self.asked.kept
        )
    }

    /// The page's own link; collections that are always paged say which parameters they take besides.
    fn this(&self, client: &Client, path: &str) -> Link {
        let Asked {
            given,
            unasked,
            kept,
            sort,
            any_order,
            ..
        } = &self.asked;
        let address = client.address(&if *given {
            self.path(path, self.asked.number)
        } else {
            format!("{path}{}", kept.replacen('&', "?", 1))
        });
        let open = ["page,size", "sort"];
        let open = match (given, *any_order && sort.is_empty()) {
            (false, true) => open.join(","),
            (false, false) => open[0].to_owned(),
            (true, true) => open[1].to_owned(),
            (true, false) => String::new(),
        };
        if *unasked == Unasked::Everything || open.is_empty() {
            return Link::to(address);
        }
        let mark = if address.contains('?') { '&' } else { '?' };
        Link::template(format!("{address}{{{mark}{open}}}"))
    }
}

/// What stands as it is in a part of an address: letters, digits, and what RFC 3986 reserves nowhere.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// A name or a value, written so that it can stand in an address. A space is `%20`: a plus is one in forms only.
pub(crate) fn escaped(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, UNRESERVED)
}

#[cfg(test)]
#[path = "paging_tests.rs"]
mod tests;
