//! The name of this machine in records, leases and collector locks.

/// Returns the host name, or an empty string if the system does not have it.
#[must_use]
pub fn name() -> String {
    // Batch systems and containers leave HOSTNAME unset or stale, so the environment is not used.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_host_name_is_one_word() {
        let name = super::name();
        assert!(
            !name.is_empty() && !name.contains(char::is_whitespace),
            "{name:?}"
        );
    }
}
