use super::*;

fn asked(parameters: &[(&str, &str)], unasked: Unasked) -> Asked {
    Asked::read(
        &Parameters::of(parameters),
        unasked,
        &["userid", "spacename"],
    )
}

/// Relations and addresses, as `rel address`.
fn links(asked: Asked, total: i64) -> Vec<String> {
    let page = asked.of(total);
    let links = serde_json::to_value(page.links(&Client::at("http://host"), "/books")).unwrap();
    let order = page.links(&Client::at("http://host"), "/books").0;
    let href = |rel: &str| links[rel]["href"].as_str().unwrap().to_owned();
    order
        .iter()
        .map(|(rel, _)| format!("{rel} {}", href(rel).trim_start_matches("http://host")))
        .collect()
}

#[test]
fn page_and_size_fall_back_to_what_the_seed_fell_back_to() {
    for (given, number, size) in [
        (&[][..], 0, 20),
        (&[("page", "2")], 2, 20),
        (&[("page", "2"), ("size", "5")], 2, 5),
        (&[("page", "-1")], 0, 20),
        (&[("page", "x"), ("size", "y")], 0, 20),
        (&[("size", "0")], 0, 20),
        (&[("size", "-5")], 0, 20),
        (&[("size", "1000")], 0, 1_000),
        (&[("size", "5000")], 0, 1_000),
        (&[("page", "4294967296")], 0, 20),
    ] {
        let page = asked(given, Unasked::FirstPage);
        assert_eq!((page.number, page.size), (number, size), "{given:?}");
    }
    assert_eq!(asked(&[], Unasked::Everything).size, 1_000);
    assert_eq!(asked(&[("page", "0")], Unasked::Everything).size, 20);
}

#[test]
fn a_result_of_one_page_links_only_to_itself() {
    let expected = ["self /books{?page,size,sort}"];
    for total in [0, 1, 20] {
        assert_eq!(links(asked(&[], Unasked::FirstPage), total), expected);
    }
}

#[test]
fn pages_lead_on_in_the_seeds_order() {
    let page = |number| {
        links(
            asked(&[("page", number), ("size", "1")], Unasked::FirstPage),
            3,
        )
    };
    let first = [
        "first /books?page=0&size=1",
        "self /books?page=0&size=1{&sort}",
    ];
    let middle = ["next /books?page=1&size=1", "last /books?page=2&size=1"];
    assert_eq!(page("0"), [&first[..], &middle].concat());
    let expected = [
        "first /books?page=0&size=1",
        "prev /books?page=0&size=1",
        "self /books?page=1&size=1{&sort}",
        "next /books?page=2&size=1",
        "last /books?page=2&size=1",
    ];
    assert_eq!(page("1"), expected);
    let expected = [
        "first /books?page=0&size=1",
        "prev /books?page=1&size=1",
        "self /books?page=2&size=1{&sort}",
        "last /books?page=2&size=1",
    ];
    assert_eq!(page("2"), expected);
}

#[test]
fn a_page_behind_the_last_one_leads_back() {
    let links = links(
        asked(&[("page", "9"), ("size", "2")], Unasked::FirstPage),
        3,
    );
    assert_eq!(links[1], "prev /books?page=8&size=2");
    assert!(!links.iter().any(|link| link.starts_with("next")));
}

#[test]
fn filters_stay_on_every_link_and_are_escaped() {
    let filter = [
        ("userid", "7"),
        ("spacename", "a b&c=1"),
        ("min_position", "5"),
    ];
    let links = links(asked(&filter, Unasked::Everything), 1_001);
    assert_eq!(links[0], "self /books?userid=7&spacename=a%20b%26c%3D1");
    assert_eq!(
        links[1],
        "next /books?page=1&size=1000&userid=7&spacename=a%20b%26c%3D1"
    );
}

#[test]
fn the_order_is_handed_on_and_stays_on_the_links() {
    let sort = [("sort", "userid,desc"), ("sort", "bookid"), ("size", "1")];
    let page = asked(&sort, Unasked::FirstPage);
    assert_eq!(
        page.request().sort,
        [("userid".to_owned(), true), ("bookid".to_owned(), false)]
    );
    let expected = [
        "first /books?page=0&size=1&sort=userid%2Cdesc&sort=bookid",
        "self /books?page=0&size=1&sort=userid%2Cdesc&sort=bookid",
        "next /books?page=1&size=1&sort=userid%2Cdesc&sort=bookid",
        "last /books?page=2&size=1&sort=userid%2Cdesc&sort=bookid",
    ];
    assert_eq!(links(page, 3), expected);
}

#[test]
fn an_own_link_asks_for_what_it_does_not_say_yet() {
    for (given, expected) in [
        (&[][..], "self /books{?page,size,sort}"),
        (&[("userid", "1")], "self /books?userid=1{&page,size,sort}"),
        (&[("sort", "bookid")], "self /books?sort=bookid{&page,size}"),
        (&[("size", "5")], "self /books?page=0&size=5{&sort}"),
    ] {
        assert_eq!(links(asked(given, Unasked::FirstPage), 1), [expected]);
    }
}

#[test]
fn the_page_block_is_there_where_there_are_pages() {
    assert_eq!(asked(&[], Unasked::Everything).of(5_000).block(), None);
    let block = asked(&[("size", "2")], Unasked::Everything).of(5).block();
    let expected = Block {
        size: 2,
        total_elements: 5,
        total_pages: 3,
        number: 0,
    };
    assert_eq!(block, Some(expected));
    let block = asked(&[], Unasked::FirstPage).of(0).block();
    let expected = Block {
        size: 20,
        total_elements: 0,
        total_pages: 0,
        number: 0,
    };
    assert_eq!(block, Some(expected));
}
