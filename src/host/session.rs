//! One SSH session: made, authenticated, and asked for channels.

use std::borrow::Cow;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, DisconnectReason, Handle, Msg};
use russh::keys::PublicKeyOrCertificate;
use russh::keys::ssh_key::HashAlg;
use russh::{Channel, ChannelId, ChannelOpenFailure, Preferred, cipher};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, oneshot};

use super::authentication::{NotIn, log_in};
use super::channel::{self, ChannelIo};
use super::known_hosts::{self, Known, Verdict};
use super::login::Login;
use super::wire::{self, Command, Duplex, OpenFailure, Reply, Root, Stream};
use crate::error::HostCause;
use crate::site::HostSpec;

/// sshd's `MaxSessions` is 10 by default; two are left to others on the same connection.
const SESSION_CHANNELS: usize = 8;
/// Of these, what the engine's streams get where each is a `sudo` command: they must not starve the others.
const COMMAND_STREAMS: usize = 4;
/// The largest packet that a server may send: each session keeps room for one.
const PACKET: u32 = 8 << 10;
/// How often a host is connected to that drops connections.
const TRIES: u32 = 8;
/// A refusal is told within this time; what takes longer is a time-out.
const REFUSAL: Duration = Duration::from_millis(500);

/// A session that is logged in.
pub(super) struct Session {
    handle: Arc<Handle<Client>>,
    /// Bounds session channels: forwarded ones are not counted by sshd.
    channels: Arc<Semaphore>,
    streams: Arc<Semaphore>,
    told: Arc<Told>,
    /// One TCP open at a time, so that a refusal's text can be told from another's.
    tcp: tokio::sync::Mutex<()>,
    /// The session that this one runs through.
    _bastion: Option<Arc<Session>>,
}

/// Why no session was made, and whether trying again may help: sshd drops connections that come too fast
/// (`MaxStartups`) before it says anything else.
#[derive(Debug)]
struct NoSession {
    cause: HostCause,
    dropped: bool,
}

impl From<HostCause> for NoSession {
    fn from(cause: HostCause) -> Self {
        Self { cause, dropped: false }
    }
}

/// What the server said besides answers.
#[derive(Default)]
struct Told {
    /// Texts of refused channel opens.
    refusals: Mutex<Vec<String>>,
    refused: Notify,
    /// Why the session ended.
    end: Mutex<Option<String>>,
    /// It was found to have ended; the library's task may be a moment behind.
    over: AtomicBool,
}

/// The library's side of the session.
struct Client {
    known: Known,
    learn: Option<std::path::PathBuf>,
    address: String,
    port: u16,
    /// The first key exchange is done: from here on a lost connection is not one that came too fast.
    keyed: Arc<AtomicBool>,
    told: Arc<Told>,
}

/// An error of the session's task.
#[derive(Debug)]
enum Failure {
    Ssh(russh::Error),
    Key(HostCause),
}

impl From<russh::Error> for Failure {
    fn from(error: russh::Error) -> Self {
        Self::Ssh(error)
    }
}

impl client::Handler for Client {
    type Error = Failure;

    async fn check_server_key(&mut self, key: &PublicKeyOrCertificate) -> Result<bool, Failure> {
        // No certificate is ever asked for.
        let PublicKeyOrCertificate::PublicKey { key, .. } = key else { return Ok(false) };
        let fingerprint = key.fingerprint(HashAlg::Sha256).to_string();
        match (self.known.check(key), &self.learn) {
            (Verdict::Known, _) => {}
            (Verdict::Unknown, Some(file)) => {
                known_hosts::learn(file, &self.address, self.port, key).map_err(|error| {
                    Failure::Key(HostCause::Answer(format!("host key not written to {}: {error}", file.display())))
                })?;
            }
            (Verdict::Unknown, None) => return Err(Failure::Key(HostCause::UnknownHostKey { fingerprint })),
            (Verdict::Changed(recorded), _) => {
                return Err(Failure::Key(HostCause::ChangedHostKey { fingerprint, recorded }));
            }
            (Verdict::Revoked(recorded), _) => {
                return Err(Failure::Key(HostCause::RevokedHostKey { fingerprint, recorded }));
            }
        }
        self.keyed.store(true, Ordering::Relaxed);
        Ok(true)
    }

    async fn channel_open_failure(
        &mut self,
        _: ChannelId,
        _: ChannelOpenFailure,
        description: &str,
        _: &str,
        _: &mut client::Session,
    ) -> Result<(), Failure> {
        self.told.refusals.lock().unwrap_or_else(PoisonError::into_inner).push(description.to_owned());
        self.told.refused.notify_waiters();
        Ok(())
    }

    async fn disconnected(&mut self, reason: DisconnectReason<Failure>) -> Result<(), Failure> {
        let text = match &reason {
            DisconnectReason::ReceivedDisconnect(info) => info.message.clone(),
            DisconnectReason::Error(Failure::Ssh(error)) => words(error),
            DisconnectReason::Error(Failure::Key(cause)) => cause.to_string(),
        };
        *self.told.end.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
        match reason {
            DisconnectReason::ReceivedDisconnect(_) => Ok(()),
            DisconnectReason::Error(error) => Err(error),
        }
    }
}

/// The library's errors in our words.
fn words(error: &russh::Error) -> String {
    match error {
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::RecvError | russh::Error::SendError => {
            "the server closed the connection".into()
        }
        russh::Error::KeepaliveTimeout | russh::Error::InactivityTimeout => {
            "the server does not answer any more".into()
        }
        other => other.to_string(),
    }
}

impl Session {
    /// One that is logged in, with more tries where the server drops connections that come too fast.
    pub(super) async fn open(spec: &HostSpec, login: &Login, bastion: Option<Arc<Session>>) -> Result<Self, HostCause> {
        let mut tries = 1;
        loop {
            match Self::open_once(spec, login, bastion.clone()).await {
                Ok(session) => return Ok(session),
                Err(NoSession { dropped: true, .. }) if tries < TRIES => {
                    // Hosts that were dropped together must not come back together.
                    let longest = 3000.min(100 << tries);
                    tokio::time::sleep(Duration::from_millis(rand::random_range(50..=longest))).await;
                    tries += 1;
                }
                Err(NoSession { cause, .. }) => return Err(cause),
            }
        }
    }

    /// Connects, checks the host's key and logs in, all within the time for that.
    async fn open_once(spec: &HostSpec, login: &Login, bastion: Option<Arc<Session>>) -> Result<Self, NoSession> {
        let late = || NoSession::from(HostCause::TimedOut(login.within.as_secs()));
        let made = tokio::time::timeout(login.within, Self::make(spec, login, bastion)).await;
        made.map_err(|_| late())?
    }

    async fn make(spec: &HostSpec, login: &Login, bastion: Option<Arc<Session>>) -> Result<Self, NoSession> {
        let stream = dial(spec, bastion.as_deref()).await?;
        let known = Known::read(&spec.known_hosts, &spec.address, spec.port);
        let defaults = Preferred::default();
        let config = client::Config {
            nodelay: true,
            maximum_packet_size: PACKET,
            keepalive_interval: Some(Duration::from_secs(15)),
            keepalive_max: 4,
            // Also what bounds a write that the server does not take. Answers to keepalives count as activity.
            inactivity_timeout: Some(Duration::from_secs(90)),
            preferred: Preferred {
                key: Cow::Owned(known.order(&defaults.key)),
                cipher: Cow::Borrowed(&[
                    cipher::AES_256_GCM,
                    cipher::AES_128_GCM,
                    cipher::CHACHA20_POLY1305,
                    cipher::AES_256_CTR,
                    cipher::AES_128_CTR,
                ]),
                ..defaults
            },
            ..client::Config::default()
        };
        let (keyed, told) = (Arc::new(AtomicBool::new(false)), Arc::new(Told::default()));
        let client = Client {
            known,
            learn: spec.known_hosts.first().filter(|_| login.accept_new_host_keys).cloned(),
            address: spec.address.clone(),
            port: spec.port,
            keyed: keyed.clone(),
            told: told.clone(),
        };
        let mut handle = client::connect_stream(Arc::new(config), stream, client).await.map_err(|failure| {
            let dropped = !keyed.load(Ordering::Relaxed);
            match failure {
                Failure::Key(cause) => cause.into(),
                Failure::Ssh(error) => NoSession {
                    dropped: dropped && went_away(&error),
                    cause: HostCause::Unreachable(format!("no SSH session: {}", words(&error))),
                },
            }
        })?;
        log_in(&mut handle, spec, login).await.map_err(|failure| match failure {
            NotIn::Refused(cause) => cause.into(),
            NotIn::Ended(error) => NoSession {
                dropped: went_away(&error),
                cause: HostCause::Unreachable(format!("the session ended while logging in: {}", words(&error))),
            },
        })?;
        let root = Root::of(spec);
        let streams = if root.by_sudo() { COMMAND_STREAMS } else { 0 };
        let session = Self {
            handle: Arc::new(handle),
            channels: Arc::new(Semaphore::new(SESSION_CHANNELS - streams)),
            streams: Arc::new(Semaphore::new(streams)),
            told,
            tcp: tokio::sync::Mutex::default(),
            _bastion: bastion,
        };
        if let Some(trial) = root.trial() {
            wire::started(&root, session.exec(trial).await?.output)?;
        }
        Ok(session)
    }

    /// Ends it, and with it what still goes through it.
    pub(super) async fn end(&self) {
        self.told.over.store(true, Ordering::Relaxed);
        let _ = self.handle.disconnect(russh::Disconnect::ByApplication, "", "").await;
    }

    /// The session has ended.
    pub(super) fn lost(&self) -> bool {
        self.told.over.load(Ordering::Relaxed) || self.handle.is_closed()
    }

    /// Why it has.
    pub(super) fn loss(&self) -> HostCause {
        loss(&self.told)
    }

    /// Runs a command; see [`channel::run`]. One that is given up is ended on the host: sshd itself would let it go on.
    pub(super) async fn exec(&self, command: Command) -> Result<Reply, HostCause> {
        let Ok(permit) = self.channels.clone().acquire_owned().await else { return Err(self.loss()) };
        let (handle, told) = (self.handle.clone(), self.told.clone());
        let (sender, answer) = oneshot::channel();
        let root = command.root.clone();
        tokio::spawn(async move {
            let given_up = match session_channel(&handle).await {
                Ok(channel) => channel::run(channel, command, sender, || loss(&told)).await,
                Err(error) => {
                    let refused = matches!(error, russh::Error::ChannelOpenFailure(_));
                    let small = "sshd refuses a session channel: `MaxSessions` in sshd_config is too small";
                    let _ = sender.send(Err(if refused { HostCause::Answer(small.into()) } else { loss(&told) }));
                    None
                }
            };
            drop(permit);
            if let Some(end) = given_up.and_then(|said| wire::ending(&root, &said))
                && let Ok(channel) = session_channel(&handle).await
            {
                let (sender, _ended) = oneshot::channel();
                channel::run(channel, end, sender, || loss(&told)).await;
            }
        });
        answer.await.unwrap_or_else(|_| Err(self.loss()))
    }

    /// Connects to a Unix socket of the host.
    pub(super) async fn open_socket(&self, path: &str) -> Result<Stream, OpenFailure> {
        let (handle, path) = (self.handle.clone(), path.to_owned());
        let opened = self.open_stream(async move { handle.channel_open_direct_streamlocal(path).await }).await;
        opened.map_err(|error| self.refusal(&error))
    }

    /// Starts a command whose stdin and stdout are the stream, once it was given its first input.
    pub(super) async fn open_command(&self, line: &str, input: &[u8]) -> Result<Stream, OpenFailure> {
        let Ok(permit) = self.streams.clone().acquire_owned().await else {
            return Err(OpenFailure::Session(self.loss()));
        };
        let (handle, told, line, input) = (self.handle.clone(), self.told.clone(), line.to_owned(), input.to_owned());
        let opened = tokio::spawn(async move {
            let channel = session_channel(&handle).await?;
            channel.exec(true, line).await?;
            channel.data(&input[..]).await?;
            Ok::<_, russh::Error>(Box::new(ChannelIo::new(channel, Some(permit), move || loss(&told))) as Stream)
        });
        match opened.await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(error)) => Err(self.refusal(&error)),
            Err(_) => Err(OpenFailure::Session(self.loss())),
        }
    }

    /// Connects to a TCP port as the host sees it.
    ///
    /// OpenSSH has one code for every connection that fails; which it was stands in the text only. This is the one
    /// place where text is matched.
    pub(super) async fn open_tcp(&self, address: &str, port: u16) -> Result<Stream, OpenFailure> {
        let gate = self.tcp.lock().await;
        self.told.refusals.lock().unwrap_or_else(PoisonError::into_inner).clear();
        let opening = self.open_tcp_to(address, port);
        tokio::pin!(opening);
        let Ok(opened) = tokio::time::timeout(REFUSAL, &mut opening).await else {
            // Not a refusal any more: others need not wait for it.
            drop(gate);
            return opening.await.map_err(|failure| match failure {
                OpenFailure::Refused => OpenFailure::Unreachable("no answer".into()),
                other => other,
            });
        };
        match opened {
            Err(OpenFailure::Refused) => {
                let texts = self.refusal_texts().await;
                if texts.iter().any(|text| text.to_lowercase().contains("connection refused")) {
                    return Err(OpenFailure::Refused);
                }
                let text = texts.last().map_or("no answer", String::as_str);
                Err(OpenFailure::Unreachable(text.to_lowercase()))
            }
            other => other,
        }
    }

    /// The same without knowing why it failed: the many hosts behind a jump host do not wait for each other.
    async fn open_tcp_to(&self, address: &str, port: u16) -> Result<Stream, OpenFailure> {
        let (handle, address) = (self.handle.clone(), address.to_owned());
        let opened = self
            .open_stream(async move { handle.channel_open_direct_tcpip(address, port.into(), "127.0.0.1", 0).await });
        opened.await.map_err(|error| self.refusal(&error))
    }

    /// What the server said of opens that failed: the library tells the failure just before it tells the text.
    async fn refusal_texts(&self) -> Vec<String> {
        let told = self.told.refused.notified();
        let texts = || self.told.refusals.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let now = texts();
        if !now.is_empty() {
            return now;
        }
        let _ = tokio::time::timeout(Duration::from_millis(100), told).await;
        texts()
    }

    async fn open_stream(
        &self,
        open: impl Future<Output = Result<Channel<Msg>, russh::Error>> + Send + 'static,
    ) -> Result<Stream, russh::Error> {
        let told = self.told.clone();
        let opened =
            tokio::spawn(async move { Ok(Box::new(ChannelIo::new(open.await?, None, move || loss(&told))) as Stream) });
        opened.await.unwrap_or(Err(russh::Error::Disconnect))
    }

    fn refusal(&self, error: &russh::Error) -> OpenFailure {
        match error {
            russh::Error::ChannelOpenFailure(
                ChannelOpenFailure::AdministrativelyProhibited | ChannelOpenFailure::UnknownChannelType,
            ) => OpenFailure::Forbidden,
            russh::Error::ChannelOpenFailure(_) => OpenFailure::Refused,
            _ => OpenFailure::Session(self.loss()),
        }
    }
}

/// Opens a session channel. sshd counts one as open for a moment after it has closed: a refusal is tried again.
async fn session_channel(handle: &Handle<Client>) -> Result<Channel<Msg>, russh::Error> {
    for pause in [5, 20, 50, 100, 200, 400, 800] {
        match handle.channel_open_session().await {
            Err(russh::Error::ChannelOpenFailure(_)) => tokio::time::sleep(Duration::from_millis(pause)).await,
            other => return other,
        }
    }
    handle.channel_open_session().await
}

fn loss(told: &Told) -> HostCause {
    told.over.store(true, Ordering::Relaxed);
    let end = told.end.lock().unwrap_or_else(PoisonError::into_inner).clone();
    HostCause::Lost(end.unwrap_or_else(|| "the server closed the connection".into()))
}

/// The connection ended before a word was said: this is how sshd sends those away that come too fast.
fn went_away(error: &russh::Error) -> bool {
    match error {
        russh::Error::Disconnect | russh::Error::HUP | russh::Error::Version => true,
        russh::Error::IO(error) => matches!(
            error.kind(),
            io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
        ),
        _ => false,
    }
}

/// A TCP connection, from here or from the bastion.
async fn dial(spec: &HostSpec, bastion: Option<&Session>) -> Result<Box<dyn Duplex>, NoSession> {
    if let Some(bastion) = bastion {
        return bastion.open_tcp_to(&spec.address, spec.port).await.map_err(|failure| {
            let why = match failure {
                OpenFailure::Refused => "it cannot connect to this host".to_owned(),
                other => other.to_string(),
            };
            HostCause::Unreachable(format!("through the jump host: {why}")).into()
        });
    }
    let stream = TcpStream::connect((spec.address.as_str(), spec.port)).await.map_err(|error| {
        let text = match error.kind() {
            io::ErrorKind::ConnectionRefused => "connection refused".into(),
            io::ErrorKind::HostUnreachable => "no route to host".into(),
            io::ErrorKind::TimedOut => "no answer".into(),
            _ => error.to_string(),
        };
        NoSession { cause: HostCause::Unreachable(text), dropped: error.kind() == io::ErrorKind::ConnectionReset }
    })?;
    let _ = stream.set_nodelay(true);
    Ok(Box::new(stream))
}
