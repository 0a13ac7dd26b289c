//! The real thing: an sshd on the loopback and this machine's container engine.
//!
//! Most need root, `openssh-server` and `openssh-client`, or the engine: `cargo test` names those and leaves them out, with
//! `--include-ignored` they run, and fail where that is missing.
#![allow(clippy::disallowed_types)]

mod engine;
mod lease;
mod passwords;
mod registry;

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::ssh;
use super::*;
use crate::error::Result;
use crate::error::{Error, HostCause};
use crate::site::HostSpec;

const SOON: Duration = Duration::from_secs(5);

/// An sshd of its own on a free port, and a key that it accepts.
struct Sshd {
    folder: TempDir,
    port: u16,
    child: Child,
}

impl Drop for Sshd {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn keygen(file: &Path) {
    let file = file.to_str().unwrap();
    let made = Command::new("ssh-keygen").args(["-q", "-t", "ed25519", "-N", "", "-f", file]).status();
    assert!(made.expect("ssh-keygen is missing: install openssh-client").success());
}

impl Sshd {
    fn new(options: &str) -> Self {
        assert!(Path::new("/usr/sbin/sshd").exists(), "/usr/sbin/sshd is missing: install openssh-server");
        fs::create_dir_all("/run/sshd").expect("these tests run as root");
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        keygen(&at("host"));
        keygen(&at("key"));
        fs::copy(at("key.pub"), at("authorized")).unwrap();
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = free.local_addr().unwrap().port();
        drop(free);
        // Of two values the first one counts. With SHLVL bash does not think that sshd started it, and reads no .bashrc, however slow that may be.
        let config = format!(
            "Port {port}\nListenAddress 127.0.0.1\nHostKey {}\nAuthorizedKeysFile {}\nPidFile none\n\
             StrictModes no\nSetEnv SHLVL=2\n{options}\nUsePAM no\nPasswordAuthentication no\n",
            at("host").display(),
            at("authorized").display(),
        );
        fs::write(at("config"), config).unwrap();
        let log = fs::File::create(at("log")).unwrap();
        let child = Command::new("/usr/sbin/sshd")
            .args(["-D", "-e", "-f"])
            .arg(at("config"))
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let server = Self { folder, port, child };
        server.until_it_listens();
        server
    }

    fn until_it_listens(&self) {
        let began = Instant::now();
        while std::net::TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(began.elapsed() < SOON, "{}", fs::read_to_string(self.at("log")).unwrap());
            std::thread::yield_now();
        }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// This server under a host's name.
    fn spec(&self, name: &str) -> HostSpec {
        HostSpec {
            port: self.port,
            key_files: vec![self.at("key")],
            known_hosts: vec![self.at("known_hosts")],
            ..HostSpec::new(name, "127.0.0.1")
        }
    }

    async fn machine(&self, name: &str) -> Arc<dyn Machine> {
        connect(&self.spec(name)).await.unwrap()
    }

    /// How often somebody has logged in.
    fn logins(&self) -> usize {
        fs::read_to_string(self.at("log")).unwrap().matches("Accepted publickey").count()
    }

    /// Ends every session, as a crash of the host's sshd would.
    fn cut(&self) {
        for pid in self.sessions() {
            Command::new("kill").args(["-9", &pid]).status().unwrap();
        }
    }

    /// The processes of the sessions that there are.
    fn sessions(&self) -> Vec<String> {
        let own = self.child.id();
        let listed = Command::new("ps").args(["-o", "pid=", "--ppid", &own.to_string()]).output().unwrap();
        String::from_utf8(listed.stdout).unwrap().split_whitespace().map(str::to_owned).collect()
    }
}

/// Keys of hosts are learned.
fn learning() -> Login {
    Login { accept_new_host_keys: true, ..Login::default() }
}

/// This machine without sshd.
fn this_machine() -> HostSpec {
    HostSpec { local: true, ..HostSpec::new("localhost", "localhost") }
}

async fn connect(spec: &HostSpec) -> Result<Arc<dyn Machine>> {
    ssh::connect(spec, &learning(), &Bastions::default(), None).await
}

fn cause<T>(outcome: Result<T>) -> HostCause {
    match outcome.err().expect("it should have failed") {
        Error::Host(error) => error.cause,
        other => panic!("{other:?}"),
    }
}

fn file(path: &Path, content: &str, mode: u32) -> PutFile {
    PutFile { path: path.to_str().unwrap().into(), content: content.as_bytes().into(), mode, owner: String::new() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and sshd"]
async fn host_keys_and_login_keys_are_checked() {
    let server = Sshd::new("");
    let strict = async || ssh::connect(&server.spec("control01"), &Login::default(), &Bastions::default(), None).await;
    let unknown = cause(strict().await);
    assert!(
        matches!(&unknown, HostCause::UnknownHostKey { fingerprint } if fingerprint.starts_with("SHA256:")),
        "{unknown}"
    );

    server.machine("control01").await;
    strict().await.unwrap();

    let other = server.at("other");
    keygen(&other);
    let line = fs::read_to_string(server.at("other.pub")).unwrap();
    fs::write(server.at("changed"), format!("# one\n[127.0.0.1]:{} {line}", server.port)).unwrap();
    let changed = HostSpec { known_hosts: vec![server.at("changed")], ..server.spec("control01") };
    let refused = cause(connect(&changed).await);
    assert!(
        matches!(&refused, HostCause::ChangedHostKey { recorded, .. } if recorded.ends_with("changed:2")),
        "{refused}"
    );

    let stranger = HostSpec { key_files: vec![server.at("none"), other], ..server.spec("control01") };
    let refused = cause(connect(&stranger).await);
    assert!(refused.to_string().contains("none: no such file, "), "{refused}");
    assert!(matches!(refused, HostCause::Refused { .. }));

    let nobody = HostSpec { port: 1, ..server.spec("control01") };
    assert!(matches!(cause(connect(&nobody).await), HostCause::Unreachable(_)));
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and sshd"]
async fn an_agent_and_a_jump_host_lead_to_the_same_machine() {
    let server = Sshd::new("");
    let socket = server.at("agent");
    let mut agent = Command::new("ssh-agent").arg("-D").arg("-a").arg(&socket).stdout(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while !socket.exists() {
        assert!(began.elapsed() < SOON);
        tokio::task::yield_now().await;
    }
    let added = Command::new("ssh-add").arg("-q").arg(server.at("key")).env("SSH_AUTH_SOCK", &socket).status().unwrap();
    assert!(added.success());
    let jump = HostSpec { key_files: Vec::new(), ..server.spec("bastion") };
    let inner = HostSpec { jump: Some(Box::new(jump)), ..server.spec("control01") };
    let login = Login { agent_socket: Some(socket), ..learning() };
    let machine = ssh::connect(&inner, &login, &Bastions::default(), None).await.unwrap();
    assert_eq!(machine.run("cat", b"hello").await.unwrap().text(), "hello");
    agent.kill().unwrap();
    agent.wait().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and sshd"]
async fn hosts_behind_a_jump_host_share_one_session_to_it() {
    let (outer, inner) = (Sshd::new("LogLevel VERBOSE"), Sshd::new(""));
    let (login, bastions) = (learning(), Bastions::default());
    let behind = |name: &str| HostSpec { jump: Some(Box::new(outer.spec("bastion"))), ..inner.spec(name) };
    let targets = [behind("control01"), behind("control02"), behind("compute01")];
    let connecting = targets.iter().map(|target| ssh::connect(target, &login, &bastions, None));
    let machines: Vec<_> =
        futures_util::future::join_all(connecting).await.into_iter().map(|machine| machine.unwrap()).collect();
    assert_eq!(outer.logins(), 1);

    // When it is lost, all are made anew through one more.
    outer.cut();
    for machine in &machines {
        assert!(machine.read("/etc/passwd").await.unwrap().is_some());
    }
    assert_eq!(outer.logins(), 2);

    // Which of the two is down is told.
    let down = HostSpec { port: 1, ..outer.spec("down") };
    let nowhere = HostSpec { jump: Some(Box::new(down)), ..inner.spec("control01") };
    let refused = cause(ssh::connect(&nowhere, &login, &bastions, None).await);
    assert!(refused.to_string().contains("jump host 127.0.0.1:1: "), "{refused}");
    let closed = HostSpec { port: 1, ..behind("control01") };
    let refused = cause(ssh::connect(&closed, &login, &bastions, None).await);
    assert!(refused.to_string().ends_with("through the jump host: it cannot connect to this host"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and sshd"]
async fn a_server_that_drops_connections_is_tried_again() {
    let server = Sshd::new("MaxStartups 2:100:2");
    let targets: Vec<HostSpec> = (0..6).map(|number| server.spec(&format!("host{number}"))).collect();
    for machine in futures_util::future::join_all(targets.iter().map(connect)).await {
        machine.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and sshd"]
async fn a_script_that_hangs_is_given_up_and_ended() {
    let server = Sshd::new("");
    let machine = server.machine("control01").await;
    let script = "sleep 4 >/dev/null; echo late";
    let late = machine.run_within(script, b"", Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(late.to_string(), "control01: sleep 4 >/dev/null; echo late: no answer within 1 s");
    // The session goes on.
    assert_eq!(machine.run("echo on", b"").await.unwrap().text(), "on\n");

    // All that it has started ends with it, over SSH and on this machine.
    let here = here::connect(&this_machine(), None).unwrap();
    for (machine, name) in [(machine, "ssh"), (here, "here")] {
        let pid = server.at(name);
        let script = format!("sleep 60 >/dev/null & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display());
        let late = cause(machine.run_within(&script, b"", Duration::from_secs(2)).await);
        assert!(matches!(late, HostCause::TimedOut(2)), "{late}");
        // What has ended has no command line any more.
        let process = format!("/proc/{}/cmdline", fs::read_to_string(pid).unwrap().trim());
        until(|| fs::read(&process).unwrap_or_default().is_empty()).await;
    }
}

/// Waits until something holds.
async fn until(holds: impl Fn() -> bool) {
    let began = Instant::now();
    while !holds() {
        assert!(began.elapsed() < SOON);
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, sshd and an engine"]
async fn a_host_that_rests_has_no_session_until_it_is_asked_again() {
    let server = Sshd::new("");
    let machine = server.machine("control01").await;
    machine.containers().await.unwrap();
    machine.rest().await;
    until(|| server.sessions().is_empty()).await;
    assert_eq!(server.logins(), 1);

    // At once with what the engine is asked, and by what writes, too: the request was not sent before.
    let script = format!("echo on > {}", server.at("written").display());
    let (containers, written) = tokio::join!(machine.containers(), machine.run(&script, b""));
    containers.unwrap();
    assert_eq!((written.unwrap().code, server.logins()), (0, 2));

    // Nor is a stream of the session before taken for one that still leads to the engine.
    for _ in 0..10 {
        machine.rest().await;
        machine.containers().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, sshd and an engine"]
async fn a_lost_session_is_made_anew_for_reads_and_told_for_writes() {
    let server = Sshd::new("");
    let log = Arc::new(Mutex::new(Vec::new()));
    let seen = log.clone();
    let observe: Observe = Arc::new(move |record| {
        let line = format!("{}: {}: {:?}", record.host, record.what, record.outcome.map_err(ToString::to_string));
        seen.lock().unwrap().push(line);
    });
    let machine =
        ssh::connect(&server.spec("control01"), &learning(), &Bastions::default(), Some(observe)).await.unwrap();
    let began = server.at("began");
    let script = format!("touch {}; exec sleep 60", began.display());
    let (write, ()) = tokio::join!(machine.run(&script, b"secret"), async {
        let limit = Instant::now();
        while !began.exists() {
            assert!(limit.elapsed() < SOON);
            tokio::task::yield_now().await;
        }
        server.cut();
    });
    assert!(matches!(cause(write), HostCause::Lost(_)));
    let content = machine.read(server.at("key.pub").to_str().unwrap()).await.unwrap().unwrap();
    assert_eq!(content, fs::read(server.at("key.pub")).unwrap());

    // Both engine and scripts, while a read is under way.
    for _ in 0..2 {
        machine.containers().await.unwrap();
        server.cut();
    }
    let log = log.lock().unwrap().join("\n");
    assert!(
        log.contains("key.pub: Ok(") && log.contains("the SSH session was lost") && !log.contains("secret"),
        "{log}"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, sshd and an engine"]
async fn scripts_and_files_over_both_wires() {
    let server = Sshd::new("");
    let over_ssh = server.machine("control01").await;
    let here = here::connect(&this_machine(), None).unwrap();
    for (machine, name) in [(over_ssh, "ssh"), (here, "here")] {
        let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
        let echoed = machine.run("cat; echo done >&2; exit 3", &bytes).await.unwrap();
        assert_eq!((echoed.stdout == bytes, echoed.code, echoed.stderr.as_str()), (true, 3, "done\n"));

        // More than sshd takes at once.
        let runs = (0..24).map(|number| {
            let machine = machine.clone();
            async move { machine.run(&format!("echo {number}"), b"").await.unwrap().text() }
        });
        let answers = futures_util::future::join_all(runs).await;
        assert_eq!(answers, (0..24).map(|number| format!("{number}\n")).collect::<Vec<_>>());

        let folder = server.at(name).join("new/it's");
        let long = folder.join("n".repeat(120)).join("f".repeat(90));
        fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.join("was a link")).unwrap();
        let files = [
            PutFile { owner: "daemon:daemon".into(), ..file(&folder.join("a$b \\n"), "secret", 0o640) },
            file(&folder.join("was a link"), "now a file", 0o644),
            file(&long, "", 0o4755),
        ];
        machine.put(&files).await.unwrap();
        let look = machine
            .look(&LookRequest { folders: vec![folder.to_str().unwrap().into()], ..LookRequest::default() })
            .await
            .unwrap()
            .files;
        assert_eq!(look.len(), 5, "{look:?}");
        let first = &look[&files[0].path];
        assert_eq!((first.mode.as_str(), first.owner.as_str()), ("0640", "daemon:daemon"));
        assert!(first.owned_by("daemon:1") && !first.owned_by("root"), "{first:?}");
        assert_eq!(look[&files[2].path].mode, "4755");
        assert_eq!(machine.read(&files[1].path).await.unwrap().unwrap(), b"now a file");
        assert_eq!(machine.read("/no/such/file").await.unwrap(), None);

        // A write that fails leaves nothing behind and nothing half done.
        let bad = [file(&folder.join("x"), "x", 0o644), PutFile { owner: "no-such-user".into(), ..files[1].clone() }];
        assert!(
            matches!(cause(machine.put(&bad).await), HostCause::Exit { stderr, .. } if stderr.contains("no-such-user"))
        );
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 3);

        // One that is there gets new bytes, and keeps all else; so does a link to it.
        let link = folder.join("a link");
        std::os::unix::fs::symlink(&files[0].path, &link).unwrap();
        let link = link.to_str().unwrap();
        machine.rewrite(link, b"caf\xe9\0").await.unwrap();
        assert_eq!(machine.read(&files[0].path).await.unwrap().unwrap(), b"caf\xe9\0");
        let ask = LookRequest { files: vec![files[0].path.clone(), link.into()], ..LookRequest::default() };
        let look = machine.look(&ask).await.unwrap().files;
        let kept = &look[&files[0].path];
        assert_eq!((kept.mode.as_str(), kept.owner.as_str()), ("0640", "daemon:daemon"));
        assert_eq!(look[link].link.as_deref(), Some(&*files[0].path));
        assert!(machine.rewrite("/no/such/file", b"x").await.is_err());
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 4);
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and sshd"]
async fn tcp_as_the_host_sees_it() {
    let server = Sshd::new("");
    let machine = server.machine("control01").await;
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    assert_eq!(machine.reach("127.0.0.1", server.port, SOON).await.unwrap(), Reach::Open);
    assert_eq!(machine.reach("127.0.0.1", closed, SOON).await.unwrap(), Reach::Refused);
    // A listener whose queue is full does not answer.
    let full = socket_that_does_not_answer();
    let moment = Duration::from_millis(300);
    assert_eq!(machine.reach("127.0.0.1", full.1, moment).await.unwrap(), Reach::TimedOut);
    let many = (0..50).map(|_| machine.reach("127.0.0.1", closed, SOON));
    assert!(futures_util::future::join_all(many).await.into_iter().all(|reach| reach.unwrap() == Reach::Refused));

    let web = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut ask = HttpAsk { address: "127.0.0.1".into(), port: web.local_addr().unwrap().port(), ..HttpAsk::default() };
    ask.path = "/health?x=1".into();
    let serve = tokio::spawn(async move {
        let (mut stream, _) = web.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let some = stream.read(&mut request).await.unwrap();
        stream.write_all(b"HTTP/1.1 503 No\r\nContent-Length: 4\r\n\r\nbusy").await.unwrap();
        String::from_utf8_lossy(&request[..some]).into_owned()
    });
    let answer = machine.http(&ask, SOON).await.unwrap();
    assert_eq!((answer.status, answer.body.as_slice()), (503, b"busy".as_slice()));
    let request = serve.await.unwrap();
    assert!(request.starts_with("GET /health?x=1 HTTP/1.1\r\nhost: 127.0.0.1:"), "{request}");

    // A file as a body: larger than what a channel takes at once, and answered only when it is there whole.
    let file = server.at("body");
    fs::write(&file, [vec![7; (3 << 20) - 1], vec![8]].concat()).unwrap();
    let store = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    ask = HttpAsk { method: "PUT".into(), port: store.local_addr().unwrap().port(), ..ask };
    let serve = tokio::spawn(async move {
        let (mut stream, _) = store.accept().await.unwrap();
        let (mut request, mut piece) = (Vec::new(), vec![0; 65536]);
        while !request.ends_with(&[7, 8]) {
            let some = stream.read(&mut piece).await.unwrap();
            request.extend_from_slice(&piece[..some]);
        }
        stream.write_all(b"HTTP/1.1 204 Done\r\n\r\n").await.unwrap();
        String::from_utf8_lossy(&request[..200]).into_owned()
    });
    let answer = machine.upload(&ask, &file, SOON, &|_, _| {}).await.unwrap();
    assert_eq!(answer.status, 204);
    let request = serve.await.unwrap();
    assert!(request.starts_with("PUT /health") && request.contains("content-length: 3145728\r\n"), "{request}");

    ask = HttpAsk { method: "GET".into(), port: closed, ..ask };
    let refused = cause(machine.http(&ask, SOON).await);
    assert!(matches!(&refused, HostCause::NoService(why) if why.ends_with("connection refused")), "{refused}");

    let strict = Sshd::new("AllowTcpForwarding no\nAllowStreamLocalForwarding no");
    let machine = strict.machine("control01").await;
    assert_eq!(machine.reach("127.0.0.1", server.port, SOON).await.unwrap(), Reach::Unknown);
    assert!(matches!(cause(machine.http(&ask, SOON).await), HostCause::ForwardingRefused(_)));
    assert!(matches!(cause(machine.look(&LookRequest::default()).await), HostCause::ForwardingRefused(_)));
    let bare = HostSpec { engine_socket: "/run/no-engine.sock".into(), ..server.spec("bare") };
    let bare = connect(&bare).await.unwrap();
    assert!(!bare.look(&LookRequest::default()).await.unwrap().facts.engine);
    assert!(matches!(cause(bare.containers().await), HostCause::NoEngine(_)));
}

/// A listener that never accepts, with its queue filled.
fn socket_that_does_not_answer() -> (Vec<std::net::TcpStream>, u16, TcpListener) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, Duration::from_millis(50)) {
        held.push(stream);
        assert!(held.len() < 10_000);
    }
    (held, address.port(), listener)
}
