//! What every handler is given.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::App;
use crate::backlog::Backlog;
use crate::command::COMMANDS_MAX;

/// The parts of the application, and what the handlers of one router share beside them.
#[derive(Clone)]
pub(crate) struct Api {
    app: Arc<App>,
    /// How many bookings wait for money.
    pub(crate) backlog: Arc<Backlog>,
    /// Places for commands at work.
    pub(crate) places: Arc<Semaphore>,
}

impl Api {
    pub(crate) fn new(app: App) -> Self {
        Self {
            app: Arc::new(app),
            backlog: Arc::default(),
            places: Arc::new(Semaphore::new(COMMANDS_MAX)),
        }
    }
}

impl Deref for Api {
    type Target = App;

    fn deref(&self) -> &App {
        &self.app
    }
}
