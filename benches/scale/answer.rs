//! What scripts answer on a host in memory: the look's records, files put in place, and a few plain commands.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Read as _;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use kolla::host::fake::Fake;
use kolla::host::{Facts, Interface, Look, LookRequest, Output, PutFile};

/// A host in memory, and what it answered to who only looks. That is said again until something changes: the hosts share
/// the processors of what is measured, which real ones do not.
pub(crate) struct Host {
    pub(crate) fake: Fake,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    answers: BTreeMap<String, Vec<u8>>,
    changes: u64,
}

impl Host {
    pub(crate) fn new(index: usize) -> Self {
        Self { fake: bare(index), kept: Mutex::default() }
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was answered to a question, or what is answered now.
    pub(crate) async fn answer(&self, question: &str, now: impl Future<Output = Option<Vec<u8>>>) -> Option<Vec<u8>> {
        let changes = {
            let kept = self.kept();
            if let Some(known) = kept.answers.get(question) {
                return Some(known.clone());
            }
            kept.changes
        };
        let answer = now.await?;
        let mut kept = self.kept();
        if kept.changes == changes {
            kept.answers.insert(question.to_owned(), answer.clone());
        }
        Some(answer)
    }

    /// Something may be another way now.
    pub(crate) fn changed(&self) {
        let mut kept = self.kept();
        kept.changes += 1;
        kept.answers.clear();
    }
}

/// A host with an engine and the interfaces and listeners of an ordinary one, but nothing of ours.
fn bare(index: usize) -> Fake {
    let fake = Fake::new(format!("host{index:03}"));
    let mut world = fake.world();
    world.facts.listening = (0..24).map(|port| format!("127.0.0.1:{}", 9000 + port)).collect();
    world.facts.interfaces = ["lo", "eth0", "eth1", "eth2", "br-ex", "br-int"]
        .iter()
        .map(|name| {
            let ipv4 = match *name {
                "lo" => vec!["127.0.0.1/8".to_owned()],
                "eth0" => vec![format!("10.0.{}.{}/16", index / 250 + 1, index % 250 + 1)],
                _ => Vec::new(),
            };
            let mac = format!("02:00:00:{:02x}:{:02x}:01", index / 256, index % 256);
            ((*name).to_owned(), Interface { up: true, mtu: 1500, mac, ipv4, ipv6: Vec::new() })
        })
        .collect();
    drop(world);
    fake
}

/// What a look says, and whether its script goes on after that, to hold the lease.
pub(crate) struct Answered {
    pub(crate) text: Vec<u8>,
    pub(crate) stays: bool,
}

/// Answers a script that looks at a host; nothing for one that does not.
pub(crate) async fn look(script: &str, host: &Host) -> Option<Answered> {
    let (_, calls) = script.split_once("\nexec 2>/dev/null\n")?;
    let stays = calls.starts_with("lease ");
    let question = calls.split_once('\n').filter(|_| stays).map_or(calls, |(_, rest)| rest);
    let seen = host.answer(question, seen(question, &host.fake)).await?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut text = format!("time {}\0", now.as_nanos()).into_bytes();
    if stays {
        text.extend_from_slice(b"lease granted\0");
    }
    text.extend_from_slice(&seen);
    Some(Answered { text, stays })
}

/// All of an answer but the time.
async fn seen(calls: &str, fake: &Fake) -> Option<Vec<u8>> {
    let mut ask = LookRequest::default();
    for line in calls.lines() {
        let mut words = words(line).into_iter();
        match words.next().as_deref() {
            Some("folders") => ask.folders.extend(words),
            Some("files") => ask.files.extend(words),
            Some("sysctls") => ask.sysctls.extend(words.map(|path| path.replace('/', "."))),
            Some("packages") => ask.packages.extend(words),
            _ => {}
        }
    }
    let look = kolla::host::Machine::look(fake, &ask).await.ok()?;
    fake.forget_calls();
    let mut text = facts(&look.facts);
    let mut say = |record: &str| text.extend_from_slice(&[record.as_bytes(), b"\0"].concat());
    for volume in &look.volumes {
        say(&format!("volume {volume}"));
    }
    files(&look, &mut say);
    let sysctls = look.sysctls.iter().map(|(name, value)| format!("{}:{value}\n", name.replace('.', "/")));
    say(&format!("sysctls {}", sysctls.collect::<String>()));
    let packages = look.packages.iter().map(|(name, version)| format!("installed {name} {version}\n"));
    say(&format!("packages {}", packages.collect::<String>()));
    say("end ");
    Some(text)
}

/// As `find` and `sha256sum` print them.
fn files(look: &Look, say: &mut impl FnMut(&str)) {
    for (path, state) in &look.files {
        let kind = match (&state.link, state.digest.is_empty()) {
            (Some(_), _) => 'l',
            (None, true) => 'd',
            (None, false) => 'f',
        };
        say(&format!("file {kind} {} 0:0 {path}", state.mode.trim_start_matches('0')));
        say(&format!("owner {}", state.owner));
        say(&format!("link {}", state.link.as_deref().unwrap_or_default()));
    }
    for (path, state) in look.files.iter().filter(|(_, state)| !state.digest.is_empty()) {
        say(&format!("{}  {path}", state.digest));
    }
}

fn facts(facts: &Facts) -> Vec<u8> {
    let mut records = vec![
        format!("uname {} {} {}", facts.hostname, facts.kernel, facts.arch),
        format!(
            "os PRETTY_NAME=\"Debian GNU/Linux 13 (trixie)\"\nNAME=\"Debian GNU/Linux\"\nID={}\nVERSION_ID=\"{}\"\n\
             VERSION_CODENAME={}\n",
            facts.os, facts.os_version, facts.os_codename
        ),
        format!("cpus {}", facts.cpus),
        format!("meminfo MemTotal:       {} kB", facts.memory_mib * 1024),
        format!("disk Filesystem 1024-blocks Used Available\n/dev/vda1 0 0 {} 20% /", facts.disk_free_mib * 1024),
        format!("open_files {}", facts.open_files),
        format!("cgroup {}", facts.cgroup),
        "systemd 1".to_owned(),
        format!("virt {}", facts.virt),
        format!("time_service {}", facts.time_service),
    ];
    let mut addresses = String::new();
    for (index, (name, interface)) in facts.interfaces.iter().enumerate() {
        records.push(format!("interface {name} 0x1003 {} {}", interface.mtu, interface.mac));
        for address in &interface.ipv4 {
            let _ = writeln!(addresses, "{index}: {name}    inet {address} scope global {name}\\ valid_lft forever");
        }
    }
    records.push(format!("addresses {addresses}"));
    records.push(
        "routes Iface\tDestination\tGateway\tFlags\tRefCnt\tUse\tMetric\tMask\tMTU\n\
         eth0\t00000000\t0100000A\t0003\t0\t0\t100\t00000000\t0\n"
            .to_owned(),
    );
    let listening = facts.listening.iter().map(|address| format!("LISTEN 0 128 {address} 0.0.0.0:*\n"));
    records.push(format!("listening {}", listening.collect::<String>()));
    records.push(format!("hosts {}", facts.hosts_file));
    records.push("engine 1".to_owned());
    records.push(format!("root {}", facts.engine_root));
    records.iter().flat_map(|record| [record.as_bytes(), b"\0"].concat()).collect()
}

/// Runs any other script.
pub(crate) async fn script(script: &str, stdin: &[u8], host: &Host) -> Output {
    let fake = &host.fake;
    let done = if script.contains("<<'KOLLA-SUMS'") {
        put(script, stdin, fake).await
    } else {
        kolla::host::Machine::run(fake, script, stdin).await.map_err(Into::into)
    };
    fake.forget_calls();
    host.changed();
    done.unwrap_or_else(|error| Output { code: 1, stdout: Vec::new(), stderr: error.to_string() })
}

/// Unpacks the archive and does what the script does with each of its files.
async fn put(script: &str, archive: &[u8], fake: &Fake) -> Result<Output, crate::Failure> {
    let mut files: BTreeMap<String, PutFile> = BTreeMap::new();
    for entry in tar::Archive::new(archive).entries()? {
        let mut entry = entry?;
        let mut content = Vec::new();
        entry.read_to_end(&mut content)?;
        let path = format!("/{}", entry.path()?.display());
        files.insert(path, PutFile { path: String::new(), content: content.into(), mode: 0o600, owner: String::new() });
    }
    for line in script.lines() {
        let words = words(line);
        match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            ["chmod", "--", mode, names @ ..] => {
                for name in names {
                    if let Some(file) = files.get_mut(*name) {
                        file.mode = u32::from_str_radix(mode, 8)?;
                    }
                }
            }
            ["mv", "-fT", "--", from, to] => {
                if let Some(file) = files.get_mut(*from) {
                    (*to).clone_into(&mut file.path);
                }
            }
            _ => {}
        }
    }
    kolla::host::Machine::put(fake, &files.into_values().collect::<Vec<_>>()).await?;
    Ok(Output::default())
}

/// The words of a line, each in single quotes or none.
fn words(line: &str) -> Vec<String> {
    let (mut all, mut word, mut some, mut quoted) = (Vec::new(), String::new(), false, false);
    let mut chars = line.chars();
    while let Some(next) = chars.next() {
        match next {
            '\'' => (quoted, some) = (!quoted, true),
            '\\' if !quoted => word.extend(chars.next()),
            ' ' if !quoted => {
                if some || !word.is_empty() {
                    all.push(std::mem::take(&mut word));
                }
                some = false;
            }
            next => word.push(next),
        }
    }
    if some || !word.is_empty() {
        all.push(word);
    }
    all
}
