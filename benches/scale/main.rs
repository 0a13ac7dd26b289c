//! How long a `deploy` that has nothing to do takes on many hosts, and how much memory.
//!
//! The hosts are SSH servers with container engines behind them, all in a second process: sessions, scripts and
//! HTTP are real, only what they reach is kept in memory. Each site is deployed for real first, so that what the
//! measured runs find is what `kolla` itself wrote.
//!
//! `cargo bench --bench scale` measures 10, 100 and 500 hosts, `cargo bench --bench scale -- 2000` what is named.
#![allow(clippy::disallowed_types, reason = "processes are measured, and end with this one")]

mod answer;
mod engine;
mod measure;
#[path = "../process.rs"]
mod process;
mod server;
mod site;

use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use process::Failure;

/// Hosts, and the seconds and megabytes that are the goal.
const GOALS: [(usize, f64, u64); 2] = [(500, 1.5, 200), (2000, 8.0, 600)];
/// Hosts of the sites that are measured when none are named.
const COUNTS: [usize; 3] = [10, 100, 500];
/// Measured runs of each.
const RUNS: usize = 3;

#[tokio::main]
async fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["serve", count, folder] => match count.parse() {
            Ok(count) => server::serve(count, Path::new(folder)).await,
            Err(error) => Err(Failure::from(error)),
        },
        // `cargo test --all-targets` starts it, too, and without this word.
        words if !words.contains(&"--bench") => Ok(()),
        words => measure_all(&words.iter().filter_map(|word| word.parse().ok()).collect::<Vec<_>>()).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// A line of the table, at once: the later ones take a while.
fn say(line: &str) {
    let mut out = std::io::stdout();
    let _ = writeln!(out, "{line}");
    let _ = out.flush();
}

async fn measure_all(wanted: &[usize]) -> Result<(), Failure> {
    let counts = if wanted.is_empty() { COUNTS.to_vec() } else { wanted.to_vec() };
    say("hosts  operations  wall s: best  median  goal   peak MB  goal   CPU s   requests a host   first deploy s");
    for count in counts {
        let folder = tempfile::tempdir()?;
        let servers = measure::Servers::start(count, folder.path()).await?;
        site::write(folder.path(), &servers.ports)?;
        let first = measure::deploy(folder.path(), &[]).await?;
        let told = measure::deploy(folder.path(), &["-v"]).await?;
        let mut runs = Vec::new();
        for _ in 0..RUNS {
            let deploy = measure::deploy(folder.path(), &[]).await?;
            if !deploy.summary.starts_with("changed 0, same ") || deploy.summary.contains("failed") {
                return Err(format!("{count} hosts: not a run without changes: {}", deploy.summary).into());
            }
            runs.push(deploy);
        }
        runs.sort_by_key(|deploy| deploy.run.wall);
        let (best, median) = (runs[0].run.wall.as_secs_f64(), runs[RUNS / 2].run.wall.as_secs_f64());
        let peak = runs.iter().map(|deploy| deploy.run.peak_kib).max().unwrap_or_default() / 1024;
        let cpu = runs.iter().map(|deploy| deploy.run.cpu).fold(f64::INFINITY, f64::min);
        let goal = GOALS.iter().find(|goal| goal.0 == count);
        let (seconds, megabytes) =
            goal.map_or(("-".into(), "-".into()), |goal| (goal.1.to_string(), goal.2.to_string()));
        let operations = runs[0].operations();
        say(&format!(
            "{count:>5}  {operations:>10}  {best:>12.2}  {median:>6.2}  {seconds:>4}   {peak:>7}  {megabytes:>4}   \
             {cpu:>5.2}   {:>15.1}   {:>14.1}",
            told.requests(),
            first.run.wall.as_secs_f64(),
        ));
        servers.stop().await?;
    }
    Ok(())
}
