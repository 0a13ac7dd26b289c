//! The hosts: an SSH server each, on a port of its own, before a host in memory.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use kolla::host::Output;
use russh::keys::ssh_key::{LineEnding, PublicKey};
use russh::keys::{Algorithm, PrivateKey};
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelMsg};
use tokio::net::TcpListener;

use crate::answer::Host;
use crate::site::REGISTRY_PORT;
use crate::{Failure, answer, engine};

/// Serves hosts until stdin ends. Prints their ports; writes `known_hosts` and the key to log in with into the folder.
pub(crate) async fn serve(count: usize, folder: &Path) -> Result<(), Failure> {
    let host_key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?;
    let login_key = PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)?;
    let mut file = std::fs::OpenOptions::new().create_new(true).write(true).mode(0o600).open(folder.join("key"))?;
    file.write_all(login_key.to_openssh(LineEnding::LF)?.as_bytes())?;
    let public = host_key.public_key().to_openssh()?;
    let config = Arc::new(server::Config { keys: vec![host_key], nodelay: true, ..server::Config::default() });
    let accepted = Arc::new(login_key.public_key().clone());
    let (mut ports, mut known) = (Vec::new(), String::new());
    for index in 0..count {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let port = listener.local_addr()?.port();
        ports.push(port.to_string());
        let _ = writeln!(known, "[127.0.0.1]:{port} {public}");
        tokio::spawn(host(listener, config.clone(), accepted.clone(), Arc::new(answer::Host::new(index))));
    }
    std::fs::write(folder.join("known_hosts"), known)?;
    crate::say(&ports.join(" "));
    tokio::task::spawn_blocking(|| std::io::stdin().read_to_end(&mut Vec::new())).await??;
    // Sessions need no farewell.
    Ok(())
}

async fn host(listener: TcpListener, config: Arc<server::Config>, accepted: Arc<PublicKey>, simulated: Arc<Host>) {
    while let Ok((stream, _)) = listener.accept().await {
        let _ = stream.set_nodelay(true);
        let server = Server { host: simulated.clone(), accepted: accepted.clone(), channels: HashMap::new() };
        let config = config.clone();
        tokio::spawn(async move {
            if let Ok(session) = server::run_stream(config, stream, server).await {
                let _ = session.await;
            }
        });
    }
}

/// One connection.
struct Server {
    host: Arc<Host>,
    accepted: Arc<PublicKey>,
    /// Session channels that have no command yet.
    channels: HashMap<ChannelId, Channel<Msg>>,
}

impl server::Handler for Server {
    type Error = russh::Error;

    async fn auth_publickey(&mut self, _: &str, key: VerifiedPublicKey<'_>) -> Result<Auth, Self::Error> {
        Ok(if key.public_key.key_data() == self.accepted.key_data() { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        self.channels.insert(channel.id(), channel);
        reply.accept().await;
        Ok(())
    }

    async fn channel_open_direct_streamlocal(
        &mut self,
        channel: Channel<Msg>,
        _: &str,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let host = self.host.clone();
        tokio::spawn(async move { engine::serve(channel.into_stream(), &host).await });
        Ok(())
    }

    /// The registry, or a port of a service: whoever tries one finds that it listens.
    async fn channel_open_direct_tcpip(
        &mut self,
        channel: Channel<Msg>,
        _: &str,
        port: u32,
        _: &str,
        _: u32,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), Self::Error> {
        reply.accept().await;
        let host = self.host.clone();
        tokio::spawn(async move {
            if port == REGISTRY_PORT {
                return engine::serve(channel.into_stream(), &host).await;
            }
            let mut channel = channel;
            while !more(&mut channel, &mut Vec::new()).await {}
            let _ = channel.close().await;
        });
        Ok(())
    }

    async fn exec_request(&mut self, id: ChannelId, line: &[u8], session: &mut Session) -> Result<(), Self::Error> {
        let Some(channel) = self.channels.remove(&id) else { return session.channel_failure(id) };
        session.channel_success(id)?;
        let (host, line) = (self.host.clone(), String::from_utf8_lossy(line).into_owned());
        tokio::spawn(async move {
            let _ = command(channel, &line, &host).await;
        });
        Ok(())
    }
}

/// What `sh -c '...; eval "$(head -c LENGTH)"'` does: so much of stdin is a script, the rest is its input.
async fn command(mut channel: Channel<Msg>, line: &str, host: &Host) -> Result<(), russh::Error> {
    let length = line.rsplit_once("head -c ").and_then(|(_, rest)| rest.split(')').next()?.parse::<usize>().ok());
    let Some(length) = length else { return finish(&channel, Output { code: 127, ..Output::default() }).await };
    let mut stdin = Vec::new();
    let mut ended = false;
    while stdin.len() < length && !ended {
        ended = more(&mut channel, &mut stdin).await;
    }
    if stdin.len() < length {
        return finish(&channel, Output { code: 1, ..Output::default() }).await;
    }
    let input = stdin.split_off(length);
    let script = String::from_utf8_lossy(&stdin).into_owned();
    channel.data_bytes(&b"\x01kolla 4711\n"[..]).await?;
    if let Some(answered) = answer::look(&script, host).await {
        channel.data_bytes(answered.text).await?;
        // Holds the lease for as long as it is wanted.
        while answered.stays && !more(&mut channel, &mut Vec::new()).await {}
        return finish(&channel, Output::default()).await;
    }
    let mut stdin = input;
    while !ended {
        ended = more(&mut channel, &mut stdin).await;
    }
    finish(&channel, answer::script(&script, &stdin, host).await).await
}

/// Takes what comes next; whether it was the end.
async fn more(channel: &mut Channel<Msg>, stdin: &mut Vec<u8>) -> bool {
    match channel.wait().await {
        Some(ChannelMsg::Data { data }) => {
            stdin.extend_from_slice(&data);
            false
        }
        Some(ChannelMsg::Eof | ChannelMsg::Close) | None => true,
        Some(_) => false,
    }
}

async fn finish(channel: &Channel<Msg>, output: Output) -> Result<(), russh::Error> {
    if !output.stdout.is_empty() {
        channel.data_bytes(output.stdout).await?;
    }
    if !output.stderr.is_empty() {
        channel.extended_data_bytes(1, output.stderr).await?;
    }
    channel.exit_status(output.code).await?;
    channel.eof().await?;
    channel.close().await
}
