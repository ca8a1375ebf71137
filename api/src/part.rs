//! The routes that every resource has, out of what its collection and its items take.

use axum::Router;

use crate::client::ProfileClient;
use crate::methods::{Methods, get};
use crate::profile::{Entry, Profile};
use crate::resource::{BY_BOOKID, BY_USERID, Resource, find_by_bookid, find_by_userid, searches};
use crate::state::Api;

/// A path and what it takes.
pub(crate) type Route = (String, Methods);

/// A relation to what is no resource of the seed, and its path, which may be a template (RFC 6570).
pub(crate) type Further = (&'static str, &'static str);

/// A resource on a port.
pub(crate) struct Part {
    /// How the port names it.
    pub(crate) entry: Entry,
    /// What else it has: a relation, and a path, which may be a template.
    pub(crate) further: Vec<Further>,
    /// What it says of itself, on every port that names it.
    pub(crate) profile: Route,
    /// What the read models and commands answer, wherever they are.
    pub(crate) routes: Vec<Route>,
}

impl Part {
    /// Every route that a resource has.
    pub(crate) fn of<R: Resource>(collection: Methods, item: Methods) -> Self {
        let profile = Profile::of::<R>(&collection, &item);
        let profile = get(async move |client: ProfileClient| profile.show(&client));
        let name = R::COLLECTION;
        Self {
            entry: Entry::of::<R>(),
            further: vec![],
            profile: (format!("/profile/{name}"), profile),
            routes: vec![
                (format!("/{name}"), collection),
                (format!("/{name}/{{id}}"), item),
                (format!("/{name}/search"), get(searches::<R>)),
                (BY_BOOKID.path::<R>(), get(find_by_bookid::<R>)),
                (BY_USERID.path::<R>(), get(find_by_userid::<R>)),
            ],
        }
    }

    /// With these among what the port says that it has.
    pub(crate) fn showing(mut self, further: &[Further]) -> Self {
        self.further.extend(further);
        self
    }

    /// With a further path.
    pub(crate) fn and(mut self, path: &str, methods: Methods) -> Self {
        self.routes.push((path.to_owned(), methods));
        self
    }
}

/// A router of these routes.
pub(crate) fn at(routes: Vec<Route>) -> Router<Api> {
    let routes = routes.into_iter();
    routes.fold(Router::new(), |router, (path, methods)| {
        router.route(&path, methods.complete())
    })
}
