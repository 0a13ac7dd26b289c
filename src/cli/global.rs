//! Options that every command takes, named as Kolla-Ansible names them.

use std::path::PathBuf;

use clap::{ArgAction, Args, ValueEnum, ValueHint};
use clap_complete::{ArgValueCandidates, ArgValueCompleter};

use super::environment::Environment;
use super::{complete, paths};
use crate::app::{Options, vault};

/// Options of every command.
#[allow(clippy::struct_excessive_bools)]
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Options of every command")]
pub struct Global {
    /// An inventory: a file, folder or script, or hosts as `a,b`; may be repeated [default: CONFIGDIR/inventory, else CONFIGDIR/ansible/inventory/all-in-one]
    #[arg(short, long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub inventory: Vec<PathBuf>,

    /// Act only on hosts that match, as `control,!control02`
    #[arg(short, long, global = true, value_name = "PATTERN", add = ArgValueCompleter::new(complete::patterns))]
    pub limit: Option<String>,

    /// Act only on these roles, separated by commas; may be repeated
    #[arg(short, long, global = true, value_name = "ROLES", value_delimiter = ',')]
    #[arg(add = ArgValueCandidates::new(complete::roles))]
    pub tags: Vec<String>,

    /// Leave these roles out, separated by commas; may be repeated
    #[arg(long, global = true, value_name = "ROLES", value_delimiter = ',')]
    #[arg(add = ArgValueCandidates::new(complete::roles))]
    pub skip_tags: Vec<String>,

    /// Set variables over all files: `name=value`, JSON, or `@FILE`; may be repeated
    #[arg(short, long, global = true, value_name = "VARS")]
    pub extra_vars: Vec<String>,

    /// Only say what would be done
    #[arg(short = 'C', long, global = true)]
    pub check: bool,

    /// Show what differs in files
    #[arg(short = 'D', long, global = true)]
    pub diff: bool,

    /// With --check: end with exit code 3 when something would be done
    #[arg(long, global = true)]
    pub exit_code: bool,

    /// The folder of globals.yml and the rest [env: `KOLLA_CONFIG_PATH`] [default: /etc/kolla]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub configdir: Option<PathBuf>,

    /// The file of passwords [default: CONFIGDIR/passwords.yml]
    #[arg(short, long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub passwords: Option<PathBuf>,

    /// The file of the password of encrypted files; one that can be executed is run and prints it; may be repeated
    /// [env: `ANSIBLE_VAULT_PASSWORD_FILE`]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, visible_alias = "vault-pass-file")]
    pub vault_password_file: Vec<PathBuf>,

    /// A password of encrypted files by its id: SOURCE is a file, one to execute, or `prompt`; may be repeated
    #[arg(long, global = true, value_name = "ID@SOURCE")]
    pub vault_id: Vec<String>,

    /// Ask for the password of encrypted files
    #[arg(short = 'J', long, global = true, visible_alias = "ask-vault-pass")]
    pub ask_vault_password: bool,

    /// More roles, over those in CONFIGDIR/roles and the built-in ones; may be repeated
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub roles: Vec<PathBuf>,

    /// Refuse variables that nothing reads: unknown, not supported here, or of an old name
    #[arg(long, global = true)]
    pub strict: bool,

    /// How many operations to work on at once over all hosts [default: no limit]
    #[arg(short, long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub forks: Option<u16>,

    /// Say more: what is as it should be, and the log; -vv and -vvv for more of the log
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// How to report on stdout
    #[arg(long, global = true, value_name = "FORM", default_value = "text")]
    pub output: Output,

    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,

    /// Learn the keys of hosts that are not in `known_hosts`
    #[arg(long, global = true)]
    pub accept_new_host_keys: bool,

    /// Replace containers that have a name of ours but were made by something else
    #[arg(long, global = true)]
    pub adopt: bool,

    /// Change hosts although most of those that grant the site's lease do not answer: be sure that no other run does
    #[arg(long, global = true)]
    pub without_majority: bool,

    /// Remove what the site no longer asks for
    #[arg(long, global = true)]
    pub prune: bool,
}

/// The form of the report.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Color {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Color {
    /// Whether a stream gets colours.
    pub fn on(self, terminal: bool, no_color: bool) -> bool {
        match self {
            Self::Auto => terminal && !no_color,
            Self::Always => true,
            Self::Never => false,
        }
    }
}

impl Global {
    /// Which site, which part of it, and how it may be changed.
    pub fn options(&self, environment: &Environment) -> Options {
        let config_dir = paths::configdir(self.configdir.as_deref(), environment);
        Options {
            inventories: paths::inventories(&self.inventory, &config_dir),
            passwords: self.passwords.clone().unwrap_or_else(|| config_dir.join("passwords.yml")),
            roles: paths::role_folders(&self.roles, &config_dir),
            config_dir,
            extra_vars: self.extra_vars.clone(),
            limit: self.limit.clone(),
            tags: self.tags.clone(),
            skip_tags: self.skip_tags.clone(),
            strict: self.strict,
            diff: self.diff,
            adopt: self.adopt,
            prune: self.prune,
            forks: self.forks,
            without_majority: self.without_majority,
            accept_new_host_keys: self.accept_new_host_keys,
        }
    }

    /// Where the passwords of encrypted files come from.
    pub fn vault(&self, environment: &Environment) -> vault::Sources {
        let files = self.vault_password_file.iter().chain(&environment.vault_password_file);
        vault::Sources { ids: self.vault_id.clone(), files: files.cloned().collect(), ask: self.ask_vault_password }
    }

    /// Events and answers are JSON.
    pub fn json(&self) -> bool {
        self.output == Output::Json
    }
}
