//! The contents of one forward pass: rows of the requests of one or several inputs.

use std::ops::Range;
use std::sync::Arc;

use super::device_counts::DeviceCounts;
use super::input::PreparedInput;
use super::request::{DrawBlock, DrawRequest};

/// One forward pass: its rows, from the first on. The rows that are left over are empty.
#[derive(Default)]
pub(super) struct Pass {
    /// The place of its network among the variant's.
    pub(super) network: usize,
    pub(super) parts: Vec<PassPart>,
}

/// Rows of one input's request in a pass.
#[derive(Clone)]
pub(super) struct PassPart {
    /// The input's slot in the queue of rows.
    pub(super) slot: usize,
    pub(super) input: Arc<PreparedInput>,
    pub(super) request: Arc<DrawRequest>,
    pub(super) rows: Range<u64>,
    /// The counts that the device keeps of these rows, if it does.
    pub(super) counts: Option<Arc<DeviceCounts>>,
}

impl Pass {
    /// Makes a pass of one request that is in no queue.
    pub(super) fn of(
        input: Arc<PreparedInput>,
        request: Arc<DrawRequest>,
        rows: Range<u64>,
    ) -> Self {
        let network = request.network();
        let part = PassPart {
            slot: 0,
            input,
            request,
            rows,
            counts: None,
        };
        Self {
            network,
            parts: vec![part],
        }
    }

    /// Returns the number of rows that are not empty.
    pub(super) fn rows(&self) -> u64 {
        self.parts.iter().map(PassPart::len).sum()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    /// Returns the blocks of a pass in the order of its rows.
    pub(super) fn blocks(&self) -> impl Iterator<Item = (&PassPart, DrawBlock)> {
        self.parts.iter().flat_map(|part| {
            let blocks = part.request.blocks(part.rows.clone());
            blocks.map(move |block| (part, block))
        })
    }

    /// Returns the parts with the number of the first row of each.
    pub(super) fn numbered_parts(&self) -> impl Iterator<Item = (usize, &PassPart)> {
        self.parts.iter().scan(0, |next, part| {
            let first = *next;
            *next += part.len() as usize;
            Some((first, part))
        })
    }
}

impl PassPart {
    pub(super) fn len(&self) -> u64 {
        self.rows.end - self.rows.start
    }
}
