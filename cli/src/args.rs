//! The command line, as `--help` shows it.

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// The booking backend that keeps what happened: spaces, payments, points, live traces.
#[derive(Debug, Parser)]
#[command(version, about, max_term_width = 100)]
#[command(after_help = "Settings are environment variables; docs/operations.md lists them.\n\
    Operator commands use DATABASE_URL, or else the local server of --data-dir.")]
pub struct Args {
    /// Folder of the local server [default: the XDG data folder; as root /var/lib/spacerent]
    #[arg(long, global = true, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run everything for development: a local Postgres, migrations, every role, all five ports
    #[command(after_help = "Example: spacerent dev\n\
        then:    http POST http://localhost:8081/books userid=1 spacename=numberone status=booking")]
    Dev {
        /// Start with an empty database (local server only)
        #[arg(long)]
        fresh: bool,
    },
    /// Run roles for production; needs DATABASE_URL and a migrated database
    #[command(after_help = "Example: DATABASE_URL=postgresql://app@db/spacerent spacerent serve --role book,payment")]
    Serve {
        /// Roles of this process, separated by commas [default: all]
        #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLE")]
        role: Vec<Role>,
    },
    /// Bring the database to the shape of this program; safe to run twice
    #[command(after_help = "Example: MIGRATION_DATABASE_URL=postgresql://owner@db/spacerent spacerent migrate")]
    Migrate,
    /// Say how far everything is: head, watermark, open hole, followers, parked events, jobs
    #[command(after_help = "Example: spacerent status --json | jq .followers")]
    Status {
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Rebuild a read model beside the live one, verify it, and switch to it
    #[command(after_help = "Example: spacerent replay mypage")]
    Replay {
        /// Which read model: books, payments, spaces, mypage, points
        name: String,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Print one libpq URI of a role that may do everything
    #[command(after_help = "Example: psql \"$(spacerent url)\" -c 'select count(*) from events'")]
    Url,
}

/// A part of the system that a process can play.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, ValueEnum)]
pub enum Role {
    /// HTTP: /books
    Book,
    /// HTTP: /spaces
    Space,
    /// HTTP: /payments; calls the payment gateway
    Payment,
    /// HTTP: /mypages, /points
    Mypage,
    /// HTTP: every route, passing on what other processes serve
    Gateway,
    /// The saga and the workers
    Processes,
    /// The followers that fill the read models
    Projections,
}

impl Role {
    /// Every role.
    pub const ALL: [Self; 7] = [
        Self::Book,
        Self::Space,
        Self::Payment,
        Self::Mypage,
        Self::Gateway,
        Self::Processes,
        Self::Projections,
    ];
}
