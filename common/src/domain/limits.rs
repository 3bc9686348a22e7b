//! Limits on files that several modules read.

/// The largest number of pixels of an image, in its file and after resizing: the size at which
/// Pillow starts to warn of decompression bombs.
pub const MAX_PIXELS: u64 = 89_478_485;

/// The longest header of a safetensors file, in bytes: the limit of the format's own library.
pub const MAX_SAFETENSORS_HEADER: u64 = 100_000_000;
