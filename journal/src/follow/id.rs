//! Which follower.

/// Which follower: a name, and the generation and slice of what it fills.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FollowerId {
    /// Its name; a projection's follower has the projection's.
    pub name: String,
    /// Which generation of its tables it fills; 1 for a follower that has none.
    pub generation: i32,
    /// Which part of the keys; 0 when it takes all.
    pub slice: i32,
}

/// `mypage/2/0`.
impl std::fmt::Display for FollowerId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            name,
            generation,
            slice,
        } = self;
        write!(f, "{name}/{generation}/{slice}")
    }
}

impl FollowerId {
    /// A follower of all keys.
    #[must_use]
    pub fn new(name: &str, generation: i32) -> Self {
        Self {
            name: name.to_owned(),
            generation,
            slice: 0,
        }
    }

    /// The follower of one slice of the keys, counted from 1; which keys are in it is its reader's to say.
    #[must_use]
    pub fn of_slice(self, slice: i32) -> Self {
        Self { slice, ..self }
    }
}
