//! Errors of torch: their kind, where a caller branches on it, and their text for messages.

use tch::TchError;

/// The kinds of failure that callers tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TorchFailure {
    /// The device or the host had too little memory for a tensor.
    OutOfMemory,
    /// Any other failure.
    Other,
}

impl TorchFailure {
    /// Classifies an error of torch.
    ///
    /// torch reports every failure as text, so this is the one place that reads the text. CUDA's
    /// allocator says "out of memory", the CPU's says "tried to allocate".
    #[must_use]
    pub fn of(error: &TchError) -> Self {
        let text = error.to_string().to_lowercase();
        if text.contains("out of memory") || text.contains("tried to allocate") {
            Self::OutOfMemory
        } else {
            Self::Other
        }
    }
}

/// Reduces an error of torch to its first line, without the C++ stack that follows.
pub fn brief(error: TchError) -> anyhow::Error {
    let text = match error {
        TchError::Torch(text) => text,
        other => other.to_string(),
    };
    let mut lines = text.lines().map(str::trim);
    let reason = lines.find(|line| !line.is_empty());
    anyhow::anyhow!("torch: {}", reason.unwrap_or("no reason given"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_that_ran_out_is_recognised_on_both_devices() {
        for text in [
            "CUDA out of memory. Tried to allocate 2 GiB",
            "can't allocate memory: you tried to allocate 9 bytes",
        ] {
            let error = TchError::Torch(text.to_owned());
            assert_eq!(TorchFailure::of(&error), TorchFailure::OutOfMemory);
        }
        let other = TchError::Shape("sizes differ".to_owned());
        assert_eq!(TorchFailure::of(&other), TorchFailure::Other);
    }
}
