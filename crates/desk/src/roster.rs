//! Live parents in the order of their numbers, side by side in memory: a book update walks thousands of them.

use domain::ParentId;

use crate::parents::Live;

/// All live parents. Numbers only grow, so a new one goes to the end; one that ends leaves a gap that is closed at once.
#[derive(Debug, Default)]
pub(crate) struct Roster(Vec<Live>);

impl Roster {
    fn find(&self, id: ParentId) -> Result<usize, usize> {
        self.0.binary_search_by_key(&id, |live| live.id)
    }

    pub fn get(&self, id: ParentId) -> Option<&Live> {
        self.find(id).ok().map(|at| &self.0[at])
    }

    pub fn get_mut(&mut self, id: ParentId) -> Option<&mut Live> {
        self.find(id).ok().map(|at| &mut self.0[at])
    }

    /// The parent `id`, looked for from place `at` on; `at` moves there. For walks in rising order.
    pub fn seek_mut(&mut self, at: &mut usize, id: ParentId) -> Option<&mut Live> {
        let rest = self.0.get(*at..)?;
        // usually it is the very next one
        *at += match rest.first() {
            Some(live) if live.id >= id => 0,
            Some(_) if rest.get(1).is_some_and(|live| live.id >= id) => 1,
            _ => rest.partition_point(|live| live.id < id),
        };
        self.0.get_mut(*at).filter(|live| live.id == id)
    }

    pub fn insert(&mut self, live: Live) {
        match self.find(live.id) {
            Ok(at) => self.0[at] = live,
            Err(at) => self.0.insert(at, live),
        }
    }

    pub fn remove(&mut self, id: ParentId) -> Option<Live> {
        self.find(id).ok().map(|at| self.0.remove(at))
    }

    pub fn iter(&self) -> impl Iterator<Item = &Live> {
        self.0.iter()
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
