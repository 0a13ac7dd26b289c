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
"Mistakes in what was written":
Usage "usage"
    "The command line asks for what cannot be done, or does not say that a loss of data is meant."
    "`kolla COMMAND --help` tells what can be given.";
UnknownName "unknown-name"
    "There is no host, group, role, service, phase, file or topic of this name."
    "Take the name that the hint offers; `kolla inventory` lists hosts and groups, `kolla docs` topics.";
UnreadableFile "unreadable-file"
    "A file or folder is missing, may not be read, or is no text in UTF-8."
    "Correct the path or the permissions; etc/ and inventory/ of the repository have files to begin with.";
Syntax "syntax"
    "A file or value is no YAML, JSON or INI, or no line of an inventory."
    "Look at the place and the line above it: most often a quote, a bracket or the indentation. A value that begins with \
     `{{` is quoted as a whole.";
DuplicateKey "duplicate-key"
    "A mapping has the same key twice; Ansible warns and takes the last one."
    "Remove one of them.";
UnknownKey "unknown-key"
    "A mapping whose keys are fixed has another one."
    "Take the key that the hint offers; `kolla docs role` shows all of a role.";
MissingKey "missing-key"
    "A mapping lacks a key that it must have."
    "Add it; `kolla docs role` shows what it means.";
WrongValue "wrong-value"
    "A value is of another type than it must be, or out of its range."
    "Write it as the message says; the hint tells where the variable behind it is set.";
UndefinedVariable "undefined-variable"
    "A template prints a variable or a part of one that nothing sets."
    "Correct its name, or set it in globals.yml or the inventory; a template may test it with `is defined` or give it a \
     `default`.";
EmptySecret "empty-secret"
    "A secret is needed that has no value in the file of passwords."
    "Run `kolla genpwd`.";
Template "template"
    "A template is not written in Jinja's grammar, names a filter, test or lookup that there is not, or one of them failed."
    "Correct the expression at the place; what stands behind `caused by` tells by which variables it was reached.";
Cycle "cycle"
    "Variables, groups, roles or operations refer to each other in a circle."
    "Take out one link of those that the message lists.";
Inventory "inventory"
    "The inventory names no host, contradicts itself, or its script failed."
    "Correct it at the place; `kolla inventory --graph` draws what it comes to.";
TooMuch "too-much"
    "A file or an inventory is larger than that of any site: too deep, too many values, texts, aliases or hosts."
    "Look for what repeats itself by mistake; else split it.";
RoleRule "role"
    "A role's file is in order, but not what it asks for: two kinds in one step, a variable of another role, a file without \
     content."
    "Follow the message; `kolla docs role` has an example of everything.";
Encrypted "encrypted"
    "A file or value is encrypted with Ansible Vault, and its password is missing or wrong, or it was damaged."
    "Give the password by `--vault-password-file`, `--vault-id` or `--ask-vault-password`.";
Unsupported "unsupported"
    "Ansible or Kolla-Ansible knows this; this program does not."
    "Do as the hint says, or leave it out.";
SavedPlan "saved-plan"
    "Hosts, registry or site are not as they were when a plan was saved, or another version of this program saved it."
    "Put back what the message names, or read a new plan with `kolla plan --save`.";
FixedSecret "fixed-secret"
    "A secret has another value than what runs was deployed with, and is one by which services log in to each other: a part \
     of them would be refused until all have the new one."
    "Put the old value back. If it was changed in the service itself by hand, remove \
     `/etc/kolla/.applied/secrets/*.NAME` on the hosts.";
InUse "in-use"
    "A service would stop, or go, that others need which go on running."
    "Stop these with it by `--cascade`, or name their roles by `--tags`, too; `--abort` asks nobody.";

"Warnings":
Shadowed "shadowed-value"
    "A variable is set in globals.yml and for a group or host. The more specific one wins here; in Kolla-Ansible globals.yml \
     does."
    "Remove the one that is not meant.";
UnreadVariable "unread-variable"
    "A variable is set that no role, template or other variable reads."
    "Correct its name, or remove it.";
UnreadFile "unread-file"
    "A file in config/, `group_vars` or `host_vars`, or a template of a role, that nothing looks for."
    "Move it to where the message says, or correct its name; `kolla config HOST SERVICE FILE --explain` lists which paths are looked for.";
OpenSecrets "open-secrets"
    "A file of secrets can be read by others."
    "`chmod 600` it.";

"Hosts":
Unreachable "host-unreachable"
    "A host's name or address cannot be reached."
    "Check `ansible_host` and `ansible_port`, and that sshd runs.";
NoService "host-no-service"
    "A host answers, but a service that is asked through it does not."
    "Look at the service with `kolla status` and `kolla logs`.";
HostKeyUnknown "host-key-unknown"
    "A host's key is not in `known_hosts`."
    "Compare the fingerprint, then run again with `--accept-new-host-keys`.";
HostKeyChanged "host-key-changed"
    "A host's key differs from the recorded one."
    "If the host was installed anew, remove the recorded key; else somebody may stand between.";
HostKeyRevoked "host-key-revoked"
    "A host's key is marked as revoked."
    "Give the host another key.";
LoginRefused "login-refused"
    "No key was accepted."
    "Set `ansible_user` and `ansible_ssh_private_key_file`, or load the key into an agent.";
NoSudo "no-sudo"
    "The login user may not become root without a password."
    "Allow it in sudoers, or log in as root.";
SessionLost "session-lost"
    "The SSH session ended while something was under way."
    "Run again: what was done stays done.";
ForwardingRefused "forwarding-refused"
    "sshd does not forward to the container engine's socket."
    "Set `AllowStreamLocalForwarding yes` and `AllowTcpForwarding yes` in sshd_config.";
NoEngine "no-engine"
    "No container engine answers on a host."
    "Run `kolla bootstrap-servers`.";
EngineForbidden "engine-forbidden"
    "The container engine's socket is there, and the login user may not use it."
    "Let `ansible_become` be true, or add the user to the group that owns the socket, as `docker`.";
NoEngineClient "no-engine-client"
    "Root is reached by sudo, and no program on the host leads to the engine's socket: neither docker, podman nor socat."
    "Run `kolla bootstrap-servers`, which installs one; or log in as root.";
Foreign "foreign"
    "A host has a container or folder of the name of one of this site's that is not of this site; nothing was touched."
    "Remove it if nobody needs it; with `--adopt` this site's own takes its place.";
Engine "engine"
    "The container engine refused."
    "Its own words say why.";
Registry "registry"
    "A registry cannot be reached, fails, does not know who asks, or does not have an image."
    "Its own words say which: see that it runs, set `docker_registry_username`, or build and push the image.";
CommandFailed "command-failed"
    "A command on a host failed."
    "Its last lines on stderr say why.";
TimedOut "timed-out"
    "A host was not heard of in time."
    "Check its load and the network between.";
Leased "leased"
    "Another run has the site's lease: only one at a time may change hosts, whichever it is limited to."
    "Wait for it to end, or end it; the lease goes with it.";
NoMajority "no-majority"
    "Too few of the hosts that grant the site's lease answer, so another run may be at work out of sight."
    "Bring them back; `--without-majority` runs all the same.";
LeaseLost "lease-lost"
    "The hosts that granted the site's lease were lost in the middle of a run: what was begun was finished."
    "Run again: what was done stays done.";
UnexpectedAnswer "unexpected-answer"
    "A host or service answered what makes no sense."
    "Look for what stands between, as a proxy; else report it.";

"Others":
Operation "operation"
    "An operation failed on a host; what depends on it was skipped, all else went on."
    "Causes and the container's last log lines are shown; correct what they say and run again.";
Local "local"
    "Something on this machine failed: a file, a folder, a process."
    "The message says which and why.";
Interrupted "interrupted"
    "The run was stopped by Ctrl-C, SIGTERM or a closed terminal: what was begun was finished, nothing new was started."
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
         Each has a kind, whose name stays as it is: the key `code` of `--output json` (see events.md). An error names its \
         place\nand, as a hint, what helps in this case; here is what helps in general. This file is made by the program: \
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
