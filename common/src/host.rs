//! This machine's name, as records, leases and collectors call it.

/// The host name; empty where the system does not say.
#[must_use]
pub fn name() -> String {
    // Not the environment's HOSTNAME, which batch systems and containers leave unset or stale.
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    name.trim().to_owned()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_name_is_one_word() {
        let name = super::name();
        assert!(
            !name.is_empty() && !name.contains(char::is_whitespace),
            "{name:?}"
        );
    }
}
