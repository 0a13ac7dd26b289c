//! Channels of an SSH session, without three traps of the library: a channel that is not read blocks the whole
//! session, so each has a task that takes its bytes at once; a channel that is merely dropped stays open on the
//! server, so that task closes it; and one whose opening is given up is never closed, so opening is a task too.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{Buf as _, Bytes};
use russh::client::Msg;
use russh::{Channel, ChannelMsg};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{OwnedSemaphorePermit, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::Output;
use super::lease::{HEARTBEAT, Holder, Lease};
use super::wire::{self, Command, OpenFailure, Reply};
use crate::error::HostCause;

/// How much of what a stream's command says on stderr is kept.
const MOST_SAID: usize = 4096;

/// A channel as a stream; closed when it is dropped.
pub(super) struct ChannelIo {
    chunks: mpsc::UnboundedReceiver<Result<Bytes, OpenFailure>>,
    rest: Bytes,
    writer: Pin<Box<dyn AsyncWrite + Send>>,
    _closes: DropGuard,
}

impl ChannelIo {
    /// Takes over an open channel; `permit` is given back when it is closed, and `lost` tells why the session ended. A
    /// command that fails before it has said anything is told as such, not as an end of file.
    pub(super) fn new(
        channel: Channel<Msg>,
        permit: Option<OwnedSemaphorePermit>,
        lost: impl Fn() -> HostCause + Send + 'static,
    ) -> Self {
        let (mut reads, writes) = channel.split();
        let input = Box::pin(writes.make_writer());
        let (sender, chunks) = mpsc::unbounded_channel();
        let dropped = CancellationToken::new();
        let closes = dropped.clone().drop_guard();
        tokio::spawn(async move {
            let mut sender = Some(sender);
            let command = permit.is_some();
            let (mut any, mut code, mut stderr) = (false, 0, Vec::new());
            loop {
                let message = tokio::select! {
                    message = reads.wait() => message,
                    () = dropped.cancelled() => break,
                };
                match message {
                    Some(ChannelMsg::Data { data }) => {
                        any = true;
                        if let Some(sender) = &sender {
                            let _ = sender.send(Ok(data));
                        }
                    }
                    // The other side may still read.
                    Some(ChannelMsg::Eof) if any || !command => sender = None,
                    Some(ChannelMsg::ExtendedData { data, .. }) if stderr.len() < MOST_SAID => stderr.extend(&data[..]),
                    Some(ChannelMsg::ExitStatus { exit_status }) => code = exit_status,
                    Some(ChannelMsg::Close) => {
                        if let Some(sender) = sender.as_ref().filter(|_| !any && code != 0) {
                            let _ = sender.send(Err(wire::ended(code, &stderr)));
                        }
                        break;
                    }
                    // Without a word the session itself is gone: that is not an end of file.
                    None => {
                        if let Some(sender) = &sender {
                            let _ = sender.send(Err(OpenFailure::Session(lost())));
                        }
                        break;
                    }
                    Some(_) => {}
                }
            }
            drop(sender);
            let _ = writes.close().await;
            drop(permit);
        });
        Self { chunks, rest: Bytes::new(), writer: input, _closes: closes }
    }
}

impl AsyncRead for ChannelIo {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.rest.is_empty() {
            match self.chunks.poll_recv(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Some(Err(failure))) => {
                    return Poll::Ready(Err(io::Error::new(io::ErrorKind::ConnectionReset, failure)));
                }
                Poll::Ready(Some(Ok(chunk))) => self.rest = chunk,
                Poll::Ready(None) => {}
            }
        }
        let some = self.rest.len().min(buffer.remaining());
        buffer.put_slice(&self.rest[..some]);
        self.rest.advance(some);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for ChannelIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.writer.as_mut().poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.writer.as_mut().poll_shutdown(cx)
    }
}

/// Runs a command on a fresh session channel; the answer goes to `answer` as soon as it is there. Ends when the
/// command does, or when nobody waits for it any more, or, where it stays, when its lease is given back. Of one that nobody
/// waits for any more, what it has said.
pub(super) async fn run(
    channel: Channel<Msg>,
    command: Command,
    answer: oneshot::Sender<Result<Reply, HostCause>>,
    lost: impl Fn() -> HostCause,
) -> Option<Vec<u8>> {
    let (mut reads, writes) = channel.split();
    if writes.exec(true, command.line).await.is_err() {
        let _ = answer.send(Err(lost()));
        return None;
    }
    let sent = Instant::now();
    let (mut first, mut output, mut code, mut refused) = (None, Output::default(), None, false);
    let mut answer = Some(answer);
    let mut stderr = Vec::new();
    let feed = async {
        let fed = writes.data(&command.stdin[..]).await;
        // A command that stays is to see the end of its input when its lease is given back, not before.
        if command.stays_after.is_none() && fed.is_ok() {
            let _ = writes.eof().await;
        }
    };
    tokio::pin!(feed);
    let (mut feeding, mut holder) = (true, None::<Holder>);
    let mut heartbeat = tokio::time::interval(HEARTBEAT);
    loop {
        let message = tokio::select! {
            message = reads.wait() => message,
            () = &mut feed, if feeding => { feeding = false; continue }
            () = given_up(answer.as_mut()) => {
                let _ = writes.close().await;
                return Some(output.stdout);
            }
            () = given_back(holder.as_ref()) => break,
            _ = heartbeat.tick(), if holder.is_some() => match writes.data(&b"."[..]).await {
                Ok(()) => continue,
                Err(_) => break,
            },
        };
        match message {
            Some(ChannelMsg::Data { data }) => {
                first.get_or_insert_with(Instant::now);
                if answer.is_some() {
                    output.stdout.extend_from_slice(&data);
                }
            }
            Some(ChannelMsg::ExtendedData { data, .. }) if answer.is_some() => stderr.extend_from_slice(&data),
            Some(ChannelMsg::ExitStatus { exit_status }) => code = Some(exit_status),
            Some(ChannelMsg::ExitSignal { .. }) => code = Some(255),
            Some(ChannelMsg::Failure) => {
                refused = true;
                break;
            }
            Some(ChannelMsg::Close) | None => break,
            Some(_) => {}
        }
        let answered = command.stays_after.is_some_and(|end| output.stdout.ends_with(end));
        if let Some(answer) = answer.take_if(|_| answered) {
            let stdout = std::mem::take(&mut output.stdout);
            let early = Output { code: 0, stdout, stderr: String::from_utf8_lossy(&stderr).into_owned() };
            let (lease, other) = Lease::new();
            holder = Some(other);
            let reply = Reply { output: early, sent, first: first.unwrap_or(sent), lease: Some(lease) };
            let _ = answer.send(Ok(reply));
        }
    }
    let _ = writes.close().await;
    if let Some(answer) = answer {
        output.stderr = String::from_utf8_lossy(&stderr).into_owned();
        let _ = answer.send(match code {
            Some(code) => {
                Ok(Reply { output: Output { code, ..output }, sent, first: first.unwrap_or(sent), lease: None })
            }
            None if refused => Err(HostCause::Answer("sshd refuses to run a command".into())),
            None => Err(lost()),
        });
    }
    None
}

/// Resolves when a lease is held and nobody wants it any more.
async fn given_back(holder: Option<&Holder>) {
    match holder {
        Some(holder) => holder.given_back().await,
        None => std::future::pending().await,
    }
}

/// Resolves when an answer is owed and nobody waits for it.
async fn given_up<T>(answer: Option<&mut oneshot::Sender<T>>) {
    match answer {
        Some(answer) => answer.closed().await,
        None => std::future::pending().await,
    }
}
