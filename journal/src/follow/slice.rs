//! Which part of the keys a follower takes.

use ring::digest::{SHA256, digest};

/// How many slices a follower may be cut into. The table of layouts holds it, too.
pub const SLICES_MAX: i32 = 16;

/// One of the parts that a follower's keys are cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Slice {
    number: i32,
    count: i32,
}

impl Slice {
    /// The only one of a follower that is not cut: all keys.
    pub const ALL: Self = Self {
        number: 0,
        count: 1,
    };

    /// The slices of a follower that is cut into so many.
    pub fn each_of(count: i32) -> impl Iterator<Item = Self> {
        let numbers = if count <= 1 { 0..=0 } else { 1..=count };
        let count = count.max(1);
        numbers.map(move |number| Self { number, count })
    }

    /// The one of so many that a key is in: 0 when there is one, else counted from 1.
    ///
    /// The first 32 bits of the SHA-256 of the key's text, modulo. Versions and builds run beside each other and the
    /// database counts, too (`slice_of`), so this never changes.
    #[must_use]
    pub fn of_key(key: &str, count: i32) -> i32 {
        if count <= 1 {
            return 0;
        }
        let hash = digest(&SHA256, key.as_bytes());
        let first = hash.as_ref().iter().take(4);
        let number = first.fold(0_i64, |number, byte| number << 8 | i64::from(*byte));
        let slice = number.checked_rem(i64::from(count)).unwrap_or(0);
        i32::try_from(slice).map_or(0, |slice| slice + 1)
    }

    /// Its number: 0 when it is the only one, else counted from 1.
    #[must_use]
    pub fn number(self) -> i32 {
        self.number
    }

    /// How many there are.
    #[must_use]
    pub fn count(self) -> i32 {
        self.count
    }

    /// Whether a key is in it.
    #[must_use]
    pub fn holds(self, key: &str) -> bool {
        Self::of_key(key, self.count) == self.number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_in_the_same_slice_for_ever() {
        let slices =
            ["1", "2", "7", "4711", "133333", "", "siebzehn"].map(|key| Slice::of_key(key, 4));
        assert_eq!(slices, [4, 3, 4, 2, 3, 3, 3]);
    }

    #[test]
    fn each_key_is_in_one_slice_and_the_slices_are_of_about_the_same_size() {
        for count in 1..=SLICES_MAX {
            let slices: Vec<_> = Slice::each_of(count).collect();
            assert_eq!(i32::try_from(slices.len()), Ok(count));
            let mut sizes = vec![0; slices.len()];
            for booking in 1..=10_000 {
                let key = booking.to_string();
                let mut holders = slices
                    .iter()
                    .enumerate()
                    .filter(|(_, slice)| slice.holds(&key));
                let (place, _) = holders.next().unwrap();
                assert_eq!(holders.next(), None, "{key}");
                sizes[place] += 1;
            }
            let share = 10_000 / count;
            let about = share * 8 / 10..=share * 12 / 10;
            assert!(sizes.iter().all(|size| about.contains(size)), "{sizes:?}");
        }
    }
}
