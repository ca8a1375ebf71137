//! `spacerent events`, as `--help` shows it.

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
