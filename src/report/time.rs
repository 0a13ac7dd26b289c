//! Moments and durations as text. Moments are UTC: a run record must sort and compare across machines.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// `0.41s`, `6.1s`, `1m12s`, `2h05m`.
pub fn duration(milliseconds: u64) -> String {
    let seconds = milliseconds / 1000;
    match milliseconds {
        0..1_000 => format!("0.{:02}s", milliseconds / 10),
        1_000..60_000 => format!("{seconds}.{}s", milliseconds % 1000 / 100),
        60_000..3_600_000 => format!("{}m{:02}s", seconds / 60, seconds % 60),
        _ => format!("{}h{:02}m", seconds / 3600, seconds % 3600 / 60),
    }
}

/// Whole milliseconds of a duration.
pub fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `2026-05-04T10:22:33Z`.
pub fn rfc3339(moment: SystemTime) -> String {
    let (year, month, day, hour, minute, second, _) = civil(moment);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}

/// `20260504T102233.123Z`: sorts as it should, and is a fine file name.
pub fn stamp(moment: SystemTime) -> String {
    let (year, month, day, hour, minute, second, milli) = civil(moment);
    format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{milli:03}Z")
}

/// Gregorian date and time of day; moments before 1970 count as 1970.
fn civil(moment: SystemTime) -> (u64, u64, u64, u64, u64, u64, u32) {
    let since = moment.duration_since(UNIX_EPOCH).unwrap_or_default();
    let (mut days, rest) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let leap = |year: u64| (year.is_multiple_of(4) && !year.is_multiple_of(100)) || year.is_multiple_of(400);
    let mut year = 1970;
    while days >= 365 + u64::from(leap(year)) {
        days -= 365 + u64::from(leap(year));
        year += 1;
    }
    let lengths = [31, 28 + u64::from(leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let mut month = 1;
    for length in lengths {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    (year, month, days + 1, rest / 3600, rest % 3600 / 60, rest % 60, since.subsec_millis())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_keep_the_digits_that_matter() {
        let texts: Vec<String> = [4, 414, 6_149, 59_999, 72_000, 7_500_000].into_iter().map(duration).collect();
        assert_eq!(texts, ["0.00s", "0.41s", "6.1s", "59.9s", "1m12s", "2h05m"]);
    }

    #[test]
    fn moments_know_leap_years() {
        let at = |seconds: u64| UNIX_EPOCH + Duration::from_millis(seconds * 1000 + 7);
        assert_eq!(rfc3339(at(951_782_400)), "2000-02-29T00:00:00Z");
        assert_eq!(stamp(at(1_735_689_599)), "20241231T235959.007Z");
    }
}
