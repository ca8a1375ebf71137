//! Reads a file line by line and holds every line against what must stand there.

use std::collections::HashMap;
use std::io::{BufRead, Read};

use serde::Deserialize;
use uuid::Uuid;

use super::TransferError;
use super::line::{EVENT, FORMAT, Footer, Header, Line, Mark, State, VERSION};
use super::tally::{Tally, sha256_of};
use crate::feed::Stored;

/// The longest line that is read, in bytes.
const LINE_MAX: u64 = 64 * 1024 * 1024;

/// What comes next.
pub(super) enum Entry {
    Event(Box<Stored>),
    State(State),
    /// The footer: all that was counted and hashed is as it says.
    Whole,
    /// The end, without a footer.
    Cut,
}

/// A file that is being read.
pub(super) struct Document<R> {
    input: R,
    line: Vec<u8>,
    /// Which line that is, from 1.
    number: u64,
    pub(super) header: Header,
    pub(super) header_sha256: Vec<u8>,
    pub(super) events: Tally,
    pub(super) state: Tally,
    /// The position of the last event; one before the first when there was none.
    pub(super) last_position: i64,
    last_event_id: Option<Uuid>,
    /// How many bytes were read up to the last event or mark.
    end: u64,
    /// How far a hash has vouched for the events.
    pub(super) vouched: Vouched,
}

/// A beginning of a file that can be gone on with.
#[derive(Clone)]
pub(super) struct Vouched {
    pub(super) events: Tally,
    pub(super) last_position: i64,
    pub(super) last_event_id: Option<Uuid>,
    /// Its length in bytes.
    pub(super) end: u64,
}

impl<R: BufRead> Document<R> {
    /// Reads the header.
    pub(super) fn open(mut input: R) -> Result<Self, TransferError> {
        let mut line = Vec::new();
        if !read_line(&mut input, &mut line, 1)? {
            let begins = line.is_empty() || header_begins_with(&line);
            return Err(if begins {
                TransferError::Empty
            } else {
                TransferError::NotOurs
            });
        }
        let header = read_header(&line)?;
        let vouched = Vouched {
            events: Tally::new(),
            last_position: header.first_position - 1,
            last_event_id: None,
            end: line.len() as u64,
        };
        Ok(Self {
            input,
            number: 1,
            header_sha256: sha256_of(&line),
            events: Tally::new(),
            state: Tally::new(),
            last_position: vouched.last_position,
            last_event_id: None,
            end: vouched.end,
            vouched,
            header,
            line,
        })
    }

    /// What comes next, checked.
    pub(super) fn next(&mut self) -> Result<Entry, TransferError> {
        loop {
            self.number += 1;
            if !read_line(&mut self.input, &mut self.line, self.number)? {
                return Ok(Entry::Cut);
            }
            if self.line.starts_with(EVENT) {
                return self.event();
            }
            match serde_json::from_slice(&self.line) {
                Ok(Line::Mark(mark)) => self.mark(&mark)?,
                Ok(Line::State(state)) => {
                    self.state.add(&self.line);
                    return Ok(Entry::State(state));
                }
                Ok(Line::Footer(footer)) => return self.footer(&footer),
                Ok(Line::Header(_)) => return Err(self.damaged("a second header")),
                Err(error) => return Err(self.damaged(&format!("it cannot be read: {error}"))),
            }
        }
    }

    /// Reads to the end; says whether the footer was there.
    pub(super) fn read_to_end(&mut self) -> Result<bool, TransferError> {
        loop {
            match self.next()? {
                Entry::Event(_) | Entry::State(_) => {}
                Entry::Whole => return Ok(true),
                Entry::Cut => return Ok(false),
            }
        }
    }

    fn event(&mut self) -> Result<Entry, TransferError> {
        if self.state.lines > 0 {
            return Err(self.damaged("an event behind the state that follows the last one"));
        }
        let stored: Stored = match serde_json::from_slice(&self.line) {
            Ok(stored) => stored,
            Err(error) => return Err(self.damaged(&format!("its event cannot be read: {error}"))),
        };
        if stored.position <= self.last_position {
            let (here, before) = (stored.position, self.last_position);
            return Err(self.damaged(&format!("position {here} stands behind {before}")));
        }
        if stored.sequence < 1 {
            return Err(self.damaged("its sequence is below 1"));
        }
        // What the table refuses, said before anything is stored.
        if let Err(error) = serde_json::from_str::<HashMap<String, String>>(stored.metadata.get()) {
            return Err(self.damaged(&format!("its metadata is not a map of texts: {error}")));
        }
        self.events.add(&self.line);
        self.end += self.line.len() as u64;
        self.last_position = stored.position;
        self.last_event_id = Some(stored.event_id);
        Ok(Entry::Event(Box::new(stored)))
    }

    fn mark(&mut self, mark: &Mark) -> Result<(), TransferError> {
        if self.state.lines > 0 {
            return Err(self.damaged("a mark behind the state that follows the last event"));
        }
        let wrong = counted("mark", "events", mark.events, self.events.lines)
            .or_else(|| hashed("mark", "events", &mark.sha256, &self.events));
        if let Some(wrong) = wrong {
            return Err(self.damaged(&wrong));
        }
        self.end += self.line.len() as u64;
        self.vouch();
        Ok(())
    }

    /// A hash has shown that all events so far are as they were written.
    fn vouch(&mut self) {
        self.vouched = Vouched {
            events: self.events.clone(),
            last_position: self.last_position,
            last_event_id: self.last_event_id,
            end: self.end,
        };
    }

    fn footer(&mut self, footer: &Footer) -> Result<Entry, TransferError> {
        let counted = |what, says, are| counted("footer", what, says, are);
        let hashed = |what, says, lines| hashed("footer", what, says, lines);
        let wrong = counted("events", footer.events, self.events.lines)
            .or_else(|| counted("as last position", footer.last_position, self.last_position))
            .or_else(|| hashed("events", &footer.sha256, &self.events))
            .or_else(|| counted("lines of state", footer.state_lines, self.state.lines))
            .or_else(|| hashed("state", &footer.state_sha256, &self.state));
        if let Some(wrong) = wrong {
            return Err(self.damaged(&wrong));
        }
        self.vouch();
        self.number += 1;
        if read_line(&mut self.input, &mut self.line, self.number)? || !self.line.is_empty() {
            return Err(self.damaged("it stands behind the footer"));
        }
        Ok(Entry::Whole)
    }

    fn damaged(&self, what: &str) -> TransferError {
        TransferError::Damaged {
            line: self.number,
            what: what.to_owned(),
        }
    }
}

/// What is wrong with a count.
fn counted(who: &str, what: &str, says: i64, are: i64) -> Option<String> {
    (says != are).then(|| format!("the {who} says {says} {what}, there are {are}"))
}

/// What is wrong with a hash.
fn hashed(who: &str, what: &str, says: &str, lines: &Tally) -> Option<String> {
    let is = lines.hex();
    (says != is).then(|| format!("the SHA-256 of the {what} is {is}, the {who} says {says}"))
}

/// The header as any version has it.
#[derive(Deserialize)]
struct AnyHeader {
    header: AnyVersion,
}

#[derive(Deserialize)]
struct AnyVersion {
    format: String,
    version: u64,
}

fn read_header(line: &[u8]) -> Result<Header, TransferError> {
    let any: AnyHeader = serde_json::from_slice(line).map_err(|_| TransferError::NotOurs)?;
    if any.header.format != FORMAT {
        return Err(TransferError::NotOurs);
    }
    if any.header.version != VERSION {
        return Err(TransferError::OtherVersion(any.header.version));
    }
    let damaged = |what: String| TransferError::Damaged { line: 1, what };
    match serde_json::from_slice(line) {
        Ok(Line::Header(header)) if header.first_position < 1 => {
            Err(damaged("its first position is below 1".to_owned()))
        }
        Ok(Line::Header(header)) => Ok(header),
        Ok(_) => Err(TransferError::NotOurs),
        Err(error) => Err(damaged(format!("the header cannot be read: {error}"))),
    }
}

/// Whether a cut line can be the beginning of a header, so that nobody else's file is taken for ours.
fn header_begins_with(cut: &[u8]) -> bool {
    let begin = format!("{{\"header\":{{\"format\":\"{FORMAT}\",");
    let length = cut.len().min(begin.len());
    cut.get(..length) == begin.as_bytes().get(..length)
}

/// Reads a line with its line end; false when the input ends before there is one.
fn read_line(
    input: &mut impl BufRead,
    line: &mut Vec<u8>,
    number: u64,
) -> Result<bool, TransferError> {
    line.clear();
    let read = input
        .by_ref()
        .take(LINE_MAX)
        .read_until(b'\n', line)
        .map_err(TransferError::Stream)?;
    if line.ends_with(b"\n") {
        return Ok(true);
    }
    if read as u64 == LINE_MAX {
        return Err(TransferError::Damaged {
            line: number,
            what: format!("it is longer than {LINE_MAX} bytes"),
        });
    }
    Ok(false)
}
