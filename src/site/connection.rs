//! How each host is reached: Ansible's connection variables, with Ansible's meaning.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;

use super::{ENGINE_SOCKET, HostSpec, LoginPassword, SiteOptions, words};
use crate::error::{InputError, Names, Place, nearest};
use crate::shell::Secret;
use crate::template::{Scope, Scopes, Value};

/// Ansible's variables that say how a host is reached: those read here, and others that are like one of them.
pub const CONNECTION: &[&str] = &[
    "ansible_become",
    "ansible_become_method",
    "ansible_become_pass",
    "ansible_become_password",
    "ansible_become_user",
    "ansible_connection",
    "ansible_group_priority",
    "ansible_host",
    "ansible_password",
    "ansible_port",
    "ansible_private_key_file",
    "ansible_scp_extra_args",
    "ansible_sftp_extra_args",
    "ansible_ssh_common_args",
    "ansible_ssh_extra_args",
    "ansible_ssh_host",
    "ansible_ssh_pass",
    "ansible_ssh_port",
    "ansible_ssh_private_key_file",
    "ansible_ssh_user",
    "ansible_ssh_password",
    "ansible_su_pass",
    "ansible_su_user",
    "ansible_sudo_pass",
    "ansible_user",
];

/// How many letters of such a name may be wrong: what else Ansible calls so is farther from them.
const SLIPS: usize = 2;

/// The connection variable that is meant by a name that is none.
pub fn misspelt(name: &str) -> Option<&'static str> {
    let other = name.starts_with("ansible_") && !CONNECTION.contains(&name);
    other.then(|| Names::of(CONNECTION.iter().copied()).nearest(name, SLIPS)).flatten()
}

/// Reads a host's connection variables.
pub(super) struct Connection<'a> {
    scope: &'a Scope,
    host: &'a str,
    options: &'a SiteOptions,
    errors: Vec<InputError>,
}

/// The host's specification, or every mistake in its connection variables.
pub(super) fn spec(scope: &Scope, host: &str, options: &SiteOptions) -> Result<HostSpec, Vec<InputError>> {
    let mut connection = Connection { scope, host, options, errors: Vec::new() };
    let spec = connection.read();
    if connection.errors.is_empty() { Ok(spec) } else { Err(connection.errors) }
}

/// Hosts that are the same machine as another one; the same mistake of a group once.
pub(super) fn twice(hosts: &IndexMap<String, HostSpec>, scopes: &Scopes) -> Vec<InputError> {
    let (mut first, mut found): (HashMap<_, &str>, Vec<InputError>) = (HashMap::new(), Vec::new());
    for (name, spec) in hosts.iter().filter(|(_, spec)| !spec.local) {
        let way = (spec.to_string(), spec.jump.as_ref().map(ToString::to_string));
        let Some(other) = first.get(&way) else {
            first.insert(way, name);
            continue;
        };
        let scope = scopes.host(name);
        let origin =
            ["ansible_ssh_host", "ansible_host"].iter().find_map(|name| scope.explain(name).into_iter().next());
        let place = origin.map(|origin| origin.place);
        if !found.iter().any(|known| known.place == place) {
            let error = InputError::new(format!("{other} and {name} have the same address {spec}"));
            found.push(InputError { place, ..error }.hint("give each host an `ansible_host` of its own"));
        }
    }
    found
}

impl Connection<'_> {
    fn read(&mut self) -> HostSpec {
        let local = self.local();
        let user = self.either("ansible_user", "ansible_ssh_user").unwrap_or_else(|| self.options.user.clone());
        let become_root = self.flag("ansible_become").unwrap_or(true) && user != "root";
        if become_root {
            self.only("ansible_become_method", "sudo");
            self.only("ansible_become_user", "root");
        }
        let mut ssh = self.ssh_options();
        if let Some(file) = self.either("ansible_private_key_file", "ansible_ssh_private_key_file") {
            ssh.key_files = vec![self.path(&file)];
        } else if ssh.key_files.is_empty() {
            let folder = self.options.home.iter().map(|home| home.join(".ssh"));
            let names = ["id_ed25519", "id_ecdsa", "id_rsa"];
            ssh.key_files = folder.flat_map(|folder| names.map(|name| folder.join(name))).collect();
        }
        if ssh.known_hosts.is_empty() {
            ssh.known_hosts.extend(self.options.home.iter().map(|home| home.join(".ssh/known_hosts")));
            ssh.known_hosts.push(PathBuf::from("/etc/ssh/ssh_known_hosts"));
        }
        let jump = self.text("kolla_ssh_jump").map(|jump| ("kolla_ssh_jump", jump)).or(ssh.jump);
        let engine_socket = self.text("kolla_engine_socket").unwrap_or_else(|| {
            let podman = self.text("kolla_container_engine").is_some_and(|engine| engine == "podman");
            if podman { "/run/podman/podman.sock" } else { ENGINE_SOCKET }.to_owned()
        });
        let mut spec = HostSpec {
            name: self.host.to_owned(),
            address: self.either("ansible_host", "ansible_ssh_host").unwrap_or_else(|| self.host.to_owned()),
            port: self.port(),
            user,
            password: self.password(
                &["ansible_ssh_password", "ansible_ssh_pass", "ansible_password"],
                self.options.password.as_ref(),
            ),
            become_root,
            become_password: self.password(
                &["ansible_sudo_pass", "ansible_become_pass", "ansible_become_password"],
                self.options.become_password.as_ref(),
            ),
            key_files: ssh.key_files,
            known_hosts: ssh.known_hosts,
            local,
            jump: None,
            engine_socket,
        };
        spec.jump = jump.and_then(|(name, text)| self.jump(name, &text, &spec)).map(Box::new);
        spec
    }

    /// `user@host:port`, with the host's own user and port 22 where they are left out.
    fn jump(&mut self, name: &str, text: &str, of: &HostSpec) -> Option<HostSpec> {
        let (user, rest) = text.split_once('@').unwrap_or((&of.user, text));
        let (address, port) = match rest.rsplit_once(':') {
            Some((address, port)) => (address, port.parse().ok()),
            None => (rest, Some(22)),
        };
        let Some(port) = port else {
            let message = format!("`{text}` is no jump host of {}", self.host);
            self.fail(name, message, Some("write it as `user@host:port`".into()));
            return None;
        };
        Some(HostSpec {
            port,
            user: user.to_owned(),
            password: of.password.clone(),
            key_files: of.key_files.clone(),
            known_hosts: of.known_hosts.clone(),
            ..HostSpec::new(address, address)
        })
    }

    fn value(&mut self, name: &str) -> Option<Value> {
        if !self.scope.has(name) {
            return None;
        }
        match self.scope.get(name) {
            Ok(value) if value.is_none() => None,
            Ok(value) => Some(value),
            Err(mut error) => {
                error.used_by = Some(format!("connection to {}", self.host));
                self.errors.push(error);
                None
            }
        }
    }

    fn text(&mut self, name: &str) -> Option<String> {
        self.value(name).map(|value| value.to_string()).filter(|text| !text.is_empty())
    }

    fn flag(&mut self, name: &str) -> Option<bool> {
        let value = self.value(name)?.to_string().to_lowercase();
        match value.as_str() {
            "true" | "yes" | "on" | "1" => Some(true),
            "false" | "no" | "off" | "0" => Some(false),
            _ => {
                self.fail(name, format!("`{name}` of {} must be true or false, found `{value}`", self.host), None);
                None
            }
        }
    }

    /// The first of these that is set, in the order in which Ansible takes them; else what was typed.
    fn password(&mut self, names: &[&str], typed: Option<&LoginPassword>) -> Option<LoginPassword> {
        let Some((name, text)) = names.iter().find_map(|name| Some((name, self.text(name)?))) else {
            return typed.cloned();
        };
        let place = self.place(name).map(|place| format!(" ({})", Place { column: 0, ..place })).unwrap_or_default();
        Some(LoginPassword { secret: Secret::new(text), from: format!("from `{name}`{place}") })
    }

    fn place(&self, name: &str) -> Option<Place> {
        self.scope.explain(name).into_iter().next().map(|origin| origin.place)
    }

    /// A variable that has an older name, too, which wins in Ansible.
    fn either(&mut self, name: &str, older: &str) -> Option<String> {
        self.text(older).or_else(|| self.text(name))
    }

    fn port(&mut self) -> u16 {
        let (name, older) = ("ansible_port", "ansible_ssh_port");
        let name = if self.text(older).is_some() { older } else { name };
        let Some(text) = self.text(name) else { return 22 };
        match text.parse() {
            Ok(port) if port > 0 => port,
            _ => {
                let message = format!("`{name}` of {} must be a port, found `{text}`", self.host);
                self.fail(name, message, Some("use a number from 1 to 65535".into()));
                22
            }
        }
    }

    fn local(&mut self) -> bool {
        let Some(kind) = self.text("ansible_connection") else { return false };
        match kind.as_str() {
            "local" => true,
            "ssh" | "smart" | "paramiko" | "paramiko_ssh" => false,
            other => {
                let hint = nearest(other, ["ssh", "local"]).map(|near| format!("did you mean `{near}`?"));
                let hint = hint.unwrap_or_else(|| "use `ssh` or `local`".into());
                self.fail("ansible_connection", format!("unknown connection `{other}` of {}", self.host), Some(hint));
                false
            }
        }
    }

    /// A variable that may have one value alone.
    fn only(&mut self, name: &str, value: &str) {
        if let Some(other) = self.text(name).filter(|text| text != value) {
            let message = format!("`{name}` of {} must be `{value}`, found `{other}`", self.host);
            self.fail(name, message, Some("hosts are changed as root, who is reached by sudo".into()));
        }
    }

    fn fail(&mut self, name: &str, message: String, hint: Option<String>) {
        let mut error = InputError::new(message);
        error.hint = hint;
        error.place = self.place(name);
        self.errors.push(error);
    }

    fn path(&self, text: &str) -> PathBuf {
        match (text.strip_prefix("~/"), &self.options.home) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => Path::new(text).to_owned(),
        }
    }

    /// What the options meant for OpenSSH say of keys and jump hosts. Others do not concern us.
    fn ssh_options(&mut self) -> SshOptions {
        let mut found = SshOptions::default();
        for name in ["ansible_ssh_common_args", "ansible_ssh_extra_args"] {
            let Some(text) = self.text(name) else { continue };
            let Ok(words) = words::split(&text) else {
                self.fail(name, format!("a quotation in `{name}` is not closed"), None);
                continue;
            };
            let mut words = words.into_iter().map(|word| word.text);
            while let Some(word) = words.next() {
                let mut argument = |prefix: &str| match word.strip_prefix(prefix) {
                    Some("") => words.next(),
                    Some(rest) => Some(rest.to_owned()),
                    None => None,
                };
                if let Some(option) = argument("-o") {
                    let (key, value) = option.split_once(['=', ' ']).unwrap_or((&option, ""));
                    let value = value.trim();
                    match key.trim().to_lowercase().as_str() {
                        "proxyjump" => found.jump = Some((name, value.to_owned())),
                        "identityfile" => found.key_files.push(self.path(value)),
                        "userknownhostsfile" if value != "/dev/null" => {
                            found.known_hosts.extend(value.split_whitespace().map(|file| self.path(file)));
                        }
                        "proxycommand" => {
                            if let Some(jump) = jump_of(value) {
                                found.jump = Some((name, jump));
                            } else {
                                let message = format!("`ProxyCommand` of {} is no jump through ssh", self.host);
                                self.fail(name, message, Some("use `-o ProxyJump=user@host`".into()));
                            }
                        }
                        _ => {}
                    }
                } else if let Some(jump) = argument("-J") {
                    found.jump = Some((name, jump));
                } else if let Some(file) = argument("-i") {
                    found.key_files.push(self.path(&file));
                }
            }
        }
        found
    }
}

#[derive(Default)]
struct SshOptions {
    key_files: Vec<PathBuf>,
    known_hosts: Vec<PathBuf>,
    /// What names it, and how.
    jump: Option<(&'static str, String)>,
}

/// The jump host of `ssh -W %h:%p [-q] user@host`.
fn jump_of(command: &str) -> Option<String> {
    let words: Vec<String> = words::split(command).ok()?.into_iter().map(|word| word.text).collect();
    let mut rest = words.iter();
    if !rest.next()?.ends_with("ssh") || !command.contains("-W %h:%p") {
        return None;
    }
    let (mut target, mut port) = (None, None);
    while let Some(word) = rest.next() {
        match word.as_str() {
            "-W" | "-i" | "-o" | "-F" => drop(rest.next()),
            "-p" => port = rest.next(),
            flag if flag.starts_with('-') => {}
            word => target = Some(word.to_owned()),
        }
    }
    match port {
        Some(port) => target.map(|target| format!("{target}:{port}")),
        None => target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_command_that_is_a_jump_is_one() {
        assert_eq!(jump_of("ssh -W %h:%p -q user@bastion").as_deref(), Some("user@bastion"));
        assert_eq!(jump_of("ssh -o A=b -p 2222 -W %h:%p bastion").as_deref(), Some("bastion:2222"));
        assert_eq!(jump_of("nc %h %p"), None);
    }
}
