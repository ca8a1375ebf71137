//! `spacerent events`, as `--help` shows it.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum};
use jiff::tz::TimeZone;

/// What to do with the journal's events.
#[derive(Debug, Subcommand)]
pub enum EventsCommand {
    /// Print events as JSON lines, in order; nothing is passed over
    #[command(after_help = "\
Examples:
  spacerent events tail                              the last ten events
  spacerent events tail --follow                     the last ten, and what comes
  spacerent events tail --from 0 | jq .event_type    everything from the beginning
  spacerent events tail --from 41 --follow --format seed >> topic.jsonl
                                                     go on behind position 41, as the seed's topic

Every line carries its position. Keep the last one you have dealt with, and give it to --from to go on.
Ends with status 0 at the end of the journal, at --limit, on Ctrl-C and SIGTERM, and when its reader is gone.
Only reads: a login needs no more than SELECT on journal, events, dead_spans and _sqlx_migrations.")]
    Tail(TailArgs),
    /// Write the whole journal as JSON lines, to be imported elsewhere; nothing is passed over
    #[command(after_help = "\
Examples:
  spacerent events export --output journal.jsonl      a back-up; the same command again appends what is newer
  spacerent events export | zstd > journal.jsonl.zst  once, into a pipe
  spacerent events export | jq 'select(.event_type == \"Booked\").payload'

A file that was not finished (killed, disk full) is checked, and gone on with behind its last whole event.
It holds personal data in clear, and is made readable to its owner alone.
Only reads: a login needs no more than SELECT on journal, events, dead_spans, followers, parked, slot_claims, venues,
venue_units, venue_changes, jobs, decisions, imports and _sqlx_migrations.")]
    Export(ExportArgs),
    /// Fill an empty journal from an exported file, or add its bookings to another one
    #[command(after_help = "\
Examples:
  spacerent migrate && spacerent events import journal.jsonl   into an empty database; the same command goes on
                                                               with an import that was interrupted
  zstd -dc journal.jsonl.zst | spacerent events import -
  spacerent events import other.jsonl --append                 bookings that are not here yet, under new positions

Nothing is charged, refunded or registered again. Bookings in the middle go on when `serve` or `dev` is started:
charges without an outcome are asked for at the gateway. Import works as the owner of the tables
(MIGRATION_DATABASE_URL). Until it is finished, nothing else can be stored and `serve` and `dev` do not start.")]
    Import(ImportArgs),
}

/// What to export, and where to.
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// Write to this file instead of stdout; one that is there is gone on with
    #[arg(long, short, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Begin with the event at this position; such a file is to be read, not to be imported
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub from_position: Option<i64>,
    /// End with the event at this position [default: the last one]; before it when its command has events behind it
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..))]
    pub to_position: Option<i64>,
    /// What was written as one JSON document on stdout
    #[arg(long, requires = "output")]
    pub json: bool,
}

/// What to import, and how.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// The file, or - for stdin; what is no regular file is checked as it comes, like stdin
    #[arg(value_name = "FILE|-")]
    pub file: PathBuf,
    /// Add to a journal that has events, in one transaction and under new positions; refused where a booking, an
    /// event id or a command id is there already
    #[arg(long)]
    pub append: bool,
    /// Take a file that ends without its footer for what is there of it, without its last command; implies --hold-payments
    #[arg(long)]
    pub allow_truncated: bool,
    /// Leave charges and refunds without an outcome to people (`spacerent jobs`) instead of asking the gateway:
    /// for a gateway that never heard of them
    #[arg(long)]
    pub hold_payments: bool,
    /// Give the next booking at least this number [default: the one behind the file's last, 10,000 further with
    /// --allow-truncated]: above every number that was given behind the file's end, for they name charges
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..1_000_000_000_000_000_000))]
    pub next_booking: Option<i64>,
    /// One JSON document on stdout
    #[arg(long)]
    pub json: bool,
}

/// Which events to print, and how.
#[derive(Debug, Args)]
pub struct TailArgs {
    /// How each line is written
    #[arg(long, value_enum, default_value_t = Format::Json)]
    pub format: Format,
    /// Begin behind this position: with the next event, not with this one. 0 is the beginning
    #[arg(long, value_name = "POSITION", value_parser = clap::value_parser!(i64).range(0..), conflicts_with = "last")]
    pub from: Option<i64>,
    /// Begin with the last N events that the format has [default: 10, without --from]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..))]
    pub last: Option<i64>,
    /// Go on with what is appended, until stopped
    #[arg(long, short)]
    pub follow: bool,
    /// End after N lines
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub limit: Option<u64>,
    /// Refuse to read another journal than this: the `journal` of the lines that the position is from
    #[arg(long, value_name = "UUID/EPOCH")]
    pub journal: Option<String>,
    /// Zone of the seed's timestamps, which do not say one: an IANA name
    #[arg(long, value_name = "ZONE", default_value = "UTC", value_parser = zone)]
    pub time_zone: TimeZone,
}

/// How a line is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Everything that is stored
    Json,
    /// The seed's six events as its Kafka topic carries them; others are left out
    Seed,
}

fn zone(name: &str) -> Result<TimeZone, String> {
    TimeZone::get(name).map_err(|_| "not a time zone; try UTC or Asia/Seoul".to_owned())
}
