//! The largest of many values, also without one of them.

/// A tournament over slots: every node holds the larger of its two children. Changing one value, and asking for the largest of
/// all others, costs as many steps as the tree is high.
#[derive(Clone, Debug, Default)]
pub(crate) struct Peaks {
    /// Root at 1, children of `n` at `2n` and `2n + 1`, leaves in the second half.
    nodes: Vec<i128>,
}

/// No value; below every one. An optional number compares an order of magnitude slower.
const NONE: i128 = i128::MIN;

fn told(value: i128) -> Option<i128> {
    (value != NONE).then_some(value)
}

impl Peaks {
    const fn leaves(&self) -> usize {
        self.nodes.len() / 2
    }

    /// The value of `slot`; `None` takes it out.
    pub(crate) fn set(&mut self, slot: usize, value: Option<i128>) {
        if slot >= self.leaves() {
            if value.is_none() {
                return;
            }
            self.grow(slot + 1);
        }
        let mut node = self.leaves() + slot;
        let value = value.unwrap_or(NONE);
        if self.nodes[node] == value {
            return;
        }
        self.nodes[node] = value;
        while node > 1 {
            node /= 2;
            let above = self.nodes[2 * node].max(self.nodes[2 * node + 1]);
            if self.nodes[node] == above {
                return;
            }
            self.nodes[node] = above;
        }
    }

    fn grow(&mut self, slots: usize) {
        let leaves = slots.next_power_of_two();
        let mut nodes = vec![NONE; 2 * leaves];
        let before = self.leaves();
        nodes[leaves..leaves + before].copy_from_slice(&self.nodes[before..]);
        for node in (1..leaves).rev() {
            nodes[node] = nodes[2 * node].max(nodes[2 * node + 1]);
        }
        self.nodes = nodes;
    }

    /// The largest of all; `None` if there is no value.
    pub(crate) fn max(&self) -> Option<i128> {
        self.nodes.get(1).copied().and_then(told)
    }

    /// The largest of all but that of `slot`.
    pub(crate) fn max_without(&self, slot: usize) -> Option<i128> {
        if slot >= self.leaves() {
            return self.max();
        }
        let (mut node, mut max) = (self.leaves() + slot, NONE);
        while node > 1 {
            max = self.nodes[node ^ 1].max(max);
            node /= 2;
        }
        told(max)
    }
}
