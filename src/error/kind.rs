//! Kinds of errors and warnings: names that stay, with what causes each and what helps. `docs/errors.md` is made of this.

use std::fmt::Write as _;

use serde::{Serialize, Serializer};

/// Defines the kinds and all that is said of them in one place.
macro_rules! kinds {
    ($($family:literal: $($kind:ident $name:literal $cause:literal $remedy:literal;)+)+) => {
        /// What kind of error or warning something is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[doc = $cause] $kind,)+)+
        }

        impl Kind {
            /// All kinds, those of a family together.
            pub const ALL: &[Self] = &[$($(Self::$kind,)+)+];

            /// Its name, what causes it, what helps, and its family.
            const fn about(self) -> [&'static str; 4] {
                match self {
                    $($(Self::$kind => [$name, $cause, $remedy, $family],)+)+
                }
            }
        }
    };
}

kinds! {
"Mistakes in the input":
Usage "usage"
    "The command line is not valid, or does not confirm a loss of data."
    "`kolla COMMAND --help` lists options and arguments.";
UnknownName "unknown-name"
    "There is no host, group, role, service, phase, file or topic of this name."
    "Use the name in the hint; `kolla inventory` lists hosts and groups, `kolla docs` lists topics.";
UnreadableFile "unreadable-file"
    "A file or folder is missing, cannot be read, or is not text in UTF-8."
    "Correct the path or the permissions; etc/ and inventory/ of the repository have example files.";
Syntax "syntax"
    "A file or value is not valid YAML, JSON or INI, or a line is not valid in an inventory."
    "Check the place and the line above it: most often a quote, a bracket or the indentation is wrong. Quote a value that \
     begins with `{{` as a whole.";
DuplicateKey "duplicate-key"
    "A mapping has the same key twice. Ansible warns and uses the last one."
    "Remove one of them.";
UnknownKey "unknown-key"
    "A mapping has a key that is not allowed there."
    "Use the key in the hint; `kolla docs role` shows all keys of a role.";
MissingKey "missing-key"
    "A mapping lacks a required key."
    "Add it; `kolla docs role` shows what it means.";
WrongValue "wrong-value"
    "A value has the wrong type, or is out of range."
    "Write it as the message says; the hint names the place where the variable is set.";
UnmetRequest "unmet-request"
    "A variable of Kolla-Ansible asks for a service, a backend, a data path or a protection that `kolla` does not have."
    "Set it to the value in the hint, or remove it.";
UndefinedVariable "undefined-variable"
    "A template uses a variable, or a part of one, that is not set."
    "Correct its name, or set it in globals.yml or the inventory; a template may test it with `is defined` or give it a \
     `default`.";
NotAsked "needs-facts"
    "A value depends on facts of a host that was not asked, or did not answer."
    "Give the host an address as `ansible_host`, or run a command that asks it.";
EmptySecret "empty-secret"
    "A required secret has no value in passwords.yml."
    "Run `kolla genpwd`.";
Template "template"
    "A template has a syntax error, names an unknown filter, test or lookup, or one of these failed."
    "Correct the expression at the place; the lines `caused by` show which variables lead to it.";
Cycle "cycle"
    "Variables, groups, roles or operations depend on each other in a cycle."
    "Remove one of the links that the message lists.";
Inventory "inventory"
    "The inventory names no host, contradicts itself, or its script failed."
    "Correct it at the place; `kolla inventory --graph` shows the resulting groups.";
TooMuch "too-much"
    "A file or an inventory exceeds a limit: its depth, or its number of values, texts, aliases or hosts."
    "Look for unintended repetition; otherwise split it.";
RoleRule "role"
    "A role is valid YAML with valid keys, but contradicts itself: for example two kinds in one step, a variable of another \
     role, or a file without content."
    "Follow the message; `kolla docs role` has an example of everything.";
Encrypted "encrypted"
    "A file or value is encrypted with Ansible Vault, and the password is missing or wrong, or the file is damaged."
    "Give the password with `--vault-password-file`, `--vault-id` or `--ask-vault-password`.";
Unsupported "unsupported"
    "Ansible or Kolla-Ansible supports this; `kolla` does not."
    "Follow the hint, or remove it.";
SavedPlan "saved-plan"
    "Hosts, registry or site have changed since the plan was saved, or another version of `kolla` saved it."
    "Revert the change that the message names, or save and review a new plan with `kolla plan --save`.";
FixedSecret "fixed-secret"
    "The value of a secret differs from the deployed one, and services use this secret to log in to each other. During a \
     change, some of them would be refused."
    "Restore the old value. If you changed the secret in the service itself, remove \
     `/etc/kolla/.applied/secrets/*.NAME` on the hosts.";
InUse "in-use"
    "A service would stop, or go, that others need which go on running."
    "Stop these with it by `--cascade`, or name their roles by `--tags`, too; `--abort` asks nobody.";

"Warnings":
ReadOtherwise "read-otherwise"
    "YAML reads a value as a number or a truth value, and what that prints is not what is written: `1.10` is 1.1, `0123` is \
     83, `yes` is True. Or a service reads a file in config/ otherwise than it looks: a comment behind a value is a part of the \
     value, `[default]` is not `[DEFAULT]`."
    "Write a value of YAML in quotes; if the site is deployed already, write what it was read as, in quotes. Move a comment to a \
     line of its own.";
Doubtful "doubtful-value"
    "A value is valid, but what follows from it will most likely not work: for example, no registry has the images."
    "Follow the hint; where the value is meant so, nothing is to be done.";
Shadowed "shadowed-value"
    "A variable is set in globals.yml and for a group or host. In `kolla` the more specific value wins, in Kolla-Ansible \
     the value in globals.yml."
    "Remove one of the values.";
UnreadVariable "unread-variable"
    "A variable is set that no role, template or other variable reads."
    "Correct its name, or remove it.";
UnreadFile "unread-file"
    "Nothing reads a file in config/, `group_vars` or `host_vars`, or a template of a role."
    "Move it to the path in the message, or correct its name; `kolla config HOST SERVICE FILE --explain` lists the paths \
     that are read.";
OpenSecrets "open-secrets"
    "Other users can read a file with secrets."
    "Run `chmod 600` on it.";

"Hosts":
Unreachable "host-unreachable"
    "The name or address of a host cannot be reached."
    "Check `ansible_host` and `ansible_port`, and whether sshd runs.";
NoService "host-no-service"
    "A host answers, but a service on it does not."
    "Check the service with `kolla status` and `kolla logs`.";
HostKeyUnknown "host-key-unknown"
    "The SSH key of a host is not in `known_hosts`."
    "Compare the fingerprint, then run again with `--accept-new-host-keys`.";
HostKeyChanged "host-key-changed"
    "The SSH key of a host differs from the recorded one."
    "If the host was reinstalled, remove the recorded key; otherwise somebody may intercept the connection.";
HostKeyRevoked "host-key-revoked"
    "The SSH key of a host is marked as revoked."
    "Give the host another key.";
LoginRefused "login-refused"
    "The host accepted no SSH key and no password."
    "Set `ansible_user` and `ansible_ssh_private_key_file`, or load the key into an agent; or give the password by \
     `ansible_password` or `--ask-pass`.";
NoSudo "no-sudo"
    "The login user cannot become root: sudo wants a password that is not given, refuses the given one, or does not allow it."
    "Give the password by `ansible_become_password` or `--ask-become-pass`, allow sudo without one in sudoers, or log in as \
     root.";
SessionLost "session-lost"
    "The SSH session ended during an operation."
    "Run again: finished operations are not repeated.";
ForwardingRefused "forwarding-refused"
    "sshd does not forward to the container engine's socket."
    "Set `AllowStreamLocalForwarding yes` and `AllowTcpForwarding yes` in sshd_config.";
NoEngine "no-engine"
    "No container engine answers on a host."
    "Run `kolla bootstrap-servers`.";
EngineForbidden "engine-forbidden"
    "The container engine's socket exists, but the login user may not use it."
    "Set `ansible_become: true`, or add the user to the group that owns the socket, for example `docker`.";
NoEngineClient "no-engine-client"
    "The login uses sudo, and the host has no program that connects to the engine's socket: docker, podman or socat."
    "Run `kolla bootstrap-servers`, which installs one; or log in as root.";
Foreign "foreign"
    "A host has a container or folder with a name of this site that another deployment created. Nothing was changed."
    "Remove it if nobody needs it, or use `--adopt` to replace it.";
Engine "engine"
    "The container engine refused a request."
    "Its message says why.";
Registry "registry"
    "A registry cannot be reached, fails, refuses the login, or does not have an image."
    "Its message says which: start the registry, set `docker_registry_username`, or build and push the image.";
CommandFailed "command-failed"
    "A command on a host failed."
    "The last lines of its stderr say why.";
TimedOut "timed-out"
    "A host did not answer in time."
    "Check the load of the host and the network.";
Leased "leased"
    "Another run has the site's lease: only one run at a time may change the site, whatever its `--limit`."
    "Wait until it ends, or end it; this releases the lease.";
NoMajority "no-majority"
    "Too few of the hosts that grant the site's lease answer, so another run may be active without being seen."
    "Repair these hosts, or use `--without-majority` if no other run is active.";
LeaseLost "lease-lost"
    "The run lost the hosts that granted the site's lease. It finished the operations in progress."
    "Run again: finished operations are not repeated.";
UnexpectedAnswer "unexpected-answer"
    "A host or service gave an unexpected answer."
    "Look for a proxy or another program in between; otherwise report it.";

"Others":
Operation "operation"
    "An operation failed on a host. Operations that depend on it were skipped, all others were carried out."
    "The error shows the causes and the last log lines of the container; fix the cause and run again.";
Local "local"
    "An operation on this machine failed: on a file, a folder or a process."
    "The message says which and why.";
Interrupted "interrupted"
    "Ctrl-C, SIGTERM or a closed terminal stopped the run. It finished the operations in progress and started no others."
    "Run again.";
}

impl Kind {
    /// Its name, as in JSON.
    pub const fn name(self) -> &'static str {
        self.about()[0]
    }

    /// It stops nothing.
    pub fn is_warning(self) -> bool {
        self.about()[3] == "Warnings"
    }

    /// It is in what the user wrote.
    pub fn is_input(self) -> bool {
        self.about()[3] == Self::Usage.about()[3]
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}

/// `docs/errors.md`.
pub fn page() -> String {
    let mut text = String::from(
        "# Errors and warnings\n\n\
         Each error has a kind with a stable name: the key `code` of `--output json` (see events.md). An error names its \
         place\nand a hint for its case; this page says what helps in general. The page is generated from the program; \
         `kolla docs\nerrors` prints it.\n",
    );
    let mut family = "";
    for kind in Kind::ALL {
        let [name, cause, remedy, of] = kind.about();
        if family != of {
            family = of;
            let _ = write!(text, "\n## {family}\n\n| kind | cause | what helps |\n|---|---|---|\n");
        }
        let _ = writeln!(text, "| `{name}` | {cause} | {remedy} |");
    }
    text
}
