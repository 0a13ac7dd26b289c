//! What a machine is reached by: a way to run a command, and ways to open streams.
//!
//! Two exist, SSH and this machine itself; everything above them ([`super::connected`]) is the same.

use async_trait::async_trait;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::{Lease, Output};
use crate::error::HostCause;
use crate::shell;
use crate::site::{HostSpec, LoginPassword};

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
    /// It is one of root's, and so has to be ended.
    pub(super) root: Root,
}

/// How root is reached from a login.
#[derive(Debug, Clone)]
pub(super) enum Root {
    /// The login user's own shell is what there is.
    Login,
    /// By sudo, which wants no password or this one.
    Sudo(Option<LoginPassword>),
}

/// A line that ends what sudo is told: no password is this one.
const TOLD: &str = "\u{1}";

impl Root {
    /// How root is reached on a host.
    pub(super) fn of(spec: &HostSpec) -> Self {
        if spec.sudo() { Self::Sudo(spec.become_password.clone()) } else { Self::Login }
    }

    /// By sudo, or not.
    pub(super) fn by_sudo(&self) -> bool {
        matches!(self, Self::Sudo(_))
    }

    /// A command that runs a script of root's, whatever the login shell is.
    fn shell(&self, script: &str) -> String {
        match self {
            Self::Login => format!("/bin/sh -c {}", shell::quote(script)),
            Self::Sudo(None) => format!("sudo -n /bin/sh -c {}", shell::quote(script)),
            // The password comes over stdin. Where sudo wants none, it is still there.
            Self::Sudo(Some(_)) => {
                let skip = format!("while IFS= read -r told && [ \"$told\" != {TOLD} ]; do :; done; unset told");
                format!("sudo -S -p '' /bin/sh -c {}", shell::quote(&format!("{skip}\n{script}")))
            }
        }
    }

    /// What comes over stdin before the input of such a command.
    pub(super) fn told(&self) -> Vec<u8> {
        match self {
            Self::Sudo(Some(password)) => format!("{}\n{TOLD}\n", password.secret.reveal()).into_bytes(),
            _ => Vec::new(),
        }
    }

    /// A command that shows whether the password is the right one; none where there is none. sudo asks again for a wrong
    /// one, and would take what comes next for another try: here nothing comes.
    pub(super) fn trial(&self) -> Option<Command> {
        let Self::Sudo(Some(password)) = self else { return None };
        let trial = script(self, "", &[]);
        Some(Command { stdin: format!("{}\n", password.secret.reveal()).into_bytes(), ..trial })
    }
}

/// A way to a machine.
#[async_trait]
pub(super) trait Wire: Send + Sync {
    /// Runs a command to its end, or until it has answered.
    async fn exec(&self, command: Command) -> Result<Reply, HostCause>;
    /// Connects to a Unix socket of the machine.
    async fn open_socket(&self, path: &str) -> Result<Stream, OpenFailure>;
    /// Starts a command whose stdin and stdout are the stream, once it was given its first input.
    async fn open_command(&self, line: &str, input: &[u8]) -> Result<Stream, OpenFailure>;
    /// Connects to a TCP port as the machine sees it.
    async fn open_tcp(&self, address: &str, port: u16) -> Result<Stream, OpenFailure>;
    /// Why the session that streams go through has ended, if it has and is not yet made anew.
    fn lost(&self) -> Option<HostCause>;
    /// How root is reached.
    fn root(&self) -> &Root;
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
pub(super) fn to_socket(root: &Root, socket: &str) -> String {
    let clients = if socket.contains("podman") { "podman docker socat" } else { "docker socat podman" };
    let script = format!(
        "socket={}\n\
         [ -S \"$socket\" ] || exit {NO_SOCKET}\n\
         for program in {clients}; do command -v $program >/dev/null || continue\n\
         case $program in\n\
         docker) exec docker -H \"unix://$socket\" system dial-stdio ;;\n\
         podman) case $(podman system dial-stdio --help 2>/dev/null) in\n\
         *dial-stdio*) exec podman --url \"unix://$socket\" system dial-stdio ;; esac ;;\n\
         socat) exec socat - \"UNIX-CONNECT:$socket\" ;;\n\
         esac\ndone\nexit {NO_PROGRAM}\n",
        shell::quote(socket)
    );
    root.shell(&script)
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
pub(super) fn script(root: &Root, script: &str, stdin: &[u8]) -> Command {
    // sshd gives each command a group of its own, sudo maybe one of its own in that.
    let group = "read -r _ _ _ _ group _ </proc/$$/stat";
    let line = root.shell(&format!(r#"{group}; printf "\1kolla %s\n" "$group"; eval "$(head -c {})""#, script.len()));
    let stdin = [&root.told(), script.as_bytes(), stdin].concat();
    Command { line, stdin, stays_after: None, root: root.clone() }
}

/// Where in a script's output its mark is: its process group, and what the script itself has said.
fn mark(said: &[u8]) -> Option<(&str, usize)> {
    let from = said.windows(STARTED.len()).position(|window| window == STARTED)? + STARTED.len();
    let to = from + said[from..].iter().position(|byte| *byte == b'\n')?;
    Some((std::str::from_utf8(&said[from..to]).ok()?, to + 1))
}

/// A command that ends a script that nobody waits for any more, with all that it has started, by what it has said so far.
pub(super) fn ending(root: &Root, said: &[u8]) -> Option<Command> {
    let group: u32 = mark(said)?.0.parse().ok().filter(|group| *group > 1)?;
    // It gets a moment to remove what it has made on the way.
    let line = root.shell(&format!("kill -s TERM -- -{group} && sleep 2 && kill -s KILL -- -{group}"));
    Some(Command { line, stdin: root.told(), stays_after: None, root: root.clone() })
}

/// The output of a script without what came before it; an error where it was not even started.
pub(super) fn started(root: &Root, mut output: Output) -> Result<Output, HostCause> {
    let Some((_, begin)) = mark(&output.stdout) else {
        let words = output.stderr.lines().rfind(|line| !line.trim().is_empty());
        let words = words.map_or_else(|| output.text(), str::to_owned).trim().to_owned();
        return Err(match root {
            Root::Sudo(None) => HostCause::NoSudo(words),
            Root::Sudo(Some(password)) => HostCause::SudoPassword { from: password.from.clone(), words },
            Root::Login => HostCause::Answer(format!("the login shell does not run `/bin/sh`: {words}")),
        });
    };
    output.stdout.drain(..begin);
    Ok(output)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::super::local::Local;
    use super::*;
    use crate::shell::Secret;

    #[test]
    fn a_script_is_ended_by_the_group_that_it_told() {
        let end = |root: &Root, said: &str| ending(root, said.as_bytes()).map(|command| command.line);
        let line = "/bin/sh -c 'kill -s TERM -- -4711 && sleep 2 && kill -s KILL -- -4711'";
        assert_eq!(end(&Root::Login, "motd\n\x01kolla 4711\nits own words").as_deref(), Some(line));
        assert_eq!(end(&Root::Sudo(None), "\x01kolla 4711\n"), Some(format!("sudo -n {line}")));
        for unknown in ["", "motd\n", "\x01kolla 47", "\x01kolla \n", "\x01kolla 1\n", "\x01kolla 0\n", "\x01kolla x\n"]
        {
            assert_eq!(end(&Root::Login, unknown), None);
        }
    }

    /// As sudo does it: one that wants the password takes the first line, another one does not.
    #[tokio::test]
    async fn a_password_for_sudo_is_in_no_command_line_and_left_out_of_the_input() {
        let folder = tempfile::tempdir().unwrap();
        let root = Root::Sudo(Some(LoginPassword { secret: Secret::new("p w\\'$\""), from: "typed".into() }));
        let takes = "IFS= read -r given; [ \"$given\" = \"p w\\\\'\\$\\\"\" ] || { echo no, sorry >&2; exit 1; }\n";
        for (sudo, right) in [(takes, true), ("", true), ("IFS= read -r given; echo no, sorry >&2; exit 1\n", false)] {
            let path = folder.path().join("sudo");
            std::fs::write(&path, format!("#!/bin/sh\n{sudo}shift 3\nexec \"$@\"\n")).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
            let run = async |command: Command| {
                assert!(!command.line.contains("p w"));
                let paths = format!("{}:/usr/bin:/bin", folder.path().display());
                let local = Local::new(["/bin/sh", "-c", &command.line]).env("PATH", paths).stdin(command.stdin);
                started(&root, local.output().await.unwrap())
            };
            let answer = run(script(&root, "echo \"I am\"\ncat\n", b"who\n")).await;
            let trial = run(root.trial().unwrap()).await;
            if right {
                assert_eq!((answer.unwrap().text(), trial.unwrap().text()), ("I am\nwho\n".into(), String::new()));
            } else {
                assert!(matches!(trial.unwrap_err(), HostCause::SudoPassword { words, .. } if words == "no, sorry"));
            }
        }
    }
}
