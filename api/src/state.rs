//! What every handler is given.

use std::ops::Deref;
use std::sync::Arc;

use tokio::sync::Semaphore;

use crate::backlog::Backlog;
use crate::command::COMMANDS_MAX;
use crate::forwarded::PublicAddress;
use crate::{App, Role};

/// The parts of the application, and what the handlers of one router share beside them.
#[derive(Clone)]
pub(crate) struct Api {
    app: Arc<App>,
    /// What this router speaks as.
    pub(crate) role: Role,
    /// The address that the operator says clients see.
    pub(crate) public: Option<PublicAddress>,
    /// How many bookings wait for money.
    pub(crate) backlog: Arc<Backlog>,
    /// Places for commands at work.
    pub(crate) places: Arc<Semaphore>,
}

impl Api {
    pub(crate) fn new(role: Role, app: App) -> Self {
        let public = app
            .settings
            .public_url
            .as_deref()
            .and_then(PublicAddress::parse);
        Self {
            app: Arc::new(app),
            role,
            public,
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
