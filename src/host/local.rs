//! Processes on this machine: the only place that starts them.
#![allow(clippy::disallowed_types)]

use std::io::{self, Write as _};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::pin::Pin;
use std::process::Stdio;
use std::task::{Context, Poll, ready};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::UnixStream;
use tokio::process::Child;

use super::lease::{HEARTBEAT, Lease};
use super::output::Output;
use super::wire::{self, Root};
use crate::error::{Error, Result};

/// A command to run on this machine.
#[derive(Debug, Clone)]
pub struct Local {
    argv: Vec<String>,
    stdin: Vec<u8>,
    env: Vec<(String, String)>,
    /// In a process group of its own, as root that is reached so.
    apart: Option<Root>,
}

/// The processes of a command, and what that has said: ended where nobody waits for it any more.
struct Group {
    id: Option<Pid>,
    root: Root,
    said: Vec<u8>,
}

impl Group {
    fn of(child: &Child, apart: Option<&Root>) -> Self {
        let id = child.id().filter(|_| apart.is_some()).and_then(|id| i32::try_from(id).ok());
        Self { id: id.map(Pid::from_raw), root: apart.cloned().unwrap_or(Root::Login), said: Vec::new() }
    }

    /// It has ended, or stays: what it has said.
    fn leave(&mut self) -> Vec<u8> {
        self.id = None;
        std::mem::take(&mut self.said)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let Some(group) = self.id else { return };
        match wire::ending(&self.root, &self.said) {
            Some(end) => {
                // What runs in the background would else have no stdin.
                let line = format!("exec 3<&0; ({}) <&3 >/dev/null 2>&1 &", end.line);
                let started = std::process::Command::new("/bin/sh").args(["-c", &line]).stdin(Stdio::piped()).spawn();
                if let Ok(mut child) = started {
                    let _ = child.stdin.take().map(|mut stdin| stdin.write_all(&end.stdin));
                    let _ = child.wait();
                }
            }
            // Not even begun. They may just have ended.
            None => drop(killpg(group, Signal::SIGKILL)),
        }
    }
}

impl Local {
    /// A program and its arguments.
    pub fn new<S: Into<String>>(argv: impl IntoIterator<Item = S>) -> Self {
        Self { argv: argv.into_iter().map(Into::into).collect(), stdin: Vec::new(), env: Vec::new(), apart: None }
    }

    /// The same command with bytes on its stdin.
    #[must_use]
    pub fn stdin(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin = bytes.into();
        self
    }

    /// The same command with a variable in its environment.
    #[must_use]
    pub fn env(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// The same command in a process group of its own: what the terminal sends, as for Ctrl-C, is for this program, which
    /// finishes what it has begun; and where nobody waits for it any more, it ends with all that it has started.
    #[must_use]
    pub(super) fn apart(mut self, root: Root) -> Self {
        self.apart = Some(root);
        self
    }

    /// Runs it to its end, whatever its exit code.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub async fn output(self) -> Result<Output> {
        let (program, arguments) =
            self.argv.split_first().ok_or_else(|| Error::local("start a command", "it has no words"))?;
        let act = || format!("run {}", crate::shell::join(&self.argv));
        let mut command = tokio::process::Command::new(program);
        command.args(arguments).envs(self.env.iter().map(|(name, value)| (name, value)));
        command.stdin(if self.stdin.is_empty() { Stdio::null() } else { Stdio::piped() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(self.apart.is_none());
        if self.apart.is_some() {
            command.process_group(0);
        }
        let mut child = command.spawn().map_err(|error| Error::local(act(), error))?;
        let mut group = Group::of(&child, self.apart.as_ref());
        let (input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let bytes = self.stdin.clone();
        let feed = async move {
            if let Some(mut pipe) = input {
                // A program may end without reading all of it; its exit code tells.
                let _ = pipe.write_all(&bytes).await;
            }
        };
        let mut stderr = Vec::new();
        let ((), out, err, ended) =
            tokio::join!(feed, all(output, &mut group.said), all(errors, &mut stderr), child.wait());
        let stdout = group.leave();
        let status = out.and(err).and(ended).map_err(|error| Error::local(act(), error))?;
        Ok(Output {
            code: status.code().and_then(|code| u32::try_from(code).ok()).unwrap_or(255),
            stdout,
            stderr: String::from_utf8_lossy(&stderr).into_owned(),
        })
    }

    /// Runs it until its stdout ends with `end`, and leaves it running as the holder of a lease; or to its end, if that
    /// comes first.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub(super) async fn standing(self, end: &[u8]) -> Result<(Output, Option<Lease>)> {
        let (program, arguments) =
            self.argv.split_first().ok_or_else(|| Error::local("start a command", "it has no words"))?;
        let failed = |error| Error::local(format!("run {}", crate::shell::join(&self.argv)), error);
        let mut child = tokio::process::Command::new(program)
            .args(arguments)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .map_err(failed)?;
        let (Some(mut stdin), Some(mut stdout)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(Error::local("start a command", "it has no stdin or stdout"));
        };
        let mut group = Group::of(&child, self.apart.as_ref());
        // The input is a script: read before anything is written.
        let _ = stdin.write_all(&self.stdin).await;
        while !group.said.ends_with(end) {
            let some = stdout.read_buf(&mut group.said).await.map_err(failed)?;
            if some == 0 {
                let status = child.wait().await.map_err(failed)?;
                let code = status.code().and_then(|code| u32::try_from(code).ok()).unwrap_or(255);
                return Ok((Output { code, stdout: group.leave(), stderr: String::new() }, None));
            }
        }
        let output = Output { stdout: group.leave(), ..Output::default() };
        let (lease, holder) = Lease::new();
        tokio::spawn(async move {
            let mut heartbeat = tokio::time::interval(HEARTBEAT);
            loop {
                tokio::select! {
                    _ = child.wait() => return,
                    () = holder.given_back() => break,
                    _ = heartbeat.tick() => if stdin.write_all(b".").await.is_err() {
                        break;
                    }
                }
            }
            // It ends with its input.
            drop(stdin);
            let _ = child.wait().await;
        });
        Ok((output, Some(lease)))
    }

    /// Runs it with this program's own stdin, stdout and stderr, to its end; its exit code.
    ///
    /// # Errors
    /// When the program cannot be started.
    pub async fn inherit(self) -> Result<u8> {
        let act = || format!("run {}", crate::shell::join(&self.argv));
        let (program, arguments) =
            self.argv.split_first().ok_or_else(|| Error::local("start a command", "it has no words"))?;
        let status = tokio::process::Command::new(program)
            .args(arguments)
            .status()
            .await
            .map_err(|error| Error::local(act(), error))?;
        Ok(status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255))
    }

    /// Runs it and takes its stdout.
    ///
    /// # Errors
    /// When it cannot be started or its exit code is not 0: the end of its stderr is the cause.
    pub async fn run(self) -> Result<String> {
        let act = format!("run {}", crate::shell::join(&self.argv));
        let output = self.output().await?;
        if output.code == 0 {
            return Ok(output.text());
        }
        let stderr = output.stderr.trim();
        let end: Vec<&str> = stderr.lines().rev().take(5).collect();
        let end = end.into_iter().rev().collect::<Vec<_>>().join("; ");
        Err(Error::local(act, format!("exit code {}: {end}", output.code)))
    }
}

/// Reads what a command writes, to its end.
async fn all(pipe: Option<impl AsyncRead + Unpin>, into: &mut Vec<u8>) -> io::Result<()> {
    if let Some(mut pipe) = pipe {
        pipe.read_to_end(into).await?;
    }
    Ok(())
}

impl Local {
    /// Starts it with a stream for its stdin and stdout.
    ///
    /// # Errors
    /// When it cannot be started.
    pub(super) fn stream(self) -> io::Result<Streamed> {
        let (ours, its) = std::os::unix::net::UnixStream::pair()?;
        ours.set_nonblocking(true)?;
        let (program, arguments) = self.argv.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let child = tokio::process::Command::new(program)
            .args(arguments)
            .envs(self.env.iter().map(|(name, value)| (name, value)))
            .stdin(OwnedFd::from(its.try_clone()?))
            .stdout(OwnedFd::from(its))
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let stream = UnixStream::from_std(ours)?;
        Ok(Streamed { stream, ended: Box::pin(child.wait_with_output()), any: false })
    }
}

/// A command whose stdin and stdout are a stream; ended when this is dropped. One that fails before it has said anything
/// is told as such, not as an end of file.
pub(super) struct Streamed {
    stream: UnixStream,
    ended: Pin<Box<dyn Future<Output = io::Result<std::process::Output>> + Send>>,
    any: bool,
}

impl AsyncRead for Streamed {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        match ready!(Pin::new(&mut self.stream).poll_read(cx, buffer)) {
            // It ended without reading what was sent to it.
            Err(error) if !self.any && error.kind() == io::ErrorKind::ConnectionReset => {}
            read => read?,
        }
        self.any |= buffer.filled().len() > before;
        if !self.any && buffer.remaining() > 0 {
            let output = ready!(self.ended.as_mut().poll(cx))?;
            let code = output.status.code().and_then(|code| u32::try_from(code).ok()).unwrap_or(255);
            // What was asked after it is an end of file.
            self.any = true;
            if code != 0 {
                return Poll::Ready(Err(io::Error::other(wire::ended(code, &output.stderr))));
            }
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Streamed {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match ready!(Pin::new(&mut self.stream).poll_write(cx, bytes)) {
            // It has ended: whoever reads is told why.
            Err(error) if !self.any && error.kind() == io::ErrorKind::BrokenPipe => Poll::Ready(Ok(bytes.len())),
            written => Poll::Ready(written),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Where a program is found, looking through the folders of `path` (the value of `PATH`).
pub fn which(program: &str, path: &str) -> Option<std::path::PathBuf> {
    path.split(':').map(|folder| Path::new(folder).join(program)).find(|file| file.is_file())
}
