//! The command line: what can be asked, and how its answer becomes text and an exit code.
//!
//! One file a command or family. A command takes an [`Invocation`] and never reads the environment, prints to
//! a stream of its own or ends the process. It makes a request of its options, and text of what [`crate::app`] answers.

mod actions;
mod aliases;
mod apply;
mod build;
mod complete;
mod config;
mod docs;
pub mod environment;
mod exec;
mod exit;
mod genpwd;
pub mod global;
mod graph;
mod history;
mod init_runonce;
mod interrupt;
mod inventory;
mod invocation;
mod lab;
mod logs;
mod mergepwd;
mod order;
mod passwords;
mod paths;
mod phases;
mod plan;
mod post_deploy;
mod prompt;
mod quickstart;
mod registry;
mod reporting;
mod status;
mod topics;
mod usage;
mod validate;
mod vars;

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use aliases::Aliases;
pub use environment::Environment;
pub use exit::Exit;
pub use global::{Global, Output};
pub use invocation::Invocation;
pub use usage::recorded;

use crate::error::{Error, Result};
use crate::report::{Screen, json, text};

/// Deploys and runs a highly available OpenStack cloud in containers, over SSH.
#[derive(Debug, Parser)]
#[command(name = "kolla", version = env!("KOLLA_VERSION"), arg_required_else_help = true, subcommand_required = true)]
#[command(disable_help_subcommand = true, max_term_width = 110)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands of `kolla`.
#[derive(Debug, Subcommand)]
pub enum Command {
    #[command(flatten)]
    #[allow(missing_docs)]
    Phase(phases::PhaseCommand),
    /// Write openrc scripts and clouds.yaml for the administrator
    ///
    /// Writes them to CONFIGDIR. They contain the administrator's password.
    PostDeploy(post_deploy::PostDeploy),
    /// Create an image, flavors, a key pair and networks for a first server
    ///
    /// Also creates a router, security group rules and quotas. Existing resources are kept.
    InitRunonce(init_runonce::InitRunonce),
    /// Generate a secret for each empty entry of passwords.yml
    ///
    /// `-p/--passwords` names another file. An encrypted file stays encrypted.
    Genpwd(genpwd::Genpwd),
    /// Merge the secrets of an old passwords.yml into a new one
    ///
    /// Writes the new file with the values of the old file, followed by the names that only the old file has. An empty value
    /// of the old file replaces nothing. The result is encrypted if the old file is encrypted.
    Mergepwd(mergepwd::Mergepwd),
    /// List secrets that are empty, weak, unknown or unused
    ///
    /// Exits with code 1 if a secret that an enabled role reads is empty or missing.
    ///
    /// A secret is unknown if no role or variable reads it, and unused if no enabled role does. A secret is weak if it has
    /// fewer than 8 characters, or fewer than 20 of one class (lower case, upper case, digits or punctuation); if it has
    /// fewer than 5 different characters; or if it is a common password or its own name.
    Passwords(passwords::Passwords),
    /// Check inventory, variables, roles and templates without connecting to a host
    ///
    /// With `--output json`, prints one JSON object per finding, for editors. `kolla docs errors` lists the kinds of findings.
    Validate(validate::Validate),
    /// List hosts, their addresses and groups
    Inventory(inventory::Inventory),
    /// Show the variables of a host and where each value is set
    Vars(vars::Vars),
    /// Show the configuration files of a container and where each line comes from
    ///
    /// Does not connect to the host. The files of CONFIGDIR/config are merged into those of the role. Secrets are hidden.
    Config(config::Config),
    /// Show what a command would change, and optionally save the plan
    ///
    /// Connects to the hosts and changes nothing. `kolla apply` carries out a saved plan.
    Plan(plan::Plan),
    /// Carry out a saved plan; refuse if the hosts have changed since
    ///
    /// Give the same limit and tags as when the plan was saved. Before it changes anything, `apply` compares the hosts, the
    /// registry and the site with the saved plan. It refuses if one of them matches neither the state when the plan was
    /// saved nor the state that the plan makes. The same command resumes a run that was killed.
    Apply(apply::Apply),
    /// Do what a role offers to do with its services, as `kolla do etcd defragment`
    Do(actions::Do),
    /// Show the state of all services, clusters and agents
    ///
    /// Exits with code 1 if a service does not run, or a cluster or agent is not well. A container that differs from the site
    /// is shown, and does not change the exit code.
    Status(status::Status),
    /// Draw the dependency graph of a command's plan
    Graph(graph::Graph),
    /// List past runs and their records
    ///
    /// Lists the runs of this machine and user, newest first, with the timeline of each. The last 50 runs are kept.
    History(history::History),
    /// Show the log of a service's container
    Logs(logs::Logs),
    /// Run a program in a service's container
    ///
    /// Exits with the exit code of the program.
    Exec(exec::Exec),
    /// Build container images and push them to a registry
    ///
    /// Builds each image after its parent. `--push` pushes the images.
    Build(build::Build),
    /// Run an image registry on this machine
    Registry(registry::Registry),
    /// Create test hosts as containers on this machine
    Lab(lab::Lab),
    /// Build images, create test hosts and deploy a cloud on this machine
    ///
    /// Also starts an image registry, and a server in the cloud. Reports first which packages it installs on this machine.
    Quickstart(quickstart::Quickstart),
    /// Print documentation, man pages and shell completions
    Docs(docs::Docs),
}

impl Command {
    /// Runs it.
    ///
    /// # Errors
    /// Whatever stops it; what failed on some hosts only is in the exit code.
    async fn run(self, at: &Invocation) -> Result<Exit> {
        match self {
            Self::Phase(command) => command.run(at).await,
            Self::PostDeploy(command) => command.run(at).await,
            Self::InitRunonce(command) => command.run(at).await,
            Self::Genpwd(command) => command.run(at).await,
            Self::Mergepwd(command) => command.run(at).await,
            Self::Passwords(command) => command.run(at).await,
            Self::Validate(command) => command.run(at).await,
            Self::Inventory(command) => command.run(at).await,
            Self::Vars(command) => command.run(at).await,
            Self::Config(command) => command.run(at).await,
            Self::Plan(command) => command.run(at).await,
            Self::Apply(command) => command.run(at).await,
            Self::Do(command) => command.run(at).await,
            Self::Status(command) => command.run(at).await,
            Self::Graph(command) => command.run(at).await,
            Self::History(command) => Ok(command.run(at)),
            Self::Logs(command) => command.run(at).await,
            Self::Exec(command) => command.run(at).await,
            Self::Build(command) => command.run(at).await,
            Self::Registry(command) => command.run(at).await,
            Self::Lab(command) => command.run(at).await,
            Self::Quickstart(command) => command.run(at).await,
            Self::Docs(command) => command.run(at),
        }
    }

    /// An interrupt lets it finish what it has begun; others just end.
    fn finishes(&self) -> bool {
        matches!(
            self,
            Self::Phase(_) | Self::Do(_) | Self::Plan(_) | Self::Apply(_) | Self::InitRunonce(_) | Self::Quickstart(_)
        )
    }
}

/// The program.
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    if let Some(code) = complete::answered(&arguments, || Aliases::of(&complete::Line::read().roles()).parser()) {
        return ExitCode::from(code);
    }
    let environment = Environment::read();
    ExitCode::from(start(environment, &arguments))
}

fn start(environment: Environment, arguments: &[OsString]) -> u8 {
    let streams = (Box::new(std::io::stdout()), Box::new(std::io::stderr()));
    let aliases = aliases_for(arguments, &environment);
    let root = aliases.parser();
    let matches = root.clone().try_get_matches_from(order::options_last(&root, arguments));
    let Cli { global, command } = match matches.and_then(|matches| aliases.read_matches(&matches)) {
        Ok(cli) => cli,
        Err(error) => {
            let colors = [environment.stdout_terminal, environment.stderr_terminal]
                .map(|terminal| global::Color::Auto.on(terminal, environment.no_color));
            let screen = Screen::new(streams.0, streams.1, (colors[0], colors[1]), false);
            return complain(&screen, &error, &root, aliases.problem);
        }
    };
    let bars = environment.stderr_terminal && environment.stdout_terminal && !global.json();
    let color = |terminal| global.color.on(terminal, environment.no_color);
    let colors = (color(environment.stdout_terminal), color(environment.stderr_terminal));
    let screen = Arc::new(Screen::new(streams.0, streams.1, colors, bars));
    log(&environment, &global, &screen);

    let at = Invocation::new(environment, global, screen, recorded(arguments));
    let result = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => {
            let result = runtime.block_on(supervised(command, &at));
            // A read of stdin cannot be cancelled and must not hold the end up.
            runtime.shutdown_timeout(Duration::from_millis(200));
            result
        }
        Err(error) => Err(Error::local("start the runtime", error)),
    };
    // An answer that was not delivered is no answer; a reader that wants no more is fine.
    let result = match at.screen.problem() {
        Some(problem) => result.and(Err(Error::local("write to stdout", problem))),
        None => result,
    };
    match result {
        Ok(Exit(code)) => code,
        Err(error) => {
            if at.global.json() {
                for line in json::error(&error) {
                    at.screen.json(line);
                }
            }
            at.screen.err(&text::error(&error, at.screen.paint_err.0));
            if at.app.stop.is_cancelled() { Exit::INTERRUPTED.0 } else { error.exit_code() }
        }
    }
}

/// The commands of roles, unless a command is named that needs none of them.
fn aliases_for(arguments: &[OsString], environment: &Environment) -> Aliases {
    if order::named(&Cli::command(), arguments) {
        return Aliases::default();
    }
    let words = arguments.iter().map(|word| word.to_string_lossy().into_owned());
    Aliases::read(&complete::Line::of(words.collect(), environment).role_folders)
}

async fn supervised(command: Command, at: &Invocation) -> Result<Exit> {
    let finishes = command.finishes();
    interrupt::watch(at.screen.clone(), at.app.stop.clone(), finishes);
    let work = command.run(at);
    if finishes {
        return work.await;
    }
    tokio::select! {
        result = work => result,
        () = at.app.stop.cancelled() => Err(Error::Interrupted),
    }
}

/// Tells what the parser answered. A command that there is not may be one of a role that cannot be read: `problem`.
fn complain(screen: &Screen, error: &clap::Error, root: &clap::Command, problem: Option<Error>) -> u8 {
    let (out, err) = (screen.paint.0, screen.paint_err.0);
    if let Some(problem) = problem.filter(|_| error.kind() == ErrorKind::InvalidSubcommand) {
        screen.err(&text::error(&problem, err));
        return problem.exit_code();
    }
    match usage::answer(error, root, if error.use_stderr() { err } else { out }) {
        usage::Answer::Help(text) => {
            screen.out(&text);
            0
        }
        usage::Answer::Missing(text) => {
            screen.err(&text);
            2
        }
        usage::Answer::Mistake(error) => {
            screen.err(&text::error(&error, err));
            error.exit_code()
        }
    }
}

/// The log on stderr: warnings, and more with each `-v`.
fn log(environment: &Environment, global: &Global, screen: &Arc<Screen>) {
    let filter = match (&environment.log, global.verbose) {
        (Some(filter), _) => filter.as_str(),
        (None, 0) => "warn",
        (None, 1) => "warn,kolla=info",
        (None, 2) => "info,kolla=debug,russh=warn",
        // The engine's client prints the bodies of its requests, which hold environments.
        (None, _) => "debug,kolla=trace,bollard=info",
    };
    let filter = EnvFilter::try_new(filter).unwrap_or_else(|_| EnvFilter::new("warn"));
    // A second call in one process (a test) keeps the first log.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(LogLines(screen.clone()))
        .with_ansi(screen.paint_err.0)
        .with_target(global.verbose > 1)
        .try_init();
}

/// Log lines between the bars.
#[derive(Clone)]
struct LogLines(Arc<Screen>);

impl std::io::Write for LogLines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.log(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for LogLines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Aliases::read(&[]).parser().debug_assert();
    }

    #[test]
    fn roles_know_which_commands_they_cannot_bring() {
        let mut names: Vec<String> =
            Cli::command().get_subcommands().map(|known| known.get_name().to_owned()).collect();
        names.sort();
        assert_eq!(names, crate::role::COMMANDS);
    }
}
