//! The house keeps its shape: arrows between crates, one copy of the big packages, licences, banned names, who knows
//! which table.
//!
//! Reads `cargo metadata`, so what is checked is what cargo builds.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod migrations;
mod ports;
mod signs;
mod tables;

use std::collections::{BTreeMap, BTreeSet};

use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, PackageId};

/// Which of our crates each of our crates may name. Everything else is refused.
const ARROWS: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("journal", &["domain"]),
    ("projections", &["domain", "journal"]),
    ("processes", &["domain", "journal"]),
    ("api", &["domain", "journal", "projections"]),
    (
        "cli",
        &[
            "api",
            "domain",
            "journal",
            "local-postgres",
            "processes",
            "projections",
        ],
    ),
    ("local-postgres", &[]),
    (
        "simulation",
        &["domain", "journal", "processes", "projections"],
    ),
    (
        "bench",
        &[
            "domain",
            "journal",
            "local-postgres",
            "processes",
            "projections",
        ],
    ),
];

/// What tests may name besides: a database of their own, and the parts that an end-to-end test puts together.
const TEST_ARROWS: &[(&str, &[&str])] = &[
    ("journal", &["local-postgres"]),
    ("projections", &["local-postgres"]),
    ("processes", &["local-postgres"]),
    ("api", &["local-postgres", "processes"]),
    ("simulation", &["local-postgres"]),
];

/// Packages that only these crates may name.
const ONLY_IN: &[(&str, &[&str])] = &[
    (
        "sqlx",
        &[
            "journal",
            "projections",
            "processes",
            "cli",
            "local-postgres",
            "bench",
            "simulation",
        ],
    ),
    ("axum", &["api"]),
    ("hyper", &["api"]),
    ("reqwest", &["processes"]),
    ("postgres-es", &["journal"]),
    ("anyhow", &["cli", "bench"]),
    ("clap", &["cli"]),
    ("zip", &["local-postgres"]),
];

/// What the pure crate may name.
const DOMAIN_MAY_NAME: &[&str] = &[
    "async-trait",
    "cqrs-es",
    "jiff",
    "serde",
    "serde_json",
    "serde_path_to_error",
    "thiserror",
    "uuid",
];

/// One version each.
const ONE_VERSION: &[&str] = &[
    "axum",
    "cqrs-es",
    "http",
    "hyper",
    "jiff",
    "postgres-es",
    "reqwest",
    "ring",
    "rustls",
    "serde",
    "serde_json",
    "sqlx",
    "sqlx-core",
    "thiserror",
    "tokio",
    "tower-http",
    "tracing",
    "uuid",
];

/// Not in the tree at all: a second TLS stack, a second time library, a transport we do not use.
const BANNED: &[&str] = &[
    "aws-lc-rs",
    "aws-lc-sys",
    "chrono",
    "native-tls",
    "openssl",
    "time",
    "tonic",
];

const LICENCES: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "ISC",
    "MIT",
    "MIT-0",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
    "CC0-1.0",
    "BSL-1.0",
    "CDLA-Permissive-2.0",
];

fn host() -> String {
    let rustc = std::process::Command::new("rustc")
        .arg("-vV")
        .output()
        .unwrap();
    let said = String::from_utf8(rustc.stdout).unwrap();
    said.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_owned()
}

fn metadata() -> Metadata {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../Cargo.toml");
    // Packages of other platforms were never downloaded, so only this one's are looked at.
    let platform = format!("--filter-platform={}", host());
    let options = ["--locked".to_owned(), "--offline".to_owned(), platform];
    MetadataCommand::new()
        .manifest_path(root)
        .other_options(options.to_vec())
        .exec()
        .unwrap()
}

fn allowed(table: &[(&str, &[&'static str])], name: &str) -> BTreeSet<&'static str> {
    let row = table.iter().find(|(crate_name, _)| *crate_name == name);
    row.map(|(_, names)| names.iter().copied().collect())
        .unwrap_or_default()
}

#[test]
fn the_arrows_between_our_crates_are_the_drawn_ones() {
    let metadata = metadata();
    let members: BTreeSet<_> = metadata
        .workspace_packages()
        .iter()
        .map(|package| package.name.to_string())
        .collect();
    let drawn: BTreeSet<_> = ARROWS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(
        members, drawn,
        "a crate came or went: draw it here and in docs/ARCHITECTURE.md"
    );
    for package in metadata.workspace_packages() {
        let arrows = allowed(ARROWS, &package.name);
        let test_arrows = allowed(TEST_ARROWS, &package.name);
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| members.contains(&d.name))
        {
            let name = dependency.name.as_str();
            let ok = arrows.contains(name)
                || (dependency.kind == DependencyKind::Development && test_arrows.contains(name));
            assert!(ok, "{} must not name {name}", package.name);
        }
    }
}

#[test]
fn each_outside_package_is_named_only_where_it_belongs() {
    for package in metadata().workspace_packages() {
        for dependency in package
            .dependencies
            .iter()
            .filter(|d| d.kind == DependencyKind::Normal)
        {
            let name = dependency.name.as_str();
            if let Some((_, homes)) = ONLY_IN.iter().find(|(only, _)| *only == name) {
                assert!(
                    homes.contains(&package.name.as_str()),
                    "{} must not name {name}",
                    package.name
                );
            }
            if package.name.as_str() == "domain" {
                assert!(
                    DOMAIN_MAY_NAME.contains(&name),
                    "the domain is pure: it must not name {name}"
                );
            }
        }
    }
}

/// Everything that is really built or tested on some platform, not what merely stands in the lock file.
fn resolved(metadata: &Metadata) -> BTreeMap<&str, BTreeSet<String>> {
    let nodes = &metadata.resolve.as_ref().unwrap().nodes;
    let mut edges: BTreeMap<&PackageId, Vec<&PackageId>> = BTreeMap::new();
    for node in nodes {
        edges.insert(&node.id, node.dependencies.iter().collect());
    }
    let mut reached = BTreeSet::new();
    let mut open: Vec<&PackageId> = metadata.workspace_members.iter().collect();
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            open.extend(edges.get(id).into_iter().flatten());
        }
    }
    let mut versions: BTreeMap<&str, BTreeSet<String>> = BTreeMap::new();
    for package in metadata
        .packages
        .iter()
        .filter(|package| reached.contains(&package.id))
    {
        versions
            .entry(package.name.as_str())
            .or_default()
            .insert(package.version.to_string());
    }
    versions
}

#[test]
fn the_big_packages_are_there_once() {
    let metadata = metadata();
    let versions = resolved(&metadata);
    for name in ONE_VERSION {
        let found = versions.get(name).map_or(0, BTreeSet::len);
        assert_eq!(found, 1, "{name}: {:?}", versions.get(name));
    }
    for name in BANNED {
        assert!(!versions.contains_key(name), "{name} came into the tree");
    }
}

#[test]
fn every_licence_is_a_permissive_one_we_know() {
    let metadata = metadata();
    let reached = resolved(&metadata);
    for package in metadata
        .packages
        .iter()
        .filter(|p| reached.contains_key(p.name.as_str()))
    {
        let expression = package
            .license
            .clone()
            .unwrap_or_default()
            .replace('/', " OR ");
        let ok = expression.split(" OR ").any(|choice| {
            choice
                .trim_matches(['(', ')'])
                .split(" AND ")
                .all(|name| LICENCES.contains(&name.trim().trim_matches(['(', ')'])))
        });
        assert!(
            ok,
            "{} {} is licensed {expression:?}",
            package.name, package.version
        );
    }
}

#[test]
fn there_is_exactly_one_binary() {
    let metadata = metadata();
    let binaries: Vec<_> = metadata
        .workspace_packages()
        .iter()
        .flat_map(|package| &package.targets)
        .filter(|target| target.is_bin())
        .map(|target| target.name.clone())
        .collect();
    assert_eq!(
        binaries,
        ["spacerent"],
        "`cargo run -- dev` must know what to run"
    );
}
