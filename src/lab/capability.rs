//! Which capabilities a lab host gets: all the engine can give but two.
//!
//! `--privileged` asks for every capability the engine knows and fails where the machine's bounding set lacks one
//! ("unable to apply caps"); it also hands out the machine's devices. So the list is computed and asked for by name.

/// Names by bit, as in linux/capability.h.
const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// Unknown to engines older than the kernel that brought them (20.10 refuses them).
const RECENT: [&str; 3] = ["PERFMON", "BPF", "CHECKPOINT_RESTORE"];

/// Withheld: a host must not set this machine's clock nor load modules into its kernel.
const WITHHELD: [&str; 2] = ["SYS_TIME", "SYS_MODULE"];

/// The capabilities of a bounding set, given as the kernel prints it in /proc/PID/status.
fn within(bounding: u64) -> Vec<String> {
    let held = |bit: usize| bounding >> bit & 1 == 1;
    let wanted = |name: &str| !WITHHELD.contains(&name);
    NAMES.iter().enumerate().filter(|(bit, name)| held(*bit) && wanted(name)).map(|(_, name)| (*name).into()).collect()
}

/// The value of `CapBnd` in a /proc/PID/status.
fn bounding_set(status: &str) -> Option<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix("CapBnd:"))?;
    u64::from_str_radix(value.trim(), 16).ok()
}

/// What to ask for here: the bounding set of the engine where its process can be read, else this process's own.
pub(super) fn of_this_machine() -> Vec<String> {
    let engine = std::fs::read_to_string("/run/docker.pid").ok();
    let own = Some("self".to_owned());
    let bounding = [engine, own]
        .into_iter()
        .flatten()
        .filter_map(|pid| std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).ok())
        .find_map(|status| bounding_set(&status));
    within(bounding.unwrap_or(u64::MAX))
}

/// The same list without those an older engine does not know.
pub(super) fn without_recent(names: &[String]) -> Vec<String> {
    names.iter().filter(|name| !RECENT.contains(&name.as_str())).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_capability_that_the_machine_lacks_is_not_asked_for() {
        let set = bounding_set("Name:\tx\nCapBnd:\t000001fffeffffff\n").unwrap();
        let names = within(set);
        assert!(names.contains(&"SYS_ADMIN".into()) && names.contains(&"BPF".into()));
        assert!(!names.contains(&"SYS_RESOURCE".into()), "bit 24 is not set");
        assert!(!names.contains(&"SYS_TIME".into()), "the machine's clock is not the host's");
        assert!(!without_recent(&names).contains(&"BPF".into()));
    }
}
