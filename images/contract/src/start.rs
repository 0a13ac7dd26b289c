//! `kolla_start`: brings the configuration into place, then becomes the service.

use std::path::Path;
use std::process::Command;

use nix::unistd::geteuid;

use crate::{Failure, Result, cacerts, init, set_configs};

/// What an image adds to its start: it gets the service's command line as its arguments and ends by
/// `exec "$@"`, or by itself when there is nothing to serve (a bootstrap).
const EXTEND: &str = "/usr/local/bin/kolla_extend_start";

/// Never comes back unless it fails.
pub(crate) fn run() -> Result<u8> {
    as_root("kolla_set_configs", || set_configs::run(&[]))?;
    if cacerts::needed() {
        as_root("kolla_copy_cacerts", cacerts::run)?;
    }
    let command = std::fs::read_to_string(set_configs::RUN_COMMAND)
        .map_err(|error| Failure::of(format!("read {}", set_configs::RUN_COMMAND), error))?;
    let words = words(&command, &std::env::var("ARGS").unwrap_or_default(), extend().as_deref());
    eprintln!("kolla_start: running {}", words.join(" "));
    init::exec(&words)
}

fn extend() -> Option<String> {
    let wanted = std::env::var_os("KOLLA_SKIP_EXTEND_START").is_none() && Path::new(EXTEND).exists();
    wanted.then(|| EXTEND.to_owned())
}

/// The command line, split at white space only: the contract knows no quotes.
fn words(command: &str, more: &str, extend: Option<&str>) -> Vec<String> {
    extend.into_iter().chain(command.split_whitespace()).chain(more.split_whitespace()).map(str::to_owned).collect()
}

/// Does a part of the contract as root: in this process, or through `sudo` in an image with another user.
fn as_root(name: &str, part: impl Fn() -> Result<u8>) -> Result<()> {
    let code = if geteuid().is_root() {
        part()?
    } else {
        let status = Command::new("sudo")
            .args(["-n", "-E", &format!("/usr/local/bin/{name}")])
            .status()
            .map_err(|error| Failure::of(format!("run {name} through `sudo`"), error))?;
        status.code().and_then(|code| u8::try_from(code).ok()).unwrap_or(255)
    };
    if code == 0 { Ok(()) } else { Err(Failure::new(format!("`{name}` failed")).code(code)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_split_at_white_space_and_args_are_appended() {
        assert_eq!(
            words("/usr/sbin/mariadbd --a  b\n", " --wsrep-new-cluster ", None),
            ["/usr/sbin/mariadbd", "--a", "b", "--wsrep-new-cluster"]
        );
        assert_eq!(words("service", "", Some("/extend")), ["/extend", "service"]);
    }
}
