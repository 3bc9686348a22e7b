//! The place where batches are made, and the number of images per pass that follows from it.

use tch::Device;

/// Pixels of the images in one forward pass on the CPU: their activations should fit the caches.
const CPU_PIXELS: u64 = 50 * 32 * 32;
/// The fewest images in a forward pass on the CPU. The weights of a layer are read once for all of
/// them.
const CPU_MIN_IMAGES: u64 = 16;

/// The place where noise is drawn and classes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BatchMode {
    /// The CPU threads do both, each for a few images at a time.
    Host,
    /// The device does both. One thread queues work ahead of it.
    Device,
}

impl BatchMode {
    pub(super) fn of(device: Device) -> Self {
        if device.is_cuda() {
            Self::Device
        } else {
            Self::Host
        }
    }

    /// Returns the number of images in every forward pass, from the size of a chunk and the pixels
    /// of an image. On a GPU it is one chunk.
    ///
    /// A pass that has fewer rows to score is filled up to this number, because arithmetic may
    /// depend on it. So it is a function of the specification and of the image's size alone.
    pub(super) fn rows_per_pass(self, chunk: u64, pixels: usize) -> u64 {
        match self {
            Self::Device => chunk,
            Self::Host => {
                (CPU_PIXELS / pixels as u64).clamp(CPU_MIN_IMAGES, chunk.max(CPU_MIN_IMAGES))
            }
        }
    }
}
