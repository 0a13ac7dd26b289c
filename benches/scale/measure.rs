//! Processes: the one with the servers, and `kolla` with its time and memory.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::Failure;

/// Between two looks at a process that is measured.
const PAUSE: Duration = Duration::from_millis(10);

/// The process with the servers. It ends when its stdin does.
pub(crate) struct Servers {
    child: Child,
    /// One for each host.
    pub(crate) ports: Vec<u16>,
}

impl Servers {
    pub(crate) async fn start(count: usize, folder: &Path) -> Result<Self, Failure> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["serve", &count.to_string()])
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let mut line = String::new();
        if let Some(stdout) = child.stdout.take() {
            BufReader::new(stdout).read_line(&mut line).await?;
        }
        let ports: Vec<u16> = line.split_whitespace().filter_map(|port| port.parse().ok()).collect();
        if ports.len() == count { Ok(Self { child, ports }) } else { Err("the servers did not start".into()) }
    }

    pub(crate) async fn stop(mut self) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        self.child.wait().await?;
        Ok(())
    }
}

/// One run of `kolla`.
pub(crate) struct Run {
    pub(crate) wall: Duration,
    /// Most memory it ever held.
    pub(crate) peak_kib: u64,
    /// Seconds of processor time.
    pub(crate) cpu: f64,
    /// The line that counts what it did.
    pub(crate) summary: String,
    output: String,
}

impl Run {
    /// The mean over all hosts, of a verbose run.
    pub(crate) fn requests(&self) -> f64 {
        let line = self.output.lines().find_map(|line| line.strip_prefix("requests ")).unwrap_or_default();
        let counts: Vec<f64> = line.split(',').filter_map(|host| host.rsplit(' ').next()?.parse().ok()).collect();
        let hosts = u32::try_from(counts.len()).unwrap_or(1);
        counts.iter().sum::<f64>() / f64::from(hosts)
    }

    /// Operations it compared.
    pub(crate) fn operations(&self) -> u64 {
        let same = self.summary.split(", ").find_map(|part| part.strip_prefix("same "));
        same.and_then(|rest| rest.split(' ').next()?.parse().ok()).unwrap_or_default()
    }
}

/// Runs `kolla deploy` on the site in a folder.
pub(crate) async fn deploy(folder: &Path, options: &[&str]) -> Result<Run, Failure> {
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_kolla"))
        .args(["deploy", "--color", "never", "--configdir"])
        .arg(folder)
        .args(options)
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
        return Err(format!("kolla deploy: {status}\n{shown}").into());
    }
    let summary = output.lines().rfind(|line| line.starts_with("changed ")).unwrap_or_default().to_owned();
    Ok(Run { wall, peak_kib, cpu, summary, output })
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
