//! One HTTP exchange over a stream that the machine opens: with a body in memory, or with a file of this machine that
//! is sent piece by piece.

use std::io;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody};
use hyper::body::Frame;
use hyper_util::rt::TokioIo;
use tokio::fs::File;
use tokio::time::Instant;
use tokio_util::io::ReaderStream;

use super::wire::{OpenFailure, Wire};
use super::{HttpAnswer, HttpAsk, OnProgress};
use crate::error::HostCause;

/// The longest body taken from an answer.
pub(super) const LARGEST_BODY: usize = 4 << 20;
/// How much of a file is read at once.
const PIECE: usize = 256 << 10;
/// How often it is looked at how far a file is.
const TICK: Duration = Duration::from_millis(250);

type Answer<T> = Result<T, HostCause>;
type Body = UnsyncBoxBody<Bytes, io::Error>;

/// Sends a request with the body that it has.
pub(super) async fn send(wire: &dyn Wire, ask: &HttpAsk, within: Duration) -> Answer<HttpAnswer> {
    let body = Full::new(Bytes::copy_from_slice(&ask.body)).map_err(|never| match never {}).boxed_unsync();
    let answer = tokio::time::timeout(within, exchange(wire, ask, body)).await;
    answer.unwrap_or(Err(HostCause::TimedOut(within.as_secs())))
}

/// Sends a request with a file of `size` bytes as its body; `within` is how long nothing may move.
pub(super) async fn upload(
    wire: &dyn Wire,
    ask: &HttpAsk,
    (file, size): (File, u64),
    within: Duration,
    progress: OnProgress<'_>,
) -> Answer<HttpAnswer> {
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let pieces = ReaderStream::with_capacity(file, PIECE).map_ok(move |piece| {
        count.fetch_add(piece.len() as u64, Ordering::Relaxed);
        Frame::data(piece)
    });
    let mut ask = ask.clone();
    // Without its length it would go in chunks, which not every server takes.
    ask.headers.push(("content-length".into(), size.to_string()));
    let exchange = exchange(wire, &ask, StreamBody::new(pieces).boxed_unsync());
    tokio::pin!(exchange);
    let (mut last, mut moved) = (0, Instant::now());
    loop {
        tokio::select! {
            answer = &mut exchange => return answer,
            () = tokio::time::sleep(TICK) => {}
        }
        let now = sent.load(Ordering::Relaxed);
        if now > last {
            (last, moved) = (now, Instant::now());
            progress(now, size);
        } else if moved.elapsed() > within {
            return Err(HostCause::TimedOut(within.as_secs()));
        }
    }
}

async fn exchange(wire: &dyn Wire, ask: &HttpAsk, body: Body) -> Answer<HttpAnswer> {
    let place = place(&ask.address, ask.port);
    let unreachable = |why: &dyn std::fmt::Display| HostCause::NoService(format!("{place}: {why}"));
    let stream = wire.open_tcp(&ask.address, ask.port).await.map_err(|failure| match failure {
        OpenFailure::Session(cause) => cause,
        OpenFailure::Forbidden => HostCause::ForwardingRefused(place.clone()),
        other => unreachable(&other),
    })?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    let method = if ask.method.is_empty() { "GET" } else { &ask.method };
    let path = if ask.path.is_empty() { "/" } else { &ask.path };
    let mut request = hyper::Request::builder().method(method).uri(path).header("host", &place);
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let request = request
        .header("connection", "close")
        .body(body)
        .map_err(|error| HostCause::Answer(format!("no such request: {error}")))?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
        let status = response.status().as_u16();
        let headers = response.headers().iter();
        let headers = headers.map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into()));
        let headers = headers.collect();
        let body = Limited::new(response.into_body(), LARGEST_BODY).collect().await;
        let body = body.map_err(|error| HostCause::Answer(format!("{place}: {error}")))?.to_bytes().to_vec();
        Ok(HttpAnswer { status, headers, body })
    };
    tokio::pin!(exchange);
    // The connection does the work; it ends when the server closes, which may be before the body is read.
    tokio::select! {
        answer = &mut exchange => answer,
        _ = connection => exchange.await,
    }
}

/// `address:port`, with brackets where it takes them.
pub(super) fn place(address: &str, port: u16) -> String {
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V6(_)) => format!("[{address}]:{port}"),
        _ => format!("{address}:{port}"),
    }
}
