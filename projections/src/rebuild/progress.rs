//! What a rebuild tells while it runs.

/// What a rebuild is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Folding events in bulk.
    Fill,
    /// Making the indexes.
    Index,
    /// Reading back, and comparing with the live rows.
    Verify,
    /// Taking what happened meanwhile.
    CatchUp,
    /// Waiting for a moment's hold on the live follower and the readers.
    Switch,
}

impl Stage {
    /// It in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Fill => "folding events",
            Self::Index => "making indexes",
            Self::Verify => "verifying",
            Self::CatchUp => "catching up",
            Self::Switch => "switching",
        }
    }
}

/// Hears how far a rebuild is.
pub trait Progress: Send + Sync {
    /// Something else begins.
    fn stage(&self, stage: Stage);
    /// `events` were taken in this run; everything up to `position` of `last` is in.
    fn filled(&self, events: u64, position: i64, last: i64);
    /// Something that people should know.
    fn remark(&self, remark: &str);
}

/// Nobody listens.
#[derive(Clone, Copy, Debug)]
pub struct Silent;

impl Progress for Silent {
    fn stage(&self, _: Stage) {}
    fn filled(&self, _: u64, _: i64, _: i64) {}
    fn remark(&self, _: &str) {}
}
