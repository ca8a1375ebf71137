//! Where an export is written: a stream, or a file that can be gone on with.
//!
//! Lines are only ever added at the end, and the footer last. A file that ends anywhere else, because its writer was
//! killed, is read back and checked; what stands behind its last mark is cut off, and writing goes on there: what no
//! hash vouches for must not be vouched for by the footer. A finished one loses its footer in the same way, and
//! nothing else.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufReader, BufWriter, ErrorKind, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::TransferError;
use super::document::{Document, Vouched};
use super::line::{Footer, Header, Line, Mark, State};
use super::tally::Tally;
use crate::feed::Stored;

/// How much is gathered before it is written.
const BUFFER_BYTES: usize = 256 * 1024;
/// A journal holds personal data: only its owner reads and writes the file.
const MODE: u32 = 0o600;

/// What is known of a file's beginning.
pub(super) struct Begun {
    pub(super) header: Header,
    pub(super) vouched: Vouched,
    /// Whether it had its footer.
    pub(super) finished: bool,
}

/// A file that is open and locked.
pub(super) struct Place {
    path: PathBuf,
    file: File,
    /// None: nothing stands in it.
    pub(super) begun: Option<Begun>,
}

impl Place {
    /// Opens the file, or makes it, and reads back what stands in it.
    pub(super) fn open(path: &Path) -> Result<Self, TransferError> {
        let failed = |error| TransferError::File(path.to_owned(), error);
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        let file = options.mode(MODE).open(path).map_err(failed)?;
        if !file.metadata().map_err(failed)?.is_file() {
            return Err(TransferError::NotAFile(path.to_owned()));
        }
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(TransferError::FileInUse(path.to_owned())),
            Err(TryLockError::Error(error)) => return Err(failed(error)),
        }
        let begun = match Document::open(BufReader::new(&file)) {
            Ok(document) => Some(Begun::read(document)?),
            Err(TransferError::Empty) => None,
            Err(error) => return Err(error),
        };
        Ok(Self {
            path: path.to_owned(),
            file,
            begun,
        })
    }

    /// Goes on behind the last whole event, or begins with `header`.
    pub(super) fn writer(mut self, header: Header) -> Result<Writer, TransferError> {
        let failed = |error| TransferError::File(self.path.clone(), error);
        let end = self.begun.as_ref().map_or(0, |begun| begun.vouched.end);
        self.file.set_len(end).map_err(failed)?;
        self.file.seek(SeekFrom::Start(end)).map_err(failed)?;
        let out = Box::new(self.file.try_clone().map_err(failed)?);
        let begun = self.begun.take();
        let mut writer = Writer::new(out, Some((self.path, self.file)), header.first_position - 1);
        match begun {
            Some(begun) => {
                writer.events = begun.vouched.events;
                writer.last_position = begun.vouched.last_position;
            }
            None => writer.header(header)?,
        }
        Ok(writer)
    }
}

impl Begun {
    fn read(mut document: Document<BufReader<&File>>) -> Result<Self, TransferError> {
        let finished = document.read_to_end()?;
        Ok(Self {
            header: document.header,
            vouched: document.vouched,
            finished,
        })
    }
}

/// Writes lines, and counts and hashes them.
pub(super) struct Writer {
    out: BufWriter<Box<dyn Write + Send>>,
    /// What is made durable at the end.
    file: Option<(PathBuf, File)>,
    line: Vec<u8>,
    pub(super) events: Tally,
    pub(super) last_position: i64,
    state: Tally,
}

impl Writer {
    fn new(out: Box<dyn Write + Send>, file: Option<(PathBuf, File)>, last_position: i64) -> Self {
        Self {
            out: BufWriter::with_capacity(BUFFER_BYTES, out),
            file,
            line: Vec::new(),
            events: Tally::new(),
            last_position,
            state: Tally::new(),
        }
    }

    /// Writes into a stream.
    pub(super) fn stream(
        out: Box<dyn Write + Send>,
        header: Header,
    ) -> Result<Self, TransferError> {
        let mut writer = Self::new(out, None, header.first_position - 1);
        writer.header(header)?;
        Ok(writer)
    }

    fn header(&mut self, header: Header) -> Result<(), TransferError> {
        self.line(&Line::Header(header))?;
        // The reader of a stream sees at once that something comes.
        self.flush()
    }

    pub(super) fn event(&mut self, event: &Stored) -> Result<(), TransferError> {
        self.line(event)?;
        self.events.add(&self.line);
        self.last_position = event.position;
        Ok(())
    }

    /// Says what the events so far hash to.
    pub(super) fn mark(&mut self) -> Result<(), TransferError> {
        let mark = Mark {
            events: self.events.lines,
            sha256: self.events.hex(),
        };
        self.line(&Line::Mark(mark))
    }

    pub(super) fn state(&mut self, state: State) -> Result<(), TransferError> {
        self.line(&Line::State(state))?;
        self.state.add(&self.line);
        Ok(())
    }

    /// Writes the footer, and returns when everything is on disk.
    pub(super) fn finish(mut self, finished_at: jiff::Timestamp) -> Result<Footer, TransferError> {
        let footer = Footer {
            events: self.events.lines,
            last_position: self.last_position,
            sha256: self.events.hex(),
            state_lines: self.state.lines,
            state_sha256: self.state.hex(),
            finished_at,
        };
        self.line(&Line::Footer(footer.clone()))?;
        self.settle()?;
        Ok(footer)
    }

    /// Leaves the file without a footer, with everything written so far in it.
    pub(super) fn settle(&mut self) -> Result<(), TransferError> {
        self.flush()?;
        let Some((path, file)) = &self.file else {
            return Ok(());
        };
        let failed = |error| TransferError::File(path.clone(), error);
        file.sync_all().map_err(failed)?;
        // That the file is there at all stands in its folder.
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        File::open(folder)
            .and_then(|folder| folder.sync_all())
            .map_err(failed)
    }

    pub(super) fn flush(&mut self) -> Result<(), TransferError> {
        self.out.flush().map_err(|error| self.failed(error))
    }

    fn line(&mut self, line: &impl Serialize) -> Result<(), TransferError> {
        self.line.clear();
        let written = serde_json::to_writer(&mut self.line, line).map_err(io::Error::from);
        self.line.push(b'\n');
        written
            .and_then(|()| self.out.write_all(&self.line))
            .map_err(|error| self.failed(error))
    }

    fn failed(&self, error: io::Error) -> TransferError {
        match &self.file {
            Some((path, _)) => TransferError::File(path.clone(), error),
            None if error.kind() == ErrorKind::BrokenPipe => TransferError::ReaderGone,
            None => TransferError::Stream(error),
        }
    }
}
