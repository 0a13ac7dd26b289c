//! What a machine is reached by: a way to run a command, and ways to open streams.
//!
//! Two exist, SSH and this machine itself; everything above them ([`super::connected`]) is the same.

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{Lease, Output};
use crate::error::HostCause;
use crate::shell;

/// Bytes both ways.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

/// A stream of either kind.
pub(super) type Stream = Box<dyn Duplex>;

/// Why a stream was not opened.
#[derive(Debug, Clone, thiserror::Error)]
pub(super) enum OpenFailure {
    /// The session is gone.
    #[error("{0}")]
    Session(HostCause),
    /// Nobody listens there.
    #[error("connection refused")]
    Refused,
    /// The login user may not.
    #[error("permission denied")]
    Denied,
    /// No program is there that leads to it.
    #[error("no program leads there")]
    NoProgram,
    /// It could not be reached.
    #[error("{0}")]
    Unreachable(String),
    /// The server does not allow it.
    #[error("forwarding is forbidden")]
    Forbidden,
}

/// What a command left, and when it answered.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) output: Output,
    /// When its input was on its way.
    pub(super) sent: Instant,
    /// When the first byte came back.
    pub(super) first: Instant,
    /// It has answered and stays, as long as this is kept.
    pub(super) lease: Option<Lease>,
}

/// A command for the login user's shell, and its input.
#[derive(Debug, Clone)]
pub(super) struct Command {
    pub(super) line: String,
    pub(super) stdin: Vec<u8>,
    /// The command has answered when its stdout ends with this. If it does not end by then, it stays, with its stdin open
    /// and a byte on it now and then, as the holder of a lease.
    pub(super) stays_after: Option<&'static [u8]>,
    /// It runs by `sudo -n`, and so has to be ended.
    pub(super) sudo: bool,
}

/// A way to a machine.
#[async_trait]
pub(super) trait Wire: Send + Sync {
    /// Runs a command to its end, or until it has answered.
    async fn exec(&self, command: Command) -> Result<Reply, HostCause>;
    /// Connects to a Unix socket of the machine.
    async fn open_socket(&self, path: &str) -> Result<Stream, OpenFailure>;
    /// Starts a command whose stdin and stdout are the stream.
    async fn open_command(&self, line: &str) -> Result<Stream, OpenFailure>;
    /// Connects to a TCP port as the machine sees it.
    async fn open_tcp(&self, address: &str, port: u16) -> Result<Stream, OpenFailure>;
    /// Why the session that streams go through has ended, if it has and is not yet made anew.
    fn lost(&self) -> Option<HostCause>;
    /// Root is reached by `sudo -n`.
    fn sudo(&self) -> bool;
    /// Requests so far: commands and TCP streams.
    fn requests(&self) -> u64;
    /// Ends the session until the next request.
    async fn rest(&self) {}
}

/// Exit codes of a command that leads to a socket: no socket, no program (sysexits.h: `EX_NOINPUT`, `EX_UNAVAILABLE`).
const NO_SOCKET: u32 = 66;
const NO_PROGRAM: u32 = 69;

/// A command that copies between its stdin and stdout and a socket of root's, with whatever program the host has for that:
/// an engine's own client, or else socat, which cuts an answer that comes more than half a second after the question has
/// ended. Podman before 4.0 is no such client.
pub(super) fn to_socket(socket: &str) -> String {
    let clients = if socket.contains("podman") { "podman docker socat" } else { "docker socat podman" };
    let script = format!(
        "[ -S \"$1\" ] || exit {NO_SOCKET}\n\
         for program in {clients}; do command -v $program >/dev/null || continue\n\
         case $program in\n\
         docker) exec docker -H \"unix://$1\" system dial-stdio ;;\n\
         podman) case $(podman system dial-stdio --help 2>/dev/null) in\n\
         *dial-stdio*) exec podman --url \"unix://$1\" system dial-stdio ;; esac ;;\n\
         socat) exec socat - \"UNIX-CONNECT:$1\" ;;\n\
         esac\ndone\nexit {NO_PROGRAM}\n"
    );
    format!("sudo -n /bin/sh -c {} sh {}", shell::quote(&script), shell::quote(socket))
}

/// Why such a command ended before anything came of it.
pub(super) fn ended(code: u32, stderr: &[u8]) -> OpenFailure {
    let stderr = String::from_utf8_lossy(stderr);
    match (code, stderr.lines().rfind(|line| !line.trim().is_empty())) {
        (NO_SOCKET, _) => OpenFailure::Refused,
        (NO_PROGRAM, _) => OpenFailure::NoProgram,
        (_, Some(said)) => OpenFailure::Unreachable(said.trim().to_owned()),
        (code, None) => OpenFailure::Unreachable(format!("exit code {code}")),
    }
}

/// Told by every script before it starts, with its process group behind it: without it the shell, or sudo, did not get that
/// far.
const STARTED: &[u8] = b"\x01kolla ";

/// A command that runs a script as root, whatever the login shell is: the script comes over stdin, before its own
/// input, so that it is in no list of processes and needs no quoting.
pub(super) fn script(sudo: bool, script: &str, stdin: &[u8]) -> Command {
    let root = if sudo { "sudo -n " } else { "" };
    // sshd gives each command a group of its own, sudo maybe one of its own in that.
    let group = "read -r _ _ _ _ group _ </proc/$$/stat";
    let line =
        format!(r#"{root}/bin/sh -c '{group}; printf "\1kolla %s\n" "$group"; eval "$(head -c {})"'"#, script.len());
    Command { line, stdin: [script.as_bytes(), stdin].concat(), stays_after: None, sudo }
}

/// Where in a script's output its mark is: its process group, and what the script itself has said.
fn mark(said: &[u8]) -> Option<(&str, usize)> {
    let from = said.windows(STARTED.len()).position(|window| window == STARTED)? + STARTED.len();
    let to = from + said[from..].iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&said[from..to]).ok()?, to + 1))
}

/// A command that ends a script that nobody waits for any more, with all that it has started, by what it has said so far.
pub(super) fn ending(sudo: bool, said: &[u8]) -> Option<Command> {
    let group: u32 = mark(said)?.0.parse().ok().filter(|group| *group > 1)?;
    let root = if sudo { "sudo -n " } else { "" };
    // It gets a moment to remove what it has made on the way.
    let line = format!("{root}/bin/sh -c 'kill -s TERM -- -{group} && sleep 2 && kill -s KILL -- -{group}'");
    Some(Command { line, stdin: Vec::new(), stays_after: None, sudo })
}

/// The output of a script without what came before it; an error where it was not even started.
pub(super) fn started(sudo: bool, mut output: Output) -> Result<Output, HostCause> {
    let Some((_, begin)) = mark(&output.stdout) else {
        let words = output.stderr.lines().rfind(|line| !line.trim().is_empty());
        let words = words.map_or_else(|| output.text(), str::to_owned).trim().to_owned();
        return Err(if sudo {
            HostCause::NoSudo(words)
        } else {
            HostCause::Answer(format!("the login shell does not run `/bin/sh`: {words}"))
        });
    };
    output.stdout.drain(..begin);
    Ok(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_ended_by_the_group_that_it_told() {
        let end = |sudo, said: &str| ending(sudo, said.as_bytes()).map(|command| command.line);
        let line = "/bin/sh -c 'kill -s TERM -- -4711 && sleep 2 && kill -s KILL -- -4711'";
        assert_eq!(end(false, "motd\n\x01kolla 4711\nits own words").as_deref(), Some(line));
        assert_eq!(end(true, "\x01kolla 4711\n"), Some(format!("sudo -n {line}")));
        for unknown in ["", "motd\n", "\x01kolla 47", "\x01kolla \n", "\x01kolla 1\n", "\x01kolla 0\n", "\x01kolla x\n"]
        {
            assert_eq!(end(false, unknown), None);
        }
    }
}
