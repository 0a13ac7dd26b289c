//! The health scripts: is a service there, told by HTTP, by its TCP ports or by its sockets.
//!
//! Ports and sockets are read from /proc and matched to the processes that hold them, so no `ss` or `lsof` is
//! needed, and another service that shares the host's network is not taken for this one.

use std::collections::BTreeSet;
use std::fs;
use std::io::{Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::{Failure, Result};

/// Upstream's limit for the whole request.
const LIMIT: Duration = Duration::from_secs(10);

/// `healthcheck_curl URL`: healthy when the answer's status is below 400.
pub(crate) fn curl(arguments: &[String]) -> Result<u8> {
    let [url] = arguments else { return Err(Failure::new("usage: healthcheck_curl URL").code(2)) };
    if url.starts_with("https://") {
        let error = Command::new("curl")
            .args(["--globoff", "--insecure", "--silent", "--show-error", "--fail", "--output", "/dev/null"])
            .args(["--max-time", "10", url])
            .exec();
        return Err(Failure::of("start `curl`, which https needs", error));
    }
    let status = get(url, LIMIT).map_err(|error| Failure::of(url, error))?;
    if status < 400 { Ok(0) } else { Err(Failure::new(format!("{url}: answered {status}"))) }
}

fn get(url: &str, limit: Duration) -> std::io::Result<u16> {
    let other = std::io::Error::other;
    let rest = url.strip_prefix("http://").unwrap_or(url);
    let (authority, path) = rest.find('/').map_or((rest, "/"), |at| rest.split_at(at));
    let has_port = authority.rsplit(':').next().is_some_and(|end| end.parse::<u16>().is_ok())
        && (!authority.starts_with('[') || authority.contains("]:"));
    let target = if has_port { authority.to_owned() } else { format!("{authority}:80") };
    let address = target.to_socket_addrs()?.next().ok_or_else(|| other("no address"))?;
    let until = Instant::now() + limit;
    let mut stream = TcpStream::connect_timeout(&address, limit)?;
    stream.set_write_timeout(Some(limit))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: kolla\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let (mut head, mut buffer) = (Vec::new(), [0; 1024]);
    while !head.contains(&b'\n') && head.len() < 4096 {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(std::io::ErrorKind::TimedOut.into());
        }
        stream.set_read_timeout(Some(left))?;
        match stream.read(&mut buffer)? {
            0 => break,
            count => head.extend_from_slice(&buffer[..count]),
        }
    }
    let line = String::from_utf8_lossy(&head);
    line.split_whitespace().nth(1).and_then(|status| status.parse().ok()).ok_or_else(|| other("not an HTTP answer"))
}

/// `healthcheck_port PROCESS PORT...` (connected to or bound) and `healthcheck_listen PROCESS PORT...`.
pub(crate) fn port(arguments: &[String], listening: bool) -> Result<u8> {
    let usage = || Failure::new("usage: healthcheck_port|healthcheck_listen PROCESS PORT...").code(2);
    let (process, ports) = arguments.split_first().ok_or_else(usage)?;
    let ports: Vec<u16> = ports.iter().map(|port| port.parse().map_err(|_| usage())).collect::<Result<_>>()?;
    if ports.is_empty() {
        return Err(usage());
    }
    let (held, hidden) = held(process)?;
    let mut table = fs::read_to_string("/proc/net/tcp").unwrap_or_default();
    table.push_str(&fs::read_to_string("/proc/net/tcp6").unwrap_or_default());
    // A process of another user hides its sockets (HAProxy's workers do): any listener on the port must do then.
    let held = (!(hidden && listening)).then_some(&held);
    let found = ports_of(&table, held, listening);
    if ports.iter().any(|port| found.contains(port)) {
        return Ok(0);
    }
    let act = if listening { "listens on" } else { "uses" };
    Err(Failure::new(format!("no process `{process}` {act} port {}", arguments[1..].join(" or "))))
}

/// `healthcheck_socket PROCESS PATH`: the process holds the Unix socket.
pub(crate) fn socket(arguments: &[String]) -> Result<u8> {
    let [process, path] = arguments else {
        return Err(Failure::new("usage: healthcheck_socket PROCESS PATH").code(2));
    };
    let (held, hidden) = held(process)?;
    let table = fs::read_to_string("/proc/net/unix").unwrap_or_default();
    let holds = table.lines().any(|line| {
        let mut fields = line.split_whitespace().skip(6);
        fields.next().is_some_and(|inode| hidden || held.contains(inode)) && fields.next() == Some(path)
    });
    if holds { Ok(0) } else { Err(Failure::new(format!("no process `{process}` holds {path}"))) }
}

/// Local and remote ports (or only listening ones) of the sockets in a /proc/net/tcp table.
fn ports_of(table: &str, held: Option<&BTreeSet<String>>, listening: bool) -> BTreeSet<u16> {
    let mut ports = BTreeSet::new();
    for line in table.lines() {
        let fields: Vec<&str> = line.split_whitespace().collect();
        if fields.len() < 10 || held.is_some_and(|held| !held.contains(fields[9])) || (listening && fields[3] != "0A") {
            continue;
        }
        let addresses = if listening { &fields[1..2] } else { &fields[1..3] };
        let hex = addresses.iter().filter_map(|address| address.rsplit(':').next());
        ports.extend(hex.filter_map(|port| u16::from_str_radix(port, 16).ok()));
    }
    ports
}

/// Inodes of the sockets of all processes of that name, and whether one of them hides its own from this user.
fn held(process: &str) -> Result<(BTreeSet<String>, bool)> {
    let mut inodes = BTreeSet::new();
    let mut hidden = false;
    let mut running = false;
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let folder = entry.path();
        let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
        // The kernel keeps 15 characters of a name.
        let cut: String = process.chars().take(15).collect();
        if name.is_empty() || !name.trim_end().contains(&cut) {
            continue;
        }
        running = true;
        let Ok(links) = fs::read_dir(folder.join("fd")) else {
            hidden = true;
            continue;
        };
        for link in links.flatten() {
            let target = fs::read_link(link.path());
            // One that was closed meanwhile is not hidden.
            hidden |= target.as_ref().is_err_and(|error| error.kind() == std::io::ErrorKind::PermissionDenied);
            let target = target.unwrap_or_default();
            let target = target.to_string_lossy();
            if let Some(inode) = target.strip_prefix("socket:[").and_then(|rest| rest.strip_suffix(']')) {
                inodes.insert(inode.to_owned());
            }
        }
    }
    if running { Ok((inodes, hidden)) } else { Err(Failure::new(format!("no process `{process}` is running"))) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    const TABLE: &str = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:0CEA 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 x
   1: 0100007F:C001 0100007F:1628 01 00000000:00000000 00:00000000 00000000     0        0 222 1 x
";

    #[test]
    fn ports_are_those_of_the_process_only() {
        let of = |inode: &str, listening| ports_of(TABLE, Some(&[inode.to_owned()].into()), listening);
        assert_eq!(of("111", true), [3306].into());
        assert_eq!(of("222", true), [].into());
        assert!(of("222", false).contains(&5672));
        assert_eq!(of("333", false), [].into());
        assert_eq!(ports_of(TABLE, None, true), [3306].into());
    }

    #[test]
    fn this_process_is_found_by_the_port_it_listens_on() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let name = fs::read_to_string("/proc/self/comm").unwrap().trim_end().to_owned();
        let port = listener.local_addr().unwrap().port().to_string();
        assert_eq!(super::port(&[name.clone(), port], true), Ok(0));
        assert!(super::port(&[name, "1".to_owned()], true).is_err());
        assert!(super::port(&["no-such-process".to_owned(), "1".to_owned()], true).is_err());
    }

    #[test]
    fn an_http_error_or_a_silent_port_is_unhealthy() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/healthcheck", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            for status in ["200 OK", "503 Service Unavailable"] {
                let (mut stream, _) = listener.accept().unwrap();
                let mut request = [0; 512];
                let count = stream.read(&mut request).unwrap();
                assert!(request[..count].starts_with(b"GET /healthcheck HTTP/1.1\r\n"));
                stream.write_all(format!("HTTP/1.1 {status}\r\n\r\n").as_bytes()).unwrap();
            }
            let (stream, _) = listener.accept().unwrap();
            stream
        });
        assert_eq!(curl(std::slice::from_ref(&url)), Ok(0));
        assert_eq!(curl(std::slice::from_ref(&url)).unwrap_err().message, format!("{url}: answered 503"));
        assert!(get(&url, Duration::from_millis(50)).is_err());
        drop(server.join().unwrap());
        assert!(curl(&[url]).is_err());
    }
}
