//! Files that are damaged, worth nothing, taken away, or somebody else's.

use std::fs::{self, OpenOptions};
use std::path::Path;

use journal::StoreError;
use projections::MypageRow;
use projections::file::{MypageFile, OpenError};

use super::{all, garbage_at, is_marked, is_right, mark, told};
use crate::shelf::{Shelf, eventually, everything};
use crate::world::World;

#[tokio::test]
async fn what_is_worth_nothing_is_made_anew() {
    type Sabotage = fn(&Path);
    let sabotages: [(&str, Sabotage); 6] = [
        ("gone", |path| fs::remove_file(path).unwrap()),
        ("empty", |path| fs::write(path, "").unwrap()),
        ("no database", |path| fs::write(path, "my notes\n").unwrap()),
        ("a damaged head", |path| garbage_at(path, 0, 200)),
        ("a damaged middle", |path| garbage_at(path, 4_096, 8_192)),
        ("cut off", |path| {
            let file = OpenOptions::new().write(true).open(path).unwrap();
            file.set_len(4_096).unwrap();
        }),
    ];
    let (world, shelf) = told().await;
    for (what, sabotage) in sabotages {
        mark(&shelf).await;
        sabotage(&shelf.path());
        is_right(&world, &shelf).await;
        assert!(!is_marked(&shelf, 1).await, "{what}");
    }
    // One page of rows, which nothing reads at the start but the check.
    mark(&shelf).await;
    let page = shelf
        .text("select rootpage || '' from sqlite_schema where name = 'timeline_1'")
        .await;
    let page: u64 = page.parse().unwrap();
    garbage_at(&shelf.path(), (page - 1) * 4_096, 4_096);
    is_right(&world, &shelf).await;
    assert!(!is_marked(&shelf, 1).await, "a damaged page");
    for sql in [
        "update generations set journal = '00000000-0000-0000-0000-000000000000'",
        "update generations set journal = 'no identity'",
        "update generations set epoch = epoch + 1",
        "update generations set position = position + 1",
        "delete from generations",
        "pragma user_version = 2",
    ] {
        mark(&shelf).await;
        shelf.run_sql(sql).await;
        is_right(&world, &shelf).await;
        assert!(!is_marked(&shelf, 1).await, "{sql}");
    }
    // And what is worth something is not.
    mark(&shelf).await;
    shelf.fill(&world).await;
    assert!(is_marked(&shelf, 1).await);
}

#[tokio::test]
async fn a_damaged_file_is_kept_aside_and_somebody_elses_is_not_touched() {
    let (world, shelf) = told().await;
    fs::write(shelf.path(), "my notes\n").unwrap();
    shelf.fill(&world).await;
    let aside = fs::read_to_string(shelf.beside(".damaged")).unwrap();
    assert_eq!(aside, "my notes\n");

    let theirs = Shelf::new();
    fs::write(theirs.path(), "").unwrap();
    theirs.run_sql("create table songs (title text)").await;
    let before = fs::read(theirs.path()).unwrap();
    let error = theirs.keep(&world.journal).await.err().unwrap();
    assert!(matches!(error, OpenError::NotOurs(_)), "{error}");
    assert_eq!(fs::read(theirs.path()).unwrap(), before);
}

#[tokio::test]
async fn a_place_where_no_file_can_be_is_said() {
    let (world, shelf) = (World::new().await, Shelf::new());
    fs::create_dir(shelf.path()).unwrap();
    let error = shelf.keep(&world.journal).await.err().unwrap();
    assert!(error.to_string().ends_with("it is no file"), "{error}");
    let nowhere = shelf.path().join("no/such/folder/file");
    let error = MypageFile::open(&nowhere, &world.journal).await.err();
    assert!(matches!(error, Some(OpenError::Disk { .. })), "{error:?}");
}

#[tokio::test]
async fn nobody_else_may_have_it() {
    let (world, shelf) = told().await;
    let kept = shelf.keep(&world.journal).await.unwrap();
    // Not by another name either.
    let link = shelf.beside(".link");
    std::os::unix::fs::symlink(shelf.path(), &link).unwrap();
    for path in [shelf.path(), link] {
        let error = MypageFile::open(&path, &world.journal).await.err().unwrap();
        assert!(matches!(error, OpenError::Taken(_)), "{error}");
        assert_eq!(error.to_string().lines().count(), 1);
    }
    kept.caught_up(&world).await;
    kept.stop().await;
    is_right(&world, &shelf).await;
    // Personal data is in it.
    use std::os::unix::fs::PermissionsExt;
    let mode = fs::metadata(shelf.path()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // What was closed in order is all in one file.
    let log = fs::metadata(shelf.beside("-wal"));
    assert!(log.is_ok_and(|log| log.len() == 0) || !shelf.beside("-wal").exists());
}

#[tokio::test]
async fn a_file_that_is_damaged_or_taken_away_while_it_is_read_is_made_anew() {
    let (world, shelf) = told().await;
    let kept = shelf.keep(&world.journal).await.unwrap();
    kept.caught_up(&world).await;
    let sabotages: [fn(&Path); 2] = [
        |path| {
            let length = fs::metadata(path).unwrap().len();
            garbage_at(path, 0, usize::try_from(length).unwrap());
        },
        |path| fs::remove_file(path).unwrap(),
    ];
    for sabotage in sabotages {
        mark(&shelf).await;
        // What is in the log is not read from the file.
        shelf.run_sql("pragma wal_checkpoint(truncate)").await;
        sabotage(&shelf.path());
        eventually("it is not made anew", async || {
            match all(&kept.models).await {
                Ok(_) => {
                    let found = kept.models.find::<MypageRow>(domain::BookId(1)).await;
                    found.is_ok_and(|row| row.is_some_and(|row| row.amount != 7))
                }
                // Whoever asks meanwhile is told to come again.
                Err(error) => {
                    assert!(matches!(error, StoreError::File(_)), "{error}");
                    false
                }
            }
        })
        .await;
        kept.caught_up(&world).await;
        let (ours, theirs) = (
            everything(&kept.models).await,
            everything(&world.models).await,
        );
        assert_eq!(ours, theirs);
    }
    kept.stop().await;
}
