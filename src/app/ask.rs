//! One answer for a whole role: the first one that a program gives in any of its containers.

use crate::error::{Error, Result};
use crate::host::Observer;
use crate::plan::Place;

/// What the first program says that ends well.
///
/// # Errors
/// What the last one said, where none does.
pub(super) async fn first<'a>(places: impl Iterator<Item = (&'a Place, Observer)>) -> Result<String> {
    let mut error = Error::operation("no host answers that could be asked");
    for (place, host) in places {
        match host.probe(&place.container, &place.program).await {
            Ok(output) if output.code == 0 => return Ok(output.text()),
            Ok(output) => {
                let text = format!("{}{}", output.text(), output.stderr);
                let last = text.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing said").trim();
                error = Error::operation(format!("container {} on {}", place.container, place.host))
                    .because(format!("exit code {}", output.code))
                    .because(last);
            }
            Err(failed) => error = failed,
        }
    }
    Err(error)
}
