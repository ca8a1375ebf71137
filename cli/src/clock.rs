//! The clock of the process: the system's; or, in a build with debug assertions that was started with `CLOCK_FILE`, one
//! that is set by hand, so that a test plays a day in a minute.
//!
//! The file holds a moment, as `2026-12-01T09:00:00+09:00`. From when it was written, time goes on from there.

use std::sync::Arc;

use domain::ports::Clock;
use journal::runtime::SystemClock;

/// Where a test says what time it is.
const VARIABLE: &str = "CLOCK_FILE";

/// The clock that the environment asks for.
///
/// # Errors
/// Why there is none.
pub fn of_process() -> anyhow::Result<Arc<dyn Clock>> {
    match std::env::var_os(VARIABLE) {
        None => Ok(Arc::new(SystemClock)),
        Some(file) => set_by_hand(file.into()),
    }
}

#[cfg(not(debug_assertions))]
fn set_by_hand(_file: std::path::PathBuf) -> anyhow::Result<Arc<dyn Clock>> {
    anyhow::bail!(
        "{VARIABLE} sets the clock by hand, which only a build with debug assertions does; unset it"
    )
}

#[cfg(debug_assertions)]
fn set_by_hand(file: std::path::PathBuf) -> anyhow::Result<Arc<dyn Clock>> {
    Ok(Arc::new(by_hand::HandClock::read(file)?))
}

#[cfg(debug_assertions)]
mod by_hand {
    use std::path::{Path, PathBuf};
    use std::sync::{Mutex, PoisonError};
    use std::time::SystemTime;

    use anyhow::Context;
    use domain::ports::Clock;
    use jiff::{SignedDuration, Timestamp};
    use journal::runtime::SystemClock;

    /// The system's clock, put forward or back by what the file says.
    pub(super) struct HandClock {
        file: PathBuf,
        /// The last that was read.
        set: Mutex<Set>,
    }

    #[derive(Clone, Copy)]
    struct Set {
        written_at: SystemTime,
        ahead: SignedDuration,
    }

    impl HandClock {
        pub(super) fn read(file: PathBuf) -> anyhow::Result<Self> {
            let set = Mutex::new(read(&file)?);
            Ok(Self { file, set })
        }

        fn ahead(&self) -> SignedDuration {
            let mut set = self.set.lock().unwrap_or_else(PoisonError::into_inner);
            let is_old = written_at(&self.file).is_ok_and(|at| at != set.written_at);
            // A file that is being written is read at the next look.
            if is_old && let Ok(new) = read(&self.file) {
                *set = new;
            }
            set.ahead
        }
    }

    impl Clock for HandClock {
        fn now(&self) -> Timestamp {
            let now = SystemClock.now();
            now.checked_add(self.ahead()).unwrap_or(now)
        }

        fn set_by_hand(&self) -> Option<Timestamp> {
            Some(self.now())
        }
    }

    fn written_at(file: &Path) -> std::io::Result<SystemTime> {
        std::fs::metadata(file)?.modified()
    }

    fn read(file: &Path) -> anyhow::Result<Set> {
        let said = std::fs::read_to_string(file)
            .with_context(|| format!("the clock's file {} cannot be read", file.display()))?;
        let moment: Timestamp = said
            .trim()
            .parse()
            .with_context(|| format!("{} does not hold a moment", file.display()))?;
        let written_at = written_at(file)?;
        let real = Timestamp::try_from(written_at)?;
        Ok(Set {
            written_at,
            ahead: moment.duration_since(real),
        })
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn time_goes_on_from_what_was_written_and_is_set_anew() {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("clock");
            std::fs::write(&file, "2026-12-01T09:00:00+09:00\n").unwrap();
            let clock = HandClock::read(file.clone()).unwrap();
            let morning: Timestamp = "2026-12-01T00:00:00Z".parse().unwrap();
            let passed = clock.now().duration_since(morning);
            assert!((0..60).contains(&passed.as_secs()), "{passed}");
            std::fs::write(&file, "not yet").unwrap();
            assert!(clock.now().duration_since(morning).as_secs() < 60);
            let evening = "2026-12-01T10:00:00Z";
            std::fs::write(&file, evening).unwrap();
            let passed = clock.now().duration_since(evening.parse().unwrap());
            assert!((0..60).contains(&passed.as_secs()), "{passed}");
            assert!(clock.set_by_hand().is_some());
        }

        #[test]
        fn a_file_without_a_moment_is_refused() {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("clock");
            assert!(HandClock::read(file.clone()).is_err());
            std::fs::write(&file, "noon").unwrap();
            assert!(HandClock::read(file).is_err());
        }
    }
}
