//! How the HTTP client gets to the engine: by streams of the host's wire.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use hyper_util::client::legacy::connect::{Connected, Connection};
use hyper_util::rt::TokioIo;

use super::super::wire::{self, OpenFailure, Wire};

/// Opens streams to the engine for the HTTP client.
#[derive(Clone)]
pub(super) struct Connector {
    pub(super) wire: Arc<dyn Wire>,
    /// The engine's socket.
    pub(super) socket: String,
    pub(super) refused: Arc<AtomicBool>,
}

impl tower_service::Service<hyper::Uri> for Connector {
    type Response = EngineIo;
    type Error = OpenFailure;
    type Future = Pin<Box<dyn Future<Output = Result<EngineIo, OpenFailure>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), OpenFailure>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: hyper::Uri) -> Self::Future {
        let this = self.clone();
        Box::pin(async move {
            let root = this.wire.root();
            let opened = if root.by_sudo() {
                // sshd opens sockets as the login user, who may not use the engine's.
                this.wire.open_command(&wire::to_socket(root, &this.socket), &root.told()).await
            } else {
                this.wire.open_socket(&this.socket).await
            };
            this.refused.store(matches!(opened, Err(OpenFailure::Refused)), Ordering::Relaxed);
            Ok(EngineIo(TokioIo::new(opened?)))
        })
    }
}

/// A stream as the HTTP client wants it.
pub(super) struct EngineIo(TokioIo<wire::Stream>);

impl hyper::rt::Read for EngineIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: hyper::rt::ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

impl hyper::rt::Write for EngineIo {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl Connection for EngineIo {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
