//! The command line, as `--help` shows it.

pub mod events;
pub mod recovery;

use std::path::PathBuf;

use clap::{Parser, Subcommand, ValueEnum};

/// The booking backend that keeps what happened: spaces, payments, points, live traces.
#[derive(Debug, Parser)]
#[command(name = "spacerent", version, max_term_width = 100)]
#[command(
    after_help = "Example: spacerent dev, and in another terminal spacerent watch\n\n\
    Settings are environment variables; docs/operations.md lists them.\n\
    Operator commands use DATABASE_URL, or else the local server of --data-dir."
)]
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
    #[command(
        after_help = "Example: DATABASE_URL=postgresql://app@db/spacerent spacerent serve --role book,payment"
    )]
    Serve {
        /// Roles of this process, separated by commas [default: all]
        #[arg(long, value_enum, value_delimiter = ',', value_name = "ROLE")]
        role: Vec<Role>,
    },
    /// Bring the database to the shape of this program; safe to run twice
    #[command(
        after_help = "Example: MIGRATION_DATABASE_URL=postgresql://owner@db/spacerent spacerent migrate"
    )]
    Migrate {
        /// Also rebuild the read models that an earlier version of this program filled differently
        #[arg(long)]
        rebuild: bool,
    },
    /// Say how far everything is: head, watermark, open hole, followers, parked events, jobs
    #[command(after_help = "Example: spacerent status --json | jq .followers")]
    Status {
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// The status and the newest events, shown again and again: a screen on a terminal, lines elsewhere
    #[command(
        after_help = "Examples: spacerent watch                        (q ends it)\n          \
        spacerent watch --interval 60 >> status.log  (a line a minute)"
    )]
    Watch {
        /// Seconds between two looks
        #[arg(long, value_name = "SECONDS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=86_400))]
        interval: u64,
    },
    /// Rebuild a read model beside the live one, verify it, and switch to it
    #[command(after_help = "Examples: spacerent replay mypage\n          \
        spacerent replay mypage --verify              (compares only; status 1 on any difference)\n          \
        spacerent replay mypage --dry-run             (how much there is to do, and how long it takes)\n          \
        spacerent replay mypage --to-position 1234    (as it was, in the schema mypage_at_1234)\n          \
        spacerent replay mypage --to-time 2026-05-01T12:00:00Z --booking 7\n\
        A rebuild that was stopped or killed is gone on with by the same command.")]
    Replay(ReplayArgs),
    /// The journal's events as JSON lines
    #[command(subcommand)]
    Events(events::EventsCommand),
    /// Events that a follower could not take, with their bookings behind them
    #[command(subcommand)]
    Parked(recovery::ParkedCommand),
    /// Charges and refunds that are worked off in the background
    #[command(subcommand)]
    Jobs(recovery::JobsCommand),
    /// Into how many slices the saga is cut, so that several nodes share its work; with a number, cut it so
    #[command(after_help = "Examples: spacerent slices\n          \
        spacerent slices orders 4\n          \
        spacerent slices --json | jq '.followers[].parts'\n\
        Processes need not be stopped: each notices within a second or two. One that is older than slices follows nothing \
        of a saga that is cut; cut it into 1 before you go back to such a version.")]
    Slices(SlicesArgs),
    /// What happened to a booking, because of what, and what it still waits for
    #[command(after_help = "Examples: spacerent trace 17\n          \
        spacerent trace 6f9619ff-8b86-d011-b42d-00cf4fc964ff --json | jq .waits_for\n\n\
        A booking's number is found at once. A correlation id (X-Correlation-ID of an answer) is looked for in all events.")]
    Trace {
        /// The booking's number, or a correlation id
        #[arg(value_name = "BOOKID|CORRELATION-ID")]
        asked: String,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Print completions for a shell
    #[command(
        after_help = "Example: spacerent completions bash > /etc/bash_completion.d/spacerent"
    )]
    Completions {
        /// Which shell
        shell: clap_complete::Shell,
    },
    /// Print the manual page of a command, or of the program
    #[command(after_help = "Example: spacerent man events tail | man -l -")]
    Man {
        /// Which command
        #[arg(value_name = "COMMAND")]
        command: Vec<String>,
    },
    /// Print one libpq URI of a role that may do everything
    #[command(after_help = "Example: psql \"$(spacerent url)\" -c 'select count(*) from events'")]
    Url,
}

/// What to rebuild, and how far to go.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("moment").args(["to_position", "to_time"]))]
pub struct ReplayArgs {
    #[arg(help = format!("Which read model: {}", projections::NAMES.join(", ")))]
    pub name: String,
    /// Compare only: switch nothing, and end with status 1 on any difference
    #[arg(long, conflicts_with_all = ["rollback", "dry_run", "to_position", "to_time"])]
    pub verify: bool,
    /// Say what would be read and how long it should take, measured on a sample; change nothing
    #[arg(long, conflicts_with_all = ["rollback", "drop", "booking"])]
    pub dry_run: bool,
    /// Build it as it was after the event at this position, into the schema NAME_at_N; switch nothing
    #[arg(long, value_name = "N", allow_hyphen_values = true, conflicts_with_all = ["rollback", "to_time"])]
    pub to_position: Option<String>,
    /// The same, after the last event that was recorded by this time (RFC 3339)
    #[arg(
        long,
        value_name = "T",
        allow_hyphen_values = true,
        conflicts_with = "rollback"
    )]
    pub to_time: Option<String>,
    /// Only one booking's rows as they were, as JSON on stdout; nothing is stored
    #[arg(long, value_name = "ID", requires = "moment")]
    pub booking: Option<i64>,
    /// Drop the schema NAME_at_N again
    #[arg(long, requires = "moment", conflicts_with = "booking")]
    pub drop: bool,
    /// Write so many slices of the bookings beside each other [default: one a core, at most 4]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(projections::rebuild::SLICES_MAX)))]
    pub slices: Option<u32>,
    /// Switch back to the generation that was live before, after it has caught up
    #[arg(long)]
    pub rollback: bool,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// What to cut, and into how many.
#[derive(Debug, clap::Args)]
pub struct SlicesArgs {
    /// The follower: orders, the only one that can be cut
    pub name: Option<String>,
    /// Cut it into so many slices; 1: it is not cut
    #[arg(value_parser = clap::value_parser!(i32).range(1..=i64::from(journal::follow::SLICES_MAX)))]
    pub count: Option<i32>,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
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

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    /// Every command that does something, under its whole name.
    fn leaves(command: &clap::Command, name: &str, found: &mut Vec<(String, String)>) {
        for sub in command.get_subcommands() {
            let name = format!("{name} {}", sub.get_name());
            if sub.has_subcommands() {
                leaves(sub, &name, found);
            } else {
                let help = sub.get_after_help().map(ToString::to_string);
                found.push((name, help.unwrap_or_default()));
            }
        }
    }

    #[test]
    fn every_help_teaches_with_an_example_of_its_own() {
        let mut found = vec![];
        leaves(&Args::command(), "spacerent", &mut found);
        assert!(found.len() > 15, "{found:?}");
        for (name, help) in found {
            let taught = help.contains("Example") && help.contains(&name);
            assert!(taught, "{name} has no example: {help:?}");
        }
    }
}
