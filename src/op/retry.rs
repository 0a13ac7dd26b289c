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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_takes_long_is_asked_less_often_and_a_busy_host_leaves_most_of_its_time_to_what_starts() {
        let pauses = [(0, 0), (2_000, 10), (20_000, 10), (100, 400), (600_000, 10), (0, 9_000)]
            .map(|(waited, answer)| pause(Duration::from_millis(waited), Duration::from_millis(answer)).as_millis());
        assert_eq!(pauses, [50, 200, 2_000, 1_200, 3_000, 3_000]);
    }
}
