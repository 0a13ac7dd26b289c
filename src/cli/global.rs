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
    /// Inventory: a file, folder or script, or a list of hosts such as `a,b`; may be repeated [default: CONFIGDIR/inventory, else CONFIGDIR/ansible/inventory/all-in-one]
    #[arg(short, long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub inventory: Vec<PathBuf>,

    /// Act only on matching hosts, for example `control,!control02`
    #[arg(short, long, global = true, value_name = "PATTERN", add = ArgValueCompleter::new(complete::patterns))]
    pub limit: Option<String>,

    /// Act only on these roles, separated by commas; may be repeated
    #[arg(short, long, global = true, value_name = "ROLES", value_delimiter = ',')]
    #[arg(add = ArgValueCandidates::new(complete::roles))]
    pub tags: Vec<String>,

    /// Skip these roles, separated by commas; may be repeated
    #[arg(long, global = true, value_name = "ROLES", value_delimiter = ',')]
    #[arg(add = ArgValueCandidates::new(complete::roles))]
    pub skip_tags: Vec<String>,

    /// Set variables that override all files: `name=value`, JSON, or `@FILE`; may be repeated
    #[arg(short, long, global = true, value_name = "VARS")]
    pub extra_vars: Vec<String>,

    /// Change nothing; report what would change
    #[arg(short = 'C', long, global = true)]
    pub check: bool,

    /// Show the differences in files
    #[arg(short = 'D', long, global = true)]
    pub diff: bool,

    /// With --check: exit with code 3 if something would change
    #[arg(long, global = true)]
    pub exit_code: bool,

    /// The folder with globals.yml, passwords.yml and overrides [env: `KOLLA_CONFIG_PATH`] [default: /etc/kolla]
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub configdir: Option<PathBuf>,

    /// The file with the passwords [default: CONFIGDIR/passwords.yml]
    #[arg(short, long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub passwords: Option<PathBuf>,

    /// A file with the Ansible Vault password, or an executable that prints it; may be repeated
    /// [env: `ANSIBLE_VAULT_PASSWORD_FILE`]
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, visible_alias = "vault-pass-file")]
    pub vault_password_file: Vec<PathBuf>,

    /// An Ansible Vault password with an ID; SOURCE is a file, an executable or `prompt`; may be repeated
    #[arg(long, global = true, value_name = "ID@SOURCE")]
    pub vault_id: Vec<String>,

    /// Ask for the Ansible Vault password
    #[arg(short = 'J', long, global = true, visible_alias = "ask-vault-pass")]
    pub ask_vault_password: bool,

    /// Ask for the SSH password of hosts for which the inventory has no `ansible_password`
    #[arg(short = 'k', long, global = true)]
    pub ask_pass: bool,

    /// Ask for the sudo password of hosts for which the inventory has no `ansible_become_password`
    #[arg(short = 'K', long, global = true)]
    pub ask_become_pass: bool,

    /// A folder of roles that override those in CONFIGDIR/roles and the built-in ones; may be repeated
    #[arg(long, global = true, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub roles: Vec<PathBuf>,

    /// Fail if a variable is set that no role reads, or if a service reads a file in config/ otherwise than it looks
    #[arg(long, global = true)]
    pub strict: bool,

    /// Maximum number of operations at the same time over all hosts [default: no limit]
    #[arg(short, long, global = true, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    pub forks: Option<u16>,

    /// Also report what is unchanged, and log more; -vv and -vvv log even more
    #[arg(short, long, global = true, action = ArgAction::Count)]
    pub verbose: u8,

    /// The output format on stdout
    #[arg(long, global = true, value_name = "FORM", default_value = "text")]
    pub output: Output,

    /// When to use colours
    #[arg(long, global = true, value_name = "WHEN", default_value = "auto")]
    pub color: Color,

    /// Record the SSH keys of hosts that are not in `known_hosts`
    #[arg(long, global = true)]
    pub accept_new_host_keys: bool,

    /// Take over containers and folders that another tool created under this site's names
    #[arg(long, global = true)]
    pub adopt: bool,

    /// Run although too few hosts answer to grant the site's lease; make sure that no other run is active
    #[arg(long, global = true)]
    pub without_majority: bool,

    /// With deploy: remove containers and configuration that the site no longer has
    #[arg(long, global = true)]
    pub prune: bool,
}

/// The output format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    #[default]
    Text,
    /// One JSON object per line.
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
