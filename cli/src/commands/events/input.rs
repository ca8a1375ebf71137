//! What an import reads: a file, or a stream that can be waited for.

use std::fs::{self, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read};
use std::os::fd::AsFd;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use journal::transfer::{Source, TransferError};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use tokio_util::sync::CancellationToken;

/// How often a wait for input looks whether it is to stop.
const LOOK: Duration = Duration::from_millis(100);
/// How much is read at once.
const BUFFER_BYTES: usize = 256 * 1024;

/// The file, or the stream: what is no regular file (a pipe, a terminal) can be read once only.
pub fn source(file: &Path, stop: CancellationToken) -> Result<Source, TransferError> {
    if file.as_os_str() == "-" {
        return Ok(stream(io::stdin(), stop));
    }
    let failed = |error| TransferError::File(file.to_owned(), error);
    let kind = fs::metadata(file).map_err(failed)?;
    if kind.is_file() || kind.is_dir() {
        return Ok(Source::File(file.to_owned()));
    }
    // A pipe that nobody writes to yet would keep the thread in its opening.
    let input = OpenOptions::new()
        .read(true)
        .custom_flags(OFlags::NONBLOCK.bits().cast_signed())
        .open(file)
        .map_err(failed)?;
    Ok(stream(input, stop))
}

fn stream(input: impl Read + AsFd + 'static, stop: CancellationToken) -> Source {
    let input = Waiting { input, stop };
    Source::Stream(Box::new(BufReader::with_capacity(BUFFER_BYTES, input)))
}

/// Reads what comes, and gives up waiting when it is told to stop.
struct Waiting<R> {
    input: R,
    stop: CancellationToken,
}

impl<R: Read + AsFd> Read for Waiting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.is_cancelled() {
                return Err(io::Error::other("stopped"));
            }
            if !self.ready()? {
                continue;
            }
            match self.input.read(buffer) {
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                read => return read,
            }
        }
    }
}

impl<R: AsFd> Waiting<R> {
    /// Whether there is something to read, or the end, after a while at most.
    fn ready(&self) -> io::Result<bool> {
        let look = Timespec::try_from(LOOK).map_err(io::Error::other)?;
        let mut input = [PollFd::new(&self.input, PollFlags::IN)];
        match poll(&mut input, Some(&look)) {
            Ok(ready) => Ok(ready > 0),
            Err(rustix::io::Errno::INTR) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}
