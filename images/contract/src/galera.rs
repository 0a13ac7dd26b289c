//! `galera_check`: tells a load balancer by HTTP whether the MariaDB beside it may get traffic.
//!
//! One client process stays connected and is asked once a second, so a check costs the database next to nothing
//! and needs no login each time. An answer that is too old counts as none: a server that hangs is not available.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use crate::{Failure, Result};

/// How often the server is asked.
const EVERY: Duration = Duration::from_secs(1);
/// How often a node is asked that is not Synced, or does not answer: the sooner it serves, the sooner the next one may go.
const SOONER: Duration = Duration::from_millis(400);
/// When an answer is too old to stand for the server's state, or a client that gives none is given up.
const FRESH: Duration = Duration::from_secs(3);
/// Connections answered at the same time; more are closed at once.
const AT_ONCE: usize = 64;
/// The last row of an answer.
const END: &str = "kolla_end";

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Where HTTP is served.
    #[serde(default = "listen")]
    listen: String,
    /// The client's option file: user, password, socket or host and port.
    defaults_file: String,
    /// Whether a node that serves a state transfer to another one still gets traffic.
    #[serde(default)]
    available_when_donor: bool,
    /// Whether a node that was made read-only still gets traffic.
    #[serde(default)]
    available_when_read_only: bool,
}

fn listen() -> String {
    "0.0.0.0:4569".to_owned()
}

/// What the server said last.
#[derive(Debug, Clone, Default, PartialEq)]
struct Node {
    local_state: u32,
    local_state_comment: String,
    cluster_status: String,
    cluster_size: u32,
    cluster_state_uuid: String,
    last_committed: i64,
    ready: bool,
    connected: bool,
    read_only: bool,
}

/// The last answer and when it came, and why there is none.
#[derive(Debug, Default)]
struct Seen {
    node: Option<(Node, Instant)>,
    trouble: Option<String>,
}

/// Serves until it is ended: `galera_check [--config FILE]`.
pub(crate) fn run(arguments: &[String]) -> Result<u8> {
    let path = match arguments {
        [] => "/etc/galera-check/galera-check.json",
        [flag, path] if flag == "--config" => path,
        _ => return Err(Failure::new("usage: galera_check [--config FILE]").code(2)),
    };
    let settings = fs::read(Path::new(path)).map_err(|error| Failure::of(format!("read {path}"), error).code(2))?;
    let settings: Settings = serde_json::from_slice(&settings).map_err(|error| Failure::of(path, error).code(2))?;
    let listener = TcpListener::bind(&settings.listen)
        .map_err(|error| Failure::of(format!("listen on {}", settings.listen), error))?;
    eprintln!("galera_check: listening on {}", settings.listen);
    let seen = Arc::new(Mutex::new(Seen::default()));
    let settings = Arc::new(settings);
    let (asker, file) = (Arc::clone(&seen), settings.defaults_file.clone());
    thread::spawn(move || {
        loop {
            let trouble = ask(&file, &asker);
            let mut seen = asker.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.trouble.as_ref() != Some(&trouble) {
                eprintln!("galera_check: {trouble}");
            }
            seen.trouble = Some(trouble);
            drop(seen);
            thread::sleep(SOONER);
        }
    });
    serve(&listener, &seen, &settings);
    Err(Failure::new("no longer listening"))
}

/// Runs one client for as long as it answers; gives back why it no longer does.
fn ask(defaults_file: &str, seen: &Mutex<Seen>) -> String {
    let child = Command::new("mariadb")
        .arg(format!("--defaults-extra-file={defaults_file}"))
        .args(["--batch", "--skip-column-names", "--unbuffered", "--no-auto-rehash"])
        .args(["--skip-reconnect", "--connect-timeout=2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => return format!("cannot start `mariadb`: {error}"),
    };
    let (Some(mut stdin), Some(stdout), Some(mut stderr)) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take())
    else {
        return "the client has no pipes".to_owned();
    };
    let (sender, lines) = channel();
    thread::spawn(move || {
        BufReader::new(stdout).lines().map_while(std::io::Result::ok).try_for_each(|line| sender.send(line))
    });
    let errors = thread::spawn(move || {
        let mut text = String::new();
        let _ = stderr.read_to_string(&mut text);
        text
    });
    let trouble = converse(&mut stdin, &lines, seen);
    let silent = trouble == RecvTimeoutError::Timeout;
    drop(stdin);
    end(&mut child);
    let said = errors.join().unwrap_or_default();
    match said.lines().rfind(|line| !line.trim().is_empty()) {
        Some(line) => line.trim().to_owned(),
        None if silent => format!("no answer within {} s", FRESH.as_secs()),
        None => "the client ended".to_owned(),
    }
}

fn end(child: &mut Child) {
    let _ = child.kill();
    let _ = child.wait();
}

/// Asks once a second and notes each answer, until one does not come.
fn converse(stdin: &mut ChildStdin, lines: &Receiver<String>, seen: &Mutex<Seen>) -> RecvTimeoutError {
    let query = format!(
        "SHOW GLOBAL STATUS WHERE Variable_name IN ('wsrep_local_state', 'wsrep_local_state_comment', \
         'wsrep_cluster_status', 'wsrep_cluster_size', 'wsrep_cluster_state_uuid', 'wsrep_last_committed', \
         'wsrep_ready', 'wsrep_connected'); SELECT 'read_only', @@GLOBAL.read_only; SELECT '{END}', 1;\n"
    );
    loop {
        let asked = Instant::now();
        if stdin.write_all(query.as_bytes()).and_then(|()| stdin.flush()).is_err() {
            return RecvTimeoutError::Disconnected;
        }
        let mut node = Node::default();
        loop {
            match lines.recv_timeout(FRESH.saturating_sub(asked.elapsed())) {
                Ok(line) if line.starts_with(END) => break,
                Ok(line) => node.take(&line),
                Err(error) => return error,
            }
        }
        let mut now = seen.lock().unwrap_or_else(PoisonError::into_inner);
        let news = now.node.as_ref().is_none_or(|(old, _)| old.local_state_comment != node.local_state_comment);
        if news || now.trouble.is_some() {
            eprintln!("galera_check: {} {}", node.cluster_status, node.local_state_comment);
        }
        let pause = if node.local_state_comment == "Synced" { EVERY } else { SOONER };
        // Dated when it was asked: the state cannot be younger than that.
        *now = Seen { node: Some((node, asked)), trouble: None };
        drop(now);
        thread::sleep(pause.saturating_sub(asked.elapsed()));
    }
}

impl Node {
    /// Takes one row of an answer.
    fn take(&mut self, row: &str) {
        let (name, value) = row.split_once('\t').unwrap_or((row, ""));
        let on = matches!(value, "ON" | "1");
        match name {
            "wsrep_local_state" => self.local_state = value.parse().unwrap_or_default(),
            "wsrep_local_state_comment" => value.clone_into(&mut self.local_state_comment),
            "wsrep_cluster_status" => value.clone_into(&mut self.cluster_status),
            "wsrep_cluster_size" => self.cluster_size = value.parse().unwrap_or_default(),
            "wsrep_cluster_state_uuid" => value.clone_into(&mut self.cluster_state_uuid),
            "wsrep_last_committed" => self.last_committed = value.parse().unwrap_or_default(),
            "wsrep_ready" => self.ready = on,
            "wsrep_connected" => self.connected = on,
            "read_only" => self.read_only = !matches!(value, "OFF" | "0"),
            _ => {}
        }
    }

    /// Why this node must not get traffic.
    fn refuses(&self, settings: &Settings) -> Option<String> {
        let synced = self.local_state == 4 || (self.local_state == 2 && settings.available_when_donor);
        if self.cluster_status != "Primary" {
            Some(format!("the cluster component is {}", self.cluster_status))
        } else if !synced {
            Some(format!("the node is {}", self.local_state_comment))
        } else if !self.ready {
            Some("the node is not ready for queries".to_owned())
        } else if self.read_only && !settings.available_when_read_only {
            Some("the node is read-only".to_owned())
        } else {
            None
        }
    }
}

impl Seen {
    /// Whether the node may get traffic, and all that is known of it.
    fn answer(&self, settings: &Settings) -> (bool, Value) {
        let Some((node, at)) = &self.node else {
            let reason = self.trouble.clone().unwrap_or_else(|| "the server was not yet asked".to_owned());
            return (false, json!({"available": false, "reason": reason}));
        };
        let reason = match (&self.trouble, at.elapsed() > FRESH) {
            (Some(trouble), _) => Some(trouble.clone()),
            (None, true) => Some(format!("no answer within {} s", FRESH.as_secs())),
            (None, false) => node.refuses(settings),
        };
        let answer = json!({
            "available": reason.is_none(),
            "reason": reason,
            "age_ms": u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX),
            "local_state": node.local_state,
            "local_state_comment": node.local_state_comment,
            "cluster_status": node.cluster_status,
            "cluster_size": node.cluster_size,
            "cluster_state_uuid": node.cluster_state_uuid,
            "last_committed": node.last_committed,
            "ready": node.ready,
            "connected": node.connected,
            "read_only": node.read_only,
        });
        (reason.is_none(), answer)
    }
}

fn serve(listener: &TcpListener, seen: &Arc<Mutex<Seen>>, settings: &Arc<Settings>) {
    let open = Arc::new(AtomicUsize::new(0));
    for stream in listener.incoming() {
        let Ok(stream) = stream else {
            // Out of descriptors, most likely: the ones in use end within seconds.
            thread::sleep(Duration::from_millis(50));
            continue;
        };
        if open.load(Ordering::Relaxed) >= AT_ONCE {
            continue;
        }
        open.fetch_add(1, Ordering::Relaxed);
        let (seen, settings, open) = (Arc::clone(seen), Arc::clone(settings), Arc::clone(&open));
        thread::spawn(move || {
            // The caller sees a broken connection, which is an answer too.
            let _ = reply(stream, &seen, &settings);
            open.fetch_sub(1, Ordering::Relaxed);
        });
    }
}

fn reply(mut stream: TcpStream, seen: &Mutex<Seen>, settings: &Settings) -> std::io::Result<()> {
    stream.set_read_timeout(Some(Duration::from_secs(2)))?;
    stream.set_write_timeout(Some(Duration::from_secs(2)))?;
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.windows(4).any(|end| end == b"\r\n\r\n") && head.len() < 8192 {
        match stream.read(&mut buffer)? {
            0 => break,
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    let (available, answer) = seen.lock().unwrap_or_else(PoisonError::into_inner).answer(settings);
    let status = if available { "200 OK" } else { "503 Service Unavailable" };
    let body = format!("{answer}\n");
    let mut text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    if !head.starts_with(b"HEAD ") {
        text.push_str(&body);
    }
    stream.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        serde_json::from_str(r#"{"defaults_file": "/none"}"#).unwrap()
    }

    fn synced() -> Node {
        let mut node = Node::default();
        for row in [
            "wsrep_local_state\t4",
            "wsrep_local_state_comment\tSynced",
            "wsrep_cluster_status\tPrimary",
            "wsrep_cluster_size\t3",
            "wsrep_ready\tON",
            "wsrep_connected\tON",
            "read_only\tOFF",
        ] {
            node.take(row);
        }
        node
    }

    #[test]
    fn only_a_synced_ready_writable_node_of_the_primary_component_is_available() {
        assert_eq!(synced().refuses(&settings()), None);
        for (row, reason) in [
            ("wsrep_cluster_status\tnon-Primary", "the cluster component is non-Primary"),
            ("wsrep_local_state\t2", "the node is Synced"),
            ("wsrep_ready\tOFF", "the node is not ready for queries"),
            ("read_only\t1", "the node is read-only"),
        ] {
            let mut node = synced();
            node.take(row);
            assert_eq!(node.refuses(&settings()).as_deref(), Some(reason));
        }
    }

    #[test]
    fn an_old_answer_is_none() {
        let mut seen = Seen::default();
        assert_eq!(seen.answer(&settings()).1["reason"], "the server was not yet asked");
        seen.node = Some((synced(), Instant::now()));
        assert!(seen.answer(&settings()).0);
        let old = Instant::now().checked_sub(FRESH + EVERY).unwrap();
        seen.node = Some((synced(), old));
        assert_eq!(seen.answer(&settings()).1["reason"], "no answer within 3 s");
        seen.trouble = Some("gone away".to_owned());
        assert_eq!(seen.answer(&settings()).1["reason"], "gone away");
    }

    #[test]
    fn http_says_200_or_503_with_the_state_as_json() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Mutex::new(Seen { node: Some((synced(), Instant::now())), trouble: None }));
        let (shared, settings) = (Arc::clone(&seen), Arc::new(settings()));
        thread::spawn(move || serve(&listener, &shared, &settings));
        let ask = |method: &str| {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(format!("{method} / HTTP/1.0\r\n\r\n").as_bytes()).unwrap();
            let mut text = String::new();
            stream.read_to_string(&mut text).unwrap();
            text
        };
        let answer = ask("OPTIONS");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains(r#""cluster_size":3"#), "{answer}");
        seen.lock().unwrap().node.as_mut().unwrap().0.ready = false;
        assert!(ask("GET").starts_with("HTTP/1.1 503 "));
        assert!(ask("HEAD").ends_with("\r\n\r\n"));
    }
}
