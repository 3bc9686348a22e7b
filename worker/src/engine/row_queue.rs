//! The rows that inputs wait for, and the way they are packed into forward passes.

use std::collections::VecDeque;

use super::packing::Packing;
use super::pass::{Pass, PassPart};
use super::progress::SampleProgress;
use super::scores::RowScores;

/// The inputs in progress. Threads take passes from it and bring answers back.
#[derive(Default)]
pub(super) struct RowQueue {
    slots: Vec<Option<SampleProgress>>,
    /// Slots with rows that no pass has taken, the earliest first.
    ready: VecDeque<usize>,
}

/// The rules by which passes are filled.
#[derive(Debug, Clone, Copy)]
pub(super) struct PackingRules {
    /// Rows per pass.
    pub(super) rows: u64,
    pub(super) packing: Packing,
    /// True if a pass takes only whole blocks. A block that is larger than a pass is divided.
    pub(super) whole_blocks: bool,
}

impl PackingRules {
    /// Returns the number of waiting rows that are enough for a pass.
    fn least_rows(self, last: bool) -> u64 {
        if self.packing == Packing::Anywhere && !last {
            self.rows
        } else {
            1
        }
    }
}

impl RowQueue {
    /// Adds an input that wants rows.
    pub(super) fn add(&mut self, progress: SampleProgress) {
        let slot = self.free_slot();
        self.slots[slot] = Some(progress);
        self.ready.push_back(slot);
    }

    /// Takes a full pass, or one that is not full if `last` is true.
    ///
    /// Inputs that have waited longest come first, and an empty pass has room for whatever they
    /// want. So no rows wait for those that came later. Where a block finds no room, later blocks
    /// that fit may fill what is left.
    ///
    /// All rows of a pass are of one network. There are `rules` for each.
    pub(super) fn take(&mut self, rules: &[PackingRules], last: bool) -> Option<Pass> {
        let network = self.next_network(rules, last)?;
        let pass = self.fill(network, rules[network]);
        self.forget_taken();
        Some(pass)
    }

    /// Returns the network with enough waiting rows whose input has waited longest.
    fn next_network(&self, rules: &[PackingRules], last: bool) -> Option<usize> {
        let waiting = self.waiting_rows(rules.len());
        let mut networks = self.ready_inputs().map(SampleProgress::network);
        networks.find(|&network| waiting[network] >= rules[network].least_rows(last))
    }

    /// Takes the answers to the rows of a part, on which `seconds` were spent. Returns the input if
    /// it is complete now.
    pub(super) fn answer<'a>(
        &mut self,
        part: &PassPart,
        scores: impl Iterator<Item = RowScores<'a>>,
        seconds: f64,
    ) -> Option<SampleProgress> {
        let progress = self.slots[part.slot].as_mut()?;
        progress.spend(seconds);
        for (row, scores) in part.rows.clone().zip(scores) {
            progress.answer(row, &scores);
        }
        if progress.waiting() == 0 {
            self.ready.retain(|&slot| slot != part.slot);
        }
        if progress.is_complete() {
            self.slots[part.slot].take()
        } else {
            None
        }
    }

    fn free_slot(&mut self) -> usize {
        let free = self.slots.iter().position(Option::is_none);
        free.unwrap_or_else(|| {
            self.slots.push(None);
            self.slots.len() - 1
        })
    }

    /// Returns the inputs with rows that no pass has taken, the earliest first.
    fn ready_inputs(&self) -> impl Iterator<Item = &SampleProgress> {
        let slots = self.ready.iter();
        slots.filter_map(|&slot| self.slots[slot].as_ref())
    }

    /// Returns the number of waiting rows of each network.
    fn waiting_rows(&self, networks: usize) -> Vec<u64> {
        let mut waiting = vec![0; networks];
        for input in self.ready_inputs() {
            waiting[input.network()] += input.waiting();
        }
        waiting
    }

    fn fill(&mut self, network: usize, rules: PackingRules) -> Pass {
        let mut pass = Pass {
            network,
            parts: Vec::new(),
        };
        for &slot in &self.ready {
            let room = rules.rows - pass.rows();
            if room == 0 || (rules.packing == Packing::InPlace && !pass.is_empty()) {
                break;
            }
            // Inputs leave their slots only when they have no rows in the queue.
            if let Some(progress) = &mut self.slots[slot]
                && progress.network() == network
                && let Some(rows) = progress.take_rows(room, rules.whole_blocks, pass.is_empty())
            {
                pass.parts.push(progress.part(slot, rows));
            }
        }
        pass
    }

    /// Removes the slots whose rows are all taken from those that are ready.
    fn forget_taken(&mut self) {
        let slots = &self.slots;
        self.ready.retain(|&slot| {
            let progress = slots[slot].as_ref();
            progress.is_some_and(|progress| progress.waiting() > 0)
        });
    }

    /// Empties the queue.
    #[cfg(test)]
    pub(super) fn into_inputs(self) -> impl Iterator<Item = SampleProgress> {
        self.slots.into_iter().flatten()
    }
}
