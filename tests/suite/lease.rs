//! Two runs at the same time: real processes, with this machine as the one controller, and compute hosts that accept
//! connections and never say a word. The runs hold the lease while they wait for those, and never get to change anything.
#![allow(clippy::disallowed_types)]

use std::fs;
use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::folder::Folder;

/// Who has the lease at this machine.
const NOTE: &str = "/run/kolla.lease";

struct Site {
    folder: Folder,
    _silent: TcpListener,
}

impl Site {
    fn new() -> Self {
        let silent = TcpListener::bind("0.0.0.0:0").unwrap();
        let inventory = format!(
            "[control]\nc01 ansible_connection=local\n[compute]\ncompute01 ansible_host=127.0.0.1\n\
             compute02 ansible_host=127.0.0.2\n[compute:vars]\nansible_port={}\n",
            silent.local_addr().unwrap().port()
        );
        Self { folder: Folder::new(&inventory), _silent: silent }
    }

    fn deploy(&self, limit: &str) -> Child {
        self.kolla(&["deploy", "--limit", limit])
    }

    fn kolla(&self, words: &[&str]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kolla"));
        command.args(["--configdir", "."]).args(words).current_dir(self.folder.path(""));
        command.env_clear().env("HOME", self.folder.path("")).env("USER", "ops");
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

fn until_it_has_the_lease(limit: &str) {
    let began = Instant::now();
    while !fs::read_to_string(NOTE).is_ok_and(|note| note.contains(&format!("--limit {limit}"))) {
        assert!(began.elapsed() < Duration::from_secs(9), "{:?}", fs::read_to_string(NOTE));
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
#[ignore = "needs root"]
fn runs_with_disjoint_limits_do_not_pass_each_other() {
    let site = Site::new();
    let mut first = site.deploy("compute01");
    until_it_has_the_lease("compute01");
    // Held still, it has the lease for longer than it waits for a host.
    kill(Pid::from_raw(first.id().try_into().unwrap()), Signal::SIGSTOP).unwrap();
    let refused = site.deploy("compute02").wait_with_output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    let machine = fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
    for word in [
        "error: c01: take the site's lease: another run has it: `kolla --configdir . deploy --limit compute01` of ops on ",
        &format!("on {}, process {}, since 20", machine.trim(), first.id()),
        "\nhint: wait for that run to end",
    ] {
        assert!(said.contains(word), "{said}");
    }
    // What writes to the cloud by its APIs is a run, too.
    site.folder.write("globals.yml", "kolla_internal_vip_address: 127.0.0.1\n");
    site.folder.write("cirros.img", "QFI\u{fb}");
    let refused = site.kolla(&["init-runonce", "--image", "cirros.img"]).wait_with_output().unwrap();
    let said = String::from_utf8(refused.stderr).unwrap();
    assert_eq!(refused.status.code(), Some(1), "{said}");
    assert!(said.contains("error: c01: take the site's lease: another run has it"), "{said}");

    first.kill().unwrap();
    first.wait().unwrap();
    site.folder.write("globals.yml", "kolla_internal_vip_address: 10.0.0.100\nenable_openstack_core: false\n");
    let mut second = site.deploy("compute02");
    until_it_has_the_lease("compute02");
    second.kill().unwrap();
    second.wait().unwrap();
}
