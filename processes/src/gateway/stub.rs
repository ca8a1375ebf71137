//! The stub gateway: plays the company that moves money, in development and tests.
//!
//! It keeps its own books (schema `stub_gateway`) in its own transactions, so a crash of ours cannot make it
//! forget a charge. It is as idempotent as a real one should be, and more: the first answer to a key is its
//! answer for ever, where a real one forgets after a day, as the simulation's does. Two space names are hooks:
//! `braker` makes it think for 2.5 s before it charges (longer than a customer waits; the seed's own spelling),
//! `declined` makes it decline.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use domain::ports::{
    ChargeOutcome, ChargeRequest, LedgerCharge, LookupOutcome, PaymentGateway, Random,
    RefundOutcome, RefundRequest, StubLedger,
};
use domain::{BookId, Money};
use journal::connections::{TRANSACTION_MAX, within};
use journal::runtime::Runtime;
use journal::{Connections, Session, StoreError};
use sqlx::Row;
use sqlx::postgres::PgRow;
use uuid::Uuid;

/// The space whose charges take long.
const SLOW_SPACE: &str = "braker";
/// How long.
const SLOW_FOR: Duration = Duration::from_millis(2_500);
/// The space whose charges are declined.
const DECLINED_SPACE: &str = "declined";
/// The code of its refusals.
const DECLINED_CODE: &str = "card-declined";

/// The stub.
pub struct StubGateway {
    pool: Connections,
    runtime: Arc<dyn Runtime>,
    random: Arc<dyn Random>,
}

impl StubGateway {
    /// A stub that keeps its books through `pool`.
    #[must_use]
    pub fn new(pool: Connections, runtime: Arc<dyn Runtime>, random: Arc<dyn Random>) -> Self {
        Self {
            pool,
            runtime,
            random,
        }
    }

    async fn enter_charge(&self, request: &ChargeRequest) -> Result<ChargeOutcome, StoreError> {
        let declined = (request.spacename == DECLINED_SPACE).then_some(DECLINED_CODE);
        sqlx::query(
            // Whoever comes second waits for the first one's commit, and then reads what that one wrote.
            "insert into stub_gateway.charges (key, reference, bookid, charge_no, amount, currency, declined)
             values ($1, $2, $3, $4, $5, $6, $7)
             on conflict (key) do nothing",
        )
        .bind(&request.idempotency_key)
        .bind(self.random.uuid())
        .bind(request.payid.0)
        .bind(i32::try_from(request.charge_no).unwrap_or(i32::MAX))
        .bind(request.price.minor)
        .bind(request.price.currency.as_str())
        .bind(declined)
        .execute(&self.pool)
        .await?;
        Ok(match self.find(&request.idempotency_key).await? {
            Some(Entry {
                declined: Some(code),
                ..
            }) => declined_outcome(code),
            Some(Entry {
                reference, amount, ..
            }) => ChargeOutcome::Approved {
                gateway_ref: reference.to_string(),
                captured: amount,
            },
            None => ChargeOutcome::Unknown {
                why: "the entry is not there".to_owned(),
            },
        })
    }

    async fn find(&self, key: &str) -> Result<Option<Entry>, StoreError> {
        let row = sqlx::query(
            "select reference, amount, currency, declined from stub_gateway.charges where key = $1",
        )
        .bind(key)
        .fetch_optional(&self.pool)
        .await?;
        row.as_ref().map(Entry::read).transpose()
    }

    /// Gives back at most what is left of the charge, and the same answer to the same key.
    async fn enter_refund(
        &self,
        charge: Uuid,
        request: &RefundRequest,
    ) -> Result<RefundOutcome, StoreError> {
        let mut session = Session::open(&self.pool).await?;
        let mut tx = session.begin().await?;
        // One refund of a charge at a time. In a statement of its own: the next one's snapshot must show what
        // the one before committed.
        sqlx::query("select pg_advisory_xact_lock(hashtextextended($1, 0))")
            .bind(charge.to_string())
            .execute(&mut *tx)
            .await?;
        sqlx::query(
            "insert into stub_gateway.refunds (key, reference, charge, amount)
             select $1, $2, c.reference, $4
             from stub_gateway.charges c
             where c.reference = $3 and c.declined is null
               and $4 <= c.amount - (
                   select coalesce(sum(r.amount), 0) from stub_gateway.refunds r where r.charge = c.reference
               )
             on conflict (key) do nothing",
        )
        .bind(&request.idempotency_key)
        .bind(self.random.uuid())
        .bind(charge)
        .bind(request.refund.minor)
        .execute(&mut *tx)
        .await?;
        let reference: Option<Uuid> =
            sqlx::query_scalar("select reference from stub_gateway.refunds where key = $1")
                .bind(&request.idempotency_key)
                .fetch_optional(&mut *tx)
                .await?;
        tx.commit().await?;
        Ok(match reference {
            Some(reference) => RefundOutcome::Refunded {
                refund_ref: reference.to_string(),
            },
            None => RefundOutcome::Rejected {
                code: "exceeds-charge".to_owned(),
            },
        })
    }
}

#[async_trait]
impl PaymentGateway for StubGateway {
    async fn charge(&self, request: ChargeRequest) -> ChargeOutcome {
        if request.spacename == SLOW_SPACE {
            self.runtime.sleep(SLOW_FOR).await;
        }
        match self.enter_charge(&request).await {
            Ok(outcome) => outcome,
            Err(error) => ChargeOutcome::Unknown {
                why: error.to_string(),
            },
        }
    }

    async fn refund(&self, request: RefundRequest) -> RefundOutcome {
        let Ok(charge) = Uuid::parse_str(&request.gateway_ref) else {
            return RefundOutcome::Rejected {
                code: "no-such-charge".to_owned(),
            };
        };
        match within(TRANSACTION_MAX, self.enter_refund(charge, &request)).await {
            Ok(outcome) => outcome,
            Err(error) => RefundOutcome::Unknown {
                why: error.to_string(),
            },
        }
    }

    async fn look_up(&self, idempotency_key: &str) -> LookupOutcome {
        match self.find(idempotency_key).await {
            Ok(Some(Entry {
                declined: Some(code),
                ..
            })) => LookupOutcome::Declined {
                code,
                message: declined_message(),
            },
            Ok(Some(Entry {
                reference, amount, ..
            })) => LookupOutcome::Approved {
                gateway_ref: reference.to_string(),
                captured: amount,
            },
            Ok(None) => LookupOutcome::NotFound,
            Err(error) => LookupOutcome::Unknown {
                why: error.to_string(),
            },
        }
    }
}

#[async_trait]
impl StubLedger for StubGateway {
    async fn charges(&self) -> Result<Vec<LedgerCharge>, String> {
        let rows = sqlx::query(
            "select c.bookid, c.charge_no, c.amount, c.key, coalesce(sum(r.amount), 0)::bigint as refunded
             from stub_gateway.charges c
             left join stub_gateway.refunds r on r.charge = c.reference
             where c.declined is null
             group by c.key
             order by c.created_at, c.key",
        )
        .fetch_all(&self.pool)
        .await
        .map_err(|error| StoreError::from(error).to_string())?;
        rows.iter()
            .map(|row| {
                let charge_no: i32 = row.try_get("charge_no")?;
                Ok(LedgerCharge {
                    bookid: BookId(row.try_get("bookid")?),
                    charge_no: u32::try_from(charge_no).unwrap_or(0),
                    amount: row.try_get("amount")?,
                    refunded: row.try_get("refunded")?,
                    key: row.try_get("key")?,
                })
            })
            .collect::<Result<_, sqlx::Error>>()
            .map_err(|error| StoreError::from(error).to_string())
    }
}

/// One line of the books.
struct Entry {
    reference: Uuid,
    amount: Money,
    declined: Option<String>,
}

impl Entry {
    fn read(row: &PgRow) -> Result<Self, StoreError> {
        let currency: String = row.try_get("currency")?;
        let currency = serde_json::from_value(currency.into())
            .map_err(|error| StoreError::Unreadable(error.to_string()))?;
        Ok(Self {
            reference: row.try_get("reference")?,
            amount: Money {
                minor: row.try_get("amount")?,
                currency,
            },
            declined: row.try_get("declined")?,
        })
    }
}

fn declined_outcome(code: String) -> ChargeOutcome {
    ChargeOutcome::Declined {
        code,
        message: declined_message(),
    }
}

fn declined_message() -> String {
    "the card was declined".to_owned()
}
