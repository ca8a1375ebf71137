//! Events as COPY takes them. Format: PostgreSQL's manual, COPY, "Text Format".

use sqlx::PgConnection;

use super::TransferError;
use crate::feed::Stored;

/// The columns that a file has.
pub(super) const COLUMNS: &str = "aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, \
                                  position, event_id, command_id, recorded_at";

/// Rows that are to be copied in.
#[derive(Default)]
pub(super) struct Rows {
    text: Vec<u8>,
    pub(super) count: i64,
    pub(super) first_position: i64,
    pub(super) last_position: i64,
}

impl Rows {
    pub(super) fn push(&mut self, event: &Stored) {
        if self.count == 0 {
            self.first_position = event.position;
        }
        let numbers = (event.sequence.to_string(), event.position.to_string());
        let ids = (event.event_id.to_string(), event.command_id.to_string());
        let recorded_at = event.recorded_at.to_string();
        let cells: [&str; 11] = [
            &event.aggregate_type,
            &event.aggregate_id,
            &numbers.0,
            &event.event_type,
            &event.event_version,
            event.payload.get(),
            event.metadata.get(),
            &numbers.1,
            &ids.0,
            &ids.1,
            &recorded_at,
        ];
        for (place, cell) in cells.into_iter().enumerate() {
            if place > 0 {
                self.text.push(b'\t');
            }
            push_escaped(&mut self.text, cell);
        }
        self.text.push(b'\n');
        self.count += 1;
        self.last_position = event.position;
    }

    pub(super) fn bytes(&self) -> usize {
        self.text.len()
    }

    /// Takes back what was pushed behind the first `count` rows, which end with `bytes` and stand up to `position`.
    pub(super) fn truncate(&mut self, count: i64, bytes: usize, position: i64) {
        self.text.truncate(bytes);
        (self.count, self.last_position) = (count, position);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Copies the rows into `table` and forgets them.
    pub(super) async fn copy_into(
        &mut self,
        table: &str,
        connection: &mut PgConnection,
    ) -> Result<(), TransferError> {
        let rows = std::mem::take(self);
        let statement = format!("copy {table} ({COLUMNS}) from stdin");
        let mut copy = connection.copy_in_raw(&statement).await?;
        let sent = copy.send(rows.text).await.map(drop);
        match sent {
            Ok(()) => copy.finish().await?,
            Err(error) => return Err(error.into()),
        };
        Ok(())
    }
}

fn push_escaped(text: &mut Vec<u8>, cell: &str) {
    for byte in cell.bytes() {
        match byte {
            b'\\' => text.extend(b"\\\\"),
            b'\n' => text.extend(b"\\n"),
            b'\r' => text.extend(b"\\r"),
            b'\t' => text.extend(b"\\t"),
            other => text.push(other),
        }
    }
}
