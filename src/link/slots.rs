//! A dense list whose entries keep their places.
//!
//! Removing leaves a free slot that the next entry takes, so a walk that pauses between two
//! entries neither skips nor repeats anybody. A walk costs what the list's longest time had.

/// Entries in a vector with free slots.
#[derive(Debug)]
pub struct Slots<T> {
    entries: Vec<Option<T>>,
    free: Vec<u32>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }
}

impl<T> Slots<T> {
    /// Takes `entry` in and returns its place.
    pub fn insert(&mut self, entry: T) -> u32 {
        self.insert_with(|_| entry)
    }

    /// Takes in what `make` makes for a place, and returns the place.
    pub fn insert_with(&mut self, make: impl FnOnce(u32) -> T) -> u32 {
        if let Some(place) = self.free.pop() {
            self.entries[place as usize] = Some(make(place));
            return place;
        }
        let place = self.places();
        self.entries.push(Some(make(place)));
        place
    }

    /// Puts what `change` makes of the entry at `place` into its place.
    pub fn replace_with(&mut self, place: u32, change: impl FnOnce(T) -> T) {
        if let Some(slot) = self.entries.get_mut(place as usize) {
            *slot = slot.take().map(change);
        }
    }

    /// Takes the entry at `place` out.
    pub fn remove(&mut self, place: u32) -> Option<T> {
        let entry = self.entries.get_mut(place as usize)?.take()?;
        self.free.push(place);
        if self.is_empty() {
            *self = Self::default(); // A list that was long once does not stay so.
        }
        Some(entry)
    }

    /// The entry at `place`.
    pub fn get(&self, place: u32) -> Option<&T> {
        self.entries.get(place as usize)?.as_ref()
    }

    /// The entry at `place`.
    pub fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        self.entries.get_mut(place as usize)?.as_mut()
    }

    /// How many places there are, free ones included.
    pub fn places(&self) -> u32 {
        self.entries.len() as u32 // A process cannot have four thousand million sockets.
    }

    /// How many entries there are.
    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// All entries, in the order of their places.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        self.entries.iter().flatten()
    }

    /// The entries at the places from `from` to before `to`, and whether there are places after.
    pub fn range(&self, from: usize, to: usize) -> (impl Iterator<Item = &T>, bool) {
        let end = to.min(self.entries.len());
        let entries = self.entries.get(from..end).unwrap_or_default();
        (entries.iter().flatten(), end < self.entries.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_keep_their_places_while_others_come_and_go() {
        let mut slots = Slots::default();
        let places: Vec<u32> = (0..5).map(|n| slots.insert(n)).collect();

        assert_eq!(slots.remove(places[1]), Some(1));
        assert_eq!(slots.remove(places[1]), None);
        assert_eq!(slots.range(2, 10).0.copied().collect::<Vec<_>>(), [2, 3, 4]);
        assert_eq!(slots.insert(9), places[1]);
        assert_eq!(slots.len(), 5);
        assert_eq!(slots.range(0, 3).0.copied().collect::<Vec<_>>(), [0, 9, 2]);
        assert!(slots.range(0, 3).1);
        assert!(!slots.range(3, 6).1);
    }

    #[test]
    fn an_emptied_list_starts_afresh() {
        let mut slots = Slots::default();
        let places: Vec<u32> = (0..100).map(|n| slots.insert(n)).collect();

        for place in places {
            slots.remove(place);
        }

        assert!(slots.is_empty());
        assert!(!slots.range(0, 1).1);
    }
}
