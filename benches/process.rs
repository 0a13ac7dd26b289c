//! Runs of `kolla` as a process, with its time and memory.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// Whatever went wrong.
pub(crate) type Failure = Box<dyn std::error::Error + Send + Sync>;

/// Between two looks at a process that is measured.
const PAUSE: Duration = Duration::from_millis(10);

/// One run of `kolla`.
pub(crate) struct Run {
    pub(crate) wall: Duration,
    /// Most memory it ever held.
    pub(crate) peak_kib: u64,
    /// Seconds of processor time.
    pub(crate) cpu: f64,
    /// What it printed.
    pub(crate) output: String,
}

/// Runs `kolla` on the site in a folder; `through` is a program that starts it, or nothing.
pub(crate) async fn kolla(folder: &Path, through: &[&str], words: &[&str]) -> Result<Run, Failure> {
    let mut line: Vec<&str> = through.to_vec();
    line.push(env!("CARGO_BIN_EXE_kolla"));
    line.extend(words);
    let began = Instant::now();
    let mut child = Command::new(line[0])
        .args(&line[1..])
        .args(["--color", "never", "--configdir"])
        .arg(folder)
        .env("HOME", folder)
        .env("XDG_STATE_HOME", folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let pipes = (child.stdout.take(), child.stderr.take());
    let texts = async {
        let (mut output, mut errors) = (String::new(), String::new());
        let (Some(mut stdout), Some(mut stderr)) = pipes else { return Err(Failure::from("no pipes")) };
        tokio::try_join!(stdout.read_to_string(&mut output), stderr.read_to_string(&mut errors))?;
        Ok((output, errors))
    };
    let id = child.id().unwrap_or_default();
    let (mut peak_kib, mut cpu) = (0, 0.0);
    let watch = async {
        loop {
            tokio::select! {
                ended = child.wait() => return ended.map(|status| (status, began.elapsed())),
                () = tokio::time::sleep(PAUSE) => {}
            }
            // Both only grow: the last look before the end is as good as one at it.
            peak_kib = peak(id).max(peak_kib);
            cpu = processor_time(id).max(cpu);
        }
    };
    let (ended, texts) = tokio::join!(watch, texts);
    let ((status, wall), (output, errors)) = (ended?, texts?);
    if !status.success() {
        let lines: Vec<&str> = output.lines().chain(errors.lines()).collect();
        let shown = lines[lines.len().saturating_sub(40)..].join("\n");
        return Err(format!("kolla {}: {status}\n{shown}", words.join(" ")).into());
    }
    Ok(Run { wall, peak_kib, cpu, output })
}

fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// User's and kernel's, which Linux counts in hundredths of a second.
fn processor_time(process: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let after_name = stat.rsplit_once(") ").map_or("", |(_, rest)| rest);
    let ticks = after_name.split(' ').skip(11).take(2).filter_map(|number| number.parse::<u32>().ok());
    f64::from(ticks.sum::<u32>()) / 100.0
}
