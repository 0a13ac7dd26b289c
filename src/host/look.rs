//! The batched look: one script that tells everything about a host but its containers, and what its answer means.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use indexmap::IndexMap;

use super::lease::EXPIRES;
use super::{Facts, FileState, Grant, Interface, Lease, LeaseNote, Look, LookRequest, sysctl_path};
use crate::error::HostCause;
use crate::shell;

/// Functions of the script; what to call is put behind them.
const SCRIPT: &str = include_str!("look.sh");
/// What stdout ends with when the script has answered; one that got the lease then stays to hold it.
pub(super) const ANSWERED: &[u8] = b"\0end \0";
/// For how long a look waits for whoever has the lease: a run that was just killed has it until sshd has noticed.
pub(super) const NOTICED: Duration = Duration::from_secs(2);

/// The script that answers a question and, with a note, takes the site's lease.
pub(super) fn script(ask: &LookRequest, socket: &str, lease: Option<&LeaseNote>) -> String {
    let mut script = String::from(SCRIPT);
    // What one kind of host lacks is no error, and nobody reads what is said about it.
    script.push_str("\nexec 2>/dev/null\n");
    if let Some(note) = lease {
        script.push_str(&take(note, NOTICED));
    }
    let mut call = |function: &str, words: Vec<String>| {
        if !words.is_empty() {
            let _ = writeln!(script, "{function} {}", shell::join(words));
        }
    };
    call("facts", vec![socket.to_owned()]);
    call("folders", ask.folders.clone());
    call("files", ask.files.clone());
    call("sysctls", ask.sysctls.iter().map(|name| sysctl_path(name)).collect());
    call("packages", ask.packages.clone());
    call("units", ask.units.clone());
    let _ = writeln!(script, "hold {}", EXPIRES.as_secs());
    script
}

/// The script that only takes the site's lease.
pub(super) fn lease_script(note: &LeaseNote, within: Duration) -> String {
    format!("{SCRIPT}\n{}printf '\\0'\nhold {}\n", take(note, within), EXPIRES.as_secs())
}

fn take(note: &LeaseNote, within: Duration) -> String {
    let text = serde_json::to_string(note).unwrap_or_default();
    format!("lease {} {}\n", shell::quote(&text), within.as_secs())
}

/// What a script says of the lease: `process` is the one that holds it if it was granted.
pub(super) fn grant(answer: &[u8], process: Option<Lease>) -> Result<Grant, HostCause> {
    let mut records = answer.split(|byte| *byte == 0);
    let said = records.find(|record| record.starts_with(b"holder ") || record.starts_with(b"lease "));
    let grant = match said.map(|said| said.strip_prefix(b"holder ".as_slice())) {
        Some(Some(holder)) => Some(Grant::Held(serde_json::from_slice(holder).unwrap_or_default())),
        Some(None) => process.map(Grant::Granted),
        None => None,
    };
    grant.ok_or_else(|| HostCause::Answer("`/run/kolla.lease` cannot be locked with `flock`".to_owned()))
}

/// What a script answered. `listens` of the answer: something listens on the engine's socket.
pub(super) fn parse(ask: &LookRequest, code: u32, answer: &[u8]) -> Result<Look, HostCause> {
    if !answer.ends_with(ANSWERED) {
        return Err(HostCause::Answer(format!("the look ended early, with exit code {code}")));
    }
    let mut look = Look::default();
    let (mut last_file, mut sysctls) = (None, BTreeMap::new());
    let text = String::from_utf8_lossy(answer);
    for record in text.split('\0') {
        let Some((word, value)) = record.split_once(' ') else { continue };
        match word {
            "file" => last_file = file(value, &mut look.files),
            "owner" => {
                if let Some(state) = last_file.as_ref().and_then(|path: &String| look.files.get_mut(path)) {
                    value.clone_into(&mut state.owner);
                }
            }
            "link" => {
                let state = last_file.take().and_then(|path: String| look.files.get_mut(&path));
                if let Some(state) = state.filter(|_| !value.is_empty()) {
                    state.link = Some(value.to_owned());
                }
            }
            "sysctls" => {
                for (path, value) in value.lines().filter_map(|line| line.split_once(':')) {
                    sysctls.insert(path.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" "));
                }
            }
            "packages" => look.packages.extend(value.lines().filter_map(package)),
            "unit" => look.units.extend(value.split_once(' ').map(|(name, state)| (name.to_owned(), state.to_owned()))),
            "volume" => look.volumes.push(value.to_owned()),
            // `<digest>  <path>`, from sha256sum.
            digest if digest.len() == 64 => {
                if let Some(state) = value.get(1..).and_then(|path| look.files.get_mut(path)) {
                    digest.clone_into(&mut state.digest);
                }
            }
            _ => fact(word, value, &mut look.facts),
        }
    }
    // A map that was filled in order has room for as much again.
    look.files = std::mem::take(&mut look.files).into_iter().collect();
    for name in &ask.sysctls {
        if let Some(value) = sysctls.get(&sysctl_path(name)) {
            look.sysctls.insert(name.clone(), value.clone());
        }
    }
    if look.facts.time_ms == 0 {
        return Err(HostCause::Answer("the look brought no facts".to_owned()));
    }
    Ok(look)
}

/// `type mode uid:gid path`; its path.
fn file(value: &str, files: &mut BTreeMap<String, FileState>) -> Option<String> {
    let mut words = value.splitn(4, ' ');
    let (_, mode, ids, path) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let state = FileState { mode: format!("{mode:0>4}"), ids: ids.to_owned(), ..FileState::default() };
    files.insert(path.to_owned(), state);
    Some(path.to_owned())
}

fn package(line: &str) -> Option<(String, String)> {
    let (name, version) = line.strip_prefix("installed ")?.split_once(' ')?;
    Some((name.to_owned(), version.to_owned()))
}

fn fact(word: &str, value: &str, facts: &mut Facts) {
    match word {
        "time" => facts.time_ms = value.parse::<i64>().unwrap_or(0) / 1_000_000,
        "uname" => {
            let mut words = value.split_whitespace().map(str::to_owned);
            let name = words.next().unwrap_or_default();
            name.split('.').next().unwrap_or_default().clone_into(&mut facts.hostname);
            facts.kernel = words.next().unwrap_or_default();
            facts.arch = words.next().unwrap_or_default();
        }
        "os" => {
            for (name, value) in value.lines().filter_map(|line| line.split_once('=')) {
                let value = value.trim().trim_matches(['"', '\'']).to_owned();
                match name {
                    "ID" => facts.os = value,
                    "VERSION_ID" => facts.os_version = value,
                    "VERSION_CODENAME" => facts.os_codename = value,
                    _ => {}
                }
            }
        }
        "cpus" => facts.cpus = number(value),
        "meminfo" => facts.memory_mib = value.split_whitespace().nth(1).map_or(0, number::<u64>) / 1024,
        // Without a limit this is `max`, or more than there is.
        "limit" => {
            if let Ok(bytes) = value.parse::<u64>() {
                facts.memory_mib = facts.memory_mib.min(bytes / 1024 / 1024);
            }
        }
        "disk" => {
            let last = value.lines().next_back().unwrap_or_default();
            facts.disk_free_mib = last.split_whitespace().nth(3).map_or(0, number::<u64>) / 1024;
        }
        "open_files" => facts.open_files = if value == "unlimited" { u64::MAX } else { number(value) },
        "cgroup" => facts.cgroup = number(value),
        "systemd" => facts.systemd = true,
        "kvm" => facts.kvm = true,
        "openvswitch" => facts.openvswitch = true,
        "virt" => facts.virt = if value.is_empty() { "none".to_owned() } else { value.to_owned() },
        "time_service" if facts.time_service.is_empty() => value.clone_into(&mut facts.time_service),
        "interface" => {
            let mut words = value.split(' ');
            let (Some(name), Some(flags)) = (words.next(), words.next()) else { return };
            let flags = u32::from_str_radix(flags.trim_start_matches("0x"), 16).unwrap_or(0);
            let interface = Interface {
                up: flags & 1 == 1,
                mtu: words.next().map_or(0, number),
                mac: words.next().unwrap_or_default().to_owned(),
                ..Interface::default()
            };
            facts.interfaces.insert(name.to_owned(), interface);
        }
        "addresses" => value.lines().for_each(|line| address(line, &mut facts.interfaces)),
        "routes" => facts.default_interface = default_interface(value),
        "listening" => {
            facts.listening = value.lines().filter_map(listener).collect();
            facts.listening.sort();
            facts.listening.dedup();
        }
        "hosts" => value.clone_into(&mut facts.hosts_file),
        "engine" => facts.engine = true,
        "root" => value.clone_into(&mut facts.engine_root),
        _ => {}
    }
}

fn number<T: std::str::FromStr + Default>(text: &str) -> T {
    text.trim().parse().unwrap_or_default()
}

/// `2: eth0    inet 10.0.0.11/24 brd ... scope global eth0 ...`
fn address(line: &str, interfaces: &mut IndexMap<String, Interface>) {
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, name, family, address, ..] = words.as_slice() else { return };
    let global = words.windows(2).any(|pair| pair == ["scope", "global"]);
    let Some(interface) = interfaces.get_mut(*name) else { return };
    match *family {
        "inet" => interface.ipv4.push((*address).to_owned()),
        "inet6" if global => interface.ipv6.push((*address).to_owned()),
        _ => {}
    }
}

/// The interface of the IPv4 default route with the lowest metric, from /proc/net/route.
fn default_interface(routes: &str) -> String {
    let defaults = routes.lines().skip(1).filter_map(|line| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [name, destination, _, flags, _, _, metric, mask, ..] = words.as_slice() else { return None };
        let up = u32::from_str_radix(flags, 16).ok()? & 1 == 1;
        (*destination == "00000000" && *mask == "00000000" && up).then(|| (number::<u64>(metric), (*name).to_owned()))
    });
    defaults.min().map(|(_, name)| name).unwrap_or_default()
}

/// The fourth word of `ss -Hltn`, as `address:port`.
fn listener(line: &str) -> Option<String> {
    let (address, port) = line.split_whitespace().nth(3)?.rsplit_once(':')?;
    let address = address.split('%').next().unwrap_or(address);
    let address = if matches!(address, "0.0.0.0" | "[::]" | "*") { "*" } else { address };
    Some(format!("{address}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(records: &[&str]) -> Vec<u8> {
        let mut all = vec!["time 1700000000123456789"];
        all.extend(records);
        all.push("end ");
        all.iter().flat_map(|record| [record.as_bytes(), b"\0"].concat()).collect()
    }

    #[test]
    fn facts_come_from_every_kind_of_line() {
        let look = parse(
            &LookRequest::default(),
            0,
            &answer(&[
                "uname control01.example.org 6.12.0-1 x86_64",
                "os PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_ID=\"13\"\nVERSION_CODENAME=trixie\n",
                "cpus 4",
                "meminfo MemTotal:       16384000 kB",
                "limit max",
                "limit 4294967296",
                "disk Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/vda1 100 20 81920 20% /",
                "open_files 20000",
                "cgroup 2",
                "systemd 1",
                "virt ",
                "time_service chrony",
                "time_service systemd-timesyncd",
                "interface eth0 0x1003 1500 02:42:ac:11:00:02",
                "interface eth1 0x1002 9000 02:42:ac:11:00:03",
                "addresses 1: eth0    inet 10.0.0.11/24 brd 10.0.0.255 scope global eth0\\ valid_lft forever\n\
                 1: eth0    inet6 fe80::1/64 scope link \\ x\n1: eth0    inet6 2001:db8::1/64 scope global \\ x",
                "routes Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
                 eth1\t00000000\t0100000A\t0003\t0\t0\t200\t00000000\t0\n\
                 eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\n",
                "listening LISTEN 0 128 0.0.0.0:22 0.0.0.0:*\nLISTEN 0 128 [::]:22 [::]:*\n\
                 LISTEN 0 4096 127.0.0.53%lo:53 0.0.0.0:*\nLISTEN 0 9 [fd00::1]:80 [::]:*",
                "hosts 127.0.0.1 localhost\n\n# end\n",
                "engine 1",
                "root /var/lib/docker",
                "volume mariadb",
            ]),
        )
        .unwrap();
        let facts = &look.facts;
        assert_eq!((facts.hostname.as_str(), facts.kernel.as_str()), ("control01", "6.12.0-1"));
        assert_eq!(
            (facts.os.as_str(), facts.os_version.as_str(), facts.os_codename.as_str()),
            ("debian", "13", "trixie")
        );
        assert_eq!((facts.memory_mib, facts.disk_free_mib, facts.open_files), (4096, 80, 20000));
        assert_eq!(
            (facts.virt.as_str(), facts.time_service.as_str(), facts.time_ms),
            ("none", "chrony", 1_700_000_000_123)
        );
        assert_eq!(facts.default_interface, "eth0");
        assert!(facts.interfaces["eth0"].up && !facts.interfaces["eth1"].up);
        assert_eq!(facts.interfaces["eth0"].ipv4, ["10.0.0.11/24"]);
        assert_eq!(facts.interfaces["eth0"].ipv6, ["2001:db8::1/64"]);
        assert_eq!(facts.listening, ["*:22", "127.0.0.53:53", "[fd00::1]:80"]);
        assert_eq!(facts.hosts_file, "127.0.0.1 localhost\n\n# end\n");
        assert_eq!(look.volumes, ["mariadb"]);
    }

    #[test]
    fn files_links_packages_and_parameters() {
        let digest = "a".repeat(64);
        let ask = LookRequest { sysctls: vec!["net.ipv4.tcp_rmem".into()], ..LookRequest::default() };
        let look = parse(
            &ask,
            0,
            &answer(&[
                "file f 600 0:1005 /etc/kolla/a b\\c",
                "owner root:domain users",
                "link ",
                "file l 777 0:0 /etc/kolla/x",
                "owner root:root",
                "link .sets/x-1",
                &format!("{digest}  /etc/kolla/a b\\c"),
                "sysctls net/ipv4/tcp_rmem:4096\t131072\t6291456",
                "unit docker failed",
                "packages installed docker.io 26.1.5+dfsg1\ndeinstall ok chrony 4\npackage x is not installed",
            ]),
        )
        .unwrap();
        assert_eq!(look.files["/etc/kolla/a b\\c"].digest, digest);
        assert_eq!(look.files["/etc/kolla/a b\\c"].mode, "0600");
        let odd = &look.files["/etc/kolla/a b\\c"];
        assert_eq!((odd.owner.as_str(), odd.ids.as_str()), ("root:domain users", "0:1005"));
        for owner in ["root", "root:domain users", "0:domain users", "root:1005", ""] {
            assert_eq!(odd.owned_by(owner), !owner.is_empty(), "{owner}");
        }
        assert!(look.files["/etc/kolla/x"].owned_by("") && !look.files["/etc/kolla/x"].owned_by("daemon"));
        assert_eq!(look.units["docker"], "failed");
        assert_eq!(look.files["/etc/kolla/x"].link.as_deref(), Some(".sets/x-1"));
        assert_eq!(look.sysctls["net.ipv4.tcp_rmem"], "4096 131072 6291456");
        assert_eq!(look.packages, BTreeMap::from([("docker.io".into(), "26.1.5+dfsg1".into())]));
    }

    #[test]
    fn the_first_separator_of_a_parameter_decides() {
        for (name, path) in [
            ("net.ipv4.ip_forward", "net/ipv4/ip_forward"),
            ("net/ipv4/conf/eth0.1/forwarding", "net/ipv4/conf/eth0.1/forwarding"),
            ("net.ipv4.conf.eth0/1.forwarding", "net/ipv4/conf/eth0.1/forwarding"),
        ] {
            assert_eq!(sysctl_path(name), path);
        }
    }

    #[test]
    fn an_answer_cut_short_is_an_error_and_a_lease_that_is_held_names_its_holder() {
        assert!(matches!(parse(&LookRequest::default(), 0, b"time 1\0uname x"), Err(HostCause::Answer(_))));
        let note = br#"holder {"user":"ops","machine":"deploy","pid":7,"since":"2026-01-01T00:00:00Z","command":"kolla deploy"}"#;
        let holder = |answer: &[u8]| match grant(answer, Some(Lease::new().0)) {
            Ok(Grant::Held(note)) => note.to_string(),
            other => panic!("{other:?}"),
        };
        assert_eq!(
            holder(&[note.as_slice(), b"\n\0time 1\0end \0"].concat()),
            "`kolla deploy` of ops on deploy, process 7, since 2026-01-01T00:00:00Z"
        );
        assert_eq!(holder(b"holder \0end \0"), "a run that does not say who it is");
        let granted = b"lease granted\0time 1\0end \0";
        assert!(matches!(grant(granted, Some(Lease::new().0)), Ok(Grant::Granted(_))));
        assert!(grant(granted, None).is_err(), "it ended at once");
        assert!(grant(b"time 1\0end \0", Some(Lease::new().0)).is_err());
    }
}
