//! Waiting for a server that is starting: its host may just have been switched on, or the load balancer may only just
//! have learnt of it.

use std::time::Duration;

use tokio::time::Instant;

use crate::error::{Error, HostCause, Result};
use crate::host::HttpAnswer;

/// How long a server may take that is starting.
const STARTS: Duration = Duration::from_mins(1);

/// Between two questions to what is getting ready.
const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(3);

/// How long to wait before the next question: a tenth of what was waited so far, and three times of what the last answer
/// took. Where many containers start at once, questions would else be most of what their host does.
pub(super) fn pause(waited: Duration, answer: Duration) -> Duration {
    (waited / 10).max(answer * 3).clamp(SHORTEST, LONGEST)
}

/// Asks until the answer is not `not_yet` any more, or the time is over; the last answer.
pub(super) async fn until_it_serves<T, F: Future<Output = T>>(ask: impl Fn() -> F, not_yet: impl Fn(&T) -> bool) -> T {
    let end = Instant::now() + STARTS;
    loop {
        let answer = ask().await;
        if !not_yet(&answer) || Instant::now() > end {
            return answer;
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

/// Nobody serves there yet: nobody listens, or who does has nobody to send to.
pub(super) fn http_not_yet(answer: &Result<HttpAnswer>) -> bool {
    match answer {
        Ok(answer) => answer.status >= 500,
        Err(Error::Host(error)) => matches!(error.cause, HostCause::NoService(_)),
        Err(_) => false,
    }
}
