//! Writing down what a gateway said.
//!
//! What is recorded is a command on the Payment stream whose id is derived from what it says: the key of the
//! charge or refund and the outcome. Whoever says the same again, the customer's call and a worker at the
//! same time, is answered and changes nothing; a second reference under one key is another outcome. That a call was
//! not answered is said of that call alone: of each one, when it ended counts.

use std::sync::Arc;
use std::time::Duration;

use domain::ports::{ChargeOutcome, Random};
use domain::{BookId, Command, payment};
use journal::runtime::Runtime;
use journal::{CommandError, Done, Journal, Request, StoreError, Trace, fail_point};
use uuid::Uuid;

use super::late;

/// The namespace of the ids of recording commands.
const NAMESPACE: Uuid = Uuid::from_u128(0x6b5c_1f0e_93d2_4a7b_8c41_55e0_7d9a_2f36);
/// How often a record is tried while the database is away.
const TRIES_MAX: u32 = 6;
/// How long after the first try the second one comes; each later wait is twice the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Something a gateway said, as a command.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Record {
    /// What it is about: the key of a charge or refund.
    key: String,
    /// What was said, in a word or two.
    said: String,
    payid: BookId,
    command: payment::Command,
    /// The version of the payment that it rests on, when it may be recorded on no other.
    version: Option<i64>,
}

impl Record {
    /// What became of a charge; nothing when it is certain that nothing was sent. `attempt` counts from 1.
    pub(crate) fn of_charge(
        payid: BookId,
        charge_no: u32,
        outcome: &ChargeOutcome,
        attempt: u32,
    ) -> Option<Self> {
        let (said, command) = match outcome.clone() {
            ChargeOutcome::Approved {
                gateway_ref,
                captured,
            } => (
                format!("approved {gateway_ref}"),
                payment::Command::RecordApproval {
                    charge_no,
                    gateway_ref,
                    captured,
                },
            ),
            ChargeOutcome::Declined { code, message } => (
                "declined".to_owned(),
                payment::Command::RecordDecline {
                    charge_no,
                    code,
                    message,
                },
            ),
            ChargeOutcome::Unknown { why: reason } => (
                format!("unknown {attempt}"),
                payment::Command::RecordUnknown {
                    charge_no,
                    attempt,
                    reason,
                },
            ),
            ChargeOutcome::NotSent { .. } => return None,
        };
        Some(Self::about_charge(payid, charge_no, said, command))
    }

    /// It is certain that the charge never happened.
    pub(crate) fn not_charged(payid: BookId, charge_no: u32) -> Self {
        let command = payment::Command::RecordNotCharged { charge_no };
        Self::about_charge(payid, charge_no, "not charged".to_owned(), command)
    }

    /// Money went back.
    pub(crate) fn refunded(payid: BookId, refund_no: u32, refund_ref: String) -> Self {
        Self {
            key: payment::refund_key(payid, refund_no),
            said: format!("refunded {refund_ref}"),
            payid,
            command: payment::Command::RecordRefund {
                refund_no,
                refund_ref,
            },
            version: None,
        }
    }

    /// Money did not go back this time.
    pub(crate) fn refund_failed(payid: BookId, refund_no: u32, attempt: u32, code: String) -> Self {
        Self {
            key: payment::refund_key(payid, refund_no),
            said: format!("failed {attempt}"),
            payid,
            command: payment::Command::RecordRefundFailure {
                refund_no,
                attempt,
                code,
            },
            version: None,
        }
    }

    /// The same, on the payment as it stood at `version` and on no other.
    pub(crate) fn at(self, version: i64) -> Self {
        let version = Some(version);
        Self { version, ..self }
    }

    fn about_charge(
        payid: BookId,
        charge_no: u32,
        said: String,
        command: payment::Command,
    ) -> Self {
        let key = payment::charge_key(payid, charge_no);
        Self {
            key,
            said,
            payid,
            command,
            version: None,
        }
    }

    /// That a call was not answered becomes a record of its own, whatever another call said of the same try: since the
    /// last one ended, "not found" means nothing for a while.
    fn of_its_own_call(mut self, random: &dyn Random) -> Self {
        if matches!(self.command, payment::Command::RecordUnknown { .. }) {
            self.said = format!("{} {}", self.said, random.uuid());
        }
        self
    }

    /// The request that records it.
    pub(crate) fn into_request(self, trace: Trace) -> Request {
        let id = self.command_id();
        Request::one(id, trace, Command::Payment(self.payid, self.command))
    }

    fn command_id(&self) -> Uuid {
        Uuid::new_v5(&NAMESPACE, format!("{} {}", self.key, self.said).as_bytes())
    }
}

/// Writes records into the journal.
#[derive(Clone)]
pub(crate) struct Recorder {
    journal: Journal,
    runtime: Arc<dyn Runtime>,
}

impl Recorder {
    pub(crate) fn new(journal: Journal, runtime: Arc<dyn Runtime>) -> Self {
        Self { journal, runtime }
    }

    /// Records, and answers with the position of the last event that says so. A database that is away is
    /// tried again, [`TRIES_MAX`] times in all.
    pub(crate) async fn record(&self, record: Record, trace: Trace) -> Result<i64, NotRecorded> {
        let record = record.of_its_own_call(self.journal.random());
        let (key, said) = (&record.key, &record.said);
        let mut tries = 1;
        loop {
            let error = match self.record_once(&record, &trace).await {
                Ok(position) => return Ok(position),
                Err(changed @ NotRecorded::Changed) => return Err(changed),
                Err(error) => error,
            };
            if tries == TRIES_MAX || !error.is_transient() {
                metrics::counter!("payment_outcomes_not_recorded_total").increment(1);
                tracing::error!(key, said, %error, "an outcome was not recorded");
                return Err(error);
            }
            tracing::warn!(key, %error, tries, "an outcome is recorded again");
            self.runtime.sleep(FIRST_PAUSE * 2u32.pow(tries - 1)).await;
            tries += 1;
        }
    }

    async fn record_once(&self, record: &Record, trace: &Trace) -> Result<i64, NotRecorded> {
        fail_point!("outcome-due");
        let request = record.clone().into_request(trace.clone());
        let done = match record.version {
            Some(version) => self.journal.execute_at(request, vec![version]).await?,
            None => self.journal.execute_one(request).await?,
        };
        fail_point!("outcome-stored");
        if let payment::Command::RecordUnknown { charge_no, .. } = record.command
            && !matches!(done, Done::Stored(_))
        {
            late::look(&self.journal, record.payid, charge_no, trace).await?;
        }
        Ok(done.answer().position)
    }
}

/// Why something was not recorded.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotRecorded {
    /// The payment says that it cannot be: people must look.
    #[error("it cannot be recorded: {0}")]
    Refused(String),
    /// The payment is not as it was when this was found out, which must be found out anew.
    #[error("the payment changed meanwhile")]
    Changed,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl NotRecorded {
    fn is_transient(&self) -> bool {
        matches!(self, Self::Store(error) if error.is_transient())
    }
}

impl From<CommandError> for NotRecorded {
    fn from(error: CommandError) -> Self {
        match error.into_store() {
            Ok(error) => Self::Store(error),
            Err(CommandError::OtherVersion { .. }) => Self::Changed,
            Err(refused) => Self::Refused(refused.to_string()),
        }
    }
}
