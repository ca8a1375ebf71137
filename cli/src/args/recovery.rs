//! `spacerent parked` and `spacerent jobs`, as `--help` shows them.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};

/// What to do with events that a follower could not take.
#[derive(Debug, Subcommand)]
pub enum ParkedCommand {
    /// Bookings that a follower has parked, and why
    #[command(after_help = "Example: spacerent parked list --json | jq '.parked[].reason'")]
    List {
        /// At most N
        #[arg(long, value_name = "N", default_value_t = 1_000, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// The parked events of one booking, in order
    #[command(after_help = "Example: spacerent parked show mypage 17")]
    Show {
        #[command(flatten)]
        at: At,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Have the follower take a booking's parked events now, in order
    #[command(after_help = "Example: spacerent parked retry mypage 17\n\n\
        The follower does it itself, so its role must run (projections; processes for `orders`). \
        We wait ten seconds for it. Status 1 when something is still parked, with the reason.")]
    Retry {
        #[command(flatten)]
        at: At,
        #[command(flatten)]
        by: By,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Give up the event that blocks a booking; what stands behind it is tried again
    #[command(
        after_help = "Example: spacerent parked discard mypage 17 --reason 'a test booking'\n\n\
        The event stays in the journal; this follower never takes it. The decision stays as a row \
        in the table `decisions`. A rebuild of the read model meets the event again."
    )]
    Discard {
        #[command(flatten)]
        at: At,
        /// Why; kept with the decision
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
        /// Give up every parked event of the booking
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        by: By,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
}

/// Which parked booking.
#[derive(Debug, Args)]
pub struct At {
    #[arg(help = format!("The follower: {}, orders", projections::NAMES.join(", ")))]
    pub name: String,
    /// The booking's number
    pub key: String,
    /// Which generation's follower [default: the only one that has it parked]
    #[arg(long)]
    pub generation: Option<i32>,
}

/// Who decides.
#[derive(Debug, Args)]
pub struct By {
    /// Who decides; kept with the decision
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, default_value = "operator", value_parser = NonEmptyStringValueParser::new())]
    pub by: String,
}

/// What became of a charge or refund.
#[derive(Debug, Args)]
#[group(multiple = false)]
pub struct SaidArgs {
    /// You have looked at the gateway: the charge was not made, and nobody will make it
    #[arg(long)]
    pub not_charged: bool,
    /// The charge was made, in full, under this reference of the gateway's
    #[arg(long, value_name = "REFERENCE", value_parser = reference)]
    pub charged: Option<String>,
    /// The money is back, under this reference: the gateway's, or a receipt's
    #[arg(long, value_name = "REFERENCE", value_parser = reference)]
    pub refunded: Option<String>,
}

/// A reference without the blanks around it that a terminal adds.
fn reference(text: &str) -> Result<String, &'static str> {
    match text.trim() {
        "" => Err("a reference is needed, as the gateway or the receipt has it"),
        reference => Ok(reference.to_owned()),
    }
}

/// What to do with charges and refunds that are worked off in the background.
#[derive(Debug, Subcommand)]
pub enum JobsCommand {
    /// Jobs that are not done: those for people first, then by when they are due; timers whose time has not come are last
    #[command(
        after_help = "Example: spacerent jobs list --json | jq '.jobs[] | select(.state == \"attention\")'"
    )]
    List {
        /// Finished ones, too
        #[arg(long)]
        all: bool,
        /// At most N; when there are more, stderr says so
        #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Everything about one job
    #[command(after_help = "Example: spacerent jobs show 12")]
    Show {
        /// The job's number
        id: i64,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// Give a job that is for people back to its worker, for one more try
    #[command(after_help = "Example: spacerent jobs retry 12\n\n\
        A charge is asked for at the gateway before it is sent again. A refund cannot be asked for; its key keeps it \
        from being a second one as long as the gateway remembers it. Where it may have forgotten the key, look there \
        first: when the refund was made, `spacerent jobs resolve`; when it was not, say so with --not-refunded. Without \
        it such a job is left as it is, with status 1.")]
    Retry {
        /// The job's number
        id: i64,
        /// You have looked at the gateway, and it has not made this refund; kept with the decision
        #[arg(long)]
        not_refunded: bool,
        /// Why; kept with the decision
        #[arg(long, default_value = "one more try", value_parser = NonEmptyStringValueParser::new())]
        reason: String,
        #[command(flatten)]
        by: By,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
    /// End a job that is for people: what it was about was settled by hand
    #[command(
        after_help = "Example: spacerent jobs resolve 12 --refunded 'receipt 88' --reason 'paid back at the counter'\n\n\
        What you say of the charge or refund is appended to its payment in your name, as a worker does it, and the \
        order then comes to its end by itself: a booking that was not charged is rejected, or closed when it was \
        cancelled. Without such a word nothing is appended, and the booking stays as it is. Nothing is sent in any \
        case. The decision stays as a row in the table `decisions`."
    )]
    Resolve {
        /// The job's number
        id: i64,
        #[command(flatten)]
        said: SaidArgs,
        /// How it was settled; kept with the decision
        #[arg(long, value_parser = NonEmptyStringValueParser::new())]
        reason: String,
        #[command(flatten)]
        by: By,
        /// One JSON document on stdout
        #[arg(long)]
        json: bool,
    },
}
