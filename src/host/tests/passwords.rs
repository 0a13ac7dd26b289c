//! Logins with a password, and sudo that wants one.

use super::*;
use crate::shell::Secret;
use crate::site::LoginPassword;

/// What is hard to pass on.
const PASSWORD: &str = "p w'\\\"$x;{{#";

/// A user of this machine who may become root by sudo, for as long as this is kept.
struct User(String);

impl User {
    fn new(name: &str, sudoers: &str) -> Self {
        let user = Self(format!("kolla-{name}-{}", std::process::id()));
        let added = Command::new("useradd").args(["-M", "-s", "/bin/sh", &user.0]).status();
        assert!(added.expect("useradd is missing").success());
        let mut set = Command::new("chpasswd").stdin(Stdio::piped()).spawn().unwrap();
        let line = format!("{}:{PASSWORD}\n", user.0);
        std::io::Write::write_all(&mut set.stdin.take().unwrap(), line.as_bytes()).unwrap();
        assert!(set.wait().unwrap().success());
        assert!(Path::new("/etc/sudoers.d").exists(), "sudo is missing: install it");
        fs::write(user.sudoers(), format!("{} ALL=(ALL) {sudoers}\n", user.0)).unwrap();
        user
    }

    fn sudoers(&self) -> PathBuf {
        Path::new("/etc/sudoers.d").join(&self.0)
    }

    /// How the user logs in at a server.
    fn spec(&self, server: &Sshd) -> HostSpec {
        HostSpec {
            user: self.0.clone(),
            password: Some(given(PASSWORD)),
            become_root: true,
            become_password: Some(given(PASSWORD)),
            key_files: Vec::new(),
            ..server.spec("control01")
        }
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let _ = fs::remove_file(self.sudoers());
        let _ = Command::new("userdel").args(["-f", &self.0]).status();
    }
}

fn given(secret: &str) -> LoginPassword {
    LoginPassword { secret: Secret::new(secret), from: "typed".into() }
}

fn wrong() -> LoginPassword {
    given("wrong")
}

const BY_PASSWORD: &str = "PasswordAuthentication yes\nLogLevel VERBOSE";
const BY_QUESTION: &str = "UsePAM yes\nKbdInteractiveAuthentication yes";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, sshd, sudo and an engine"]
async fn a_password_logs_in_and_is_told_to_sudo() {
    for (name, sudoers) in [("asked", "ALL"), ("unasked", "NOPASSWD: ALL")] {
        let user = User::new(name, sudoers);
        for options in [BY_PASSWORD, BY_QUESTION] {
            let server = Sshd::new(options);
            let machine = connect(&user.spec(&server)).await.unwrap();
            let found =
                machine.run("id -u; cat; tr '\\0' '\\n' </proc/$PPID/cmdline", b"hello\n").await.unwrap().text();
            assert!(found.starts_with("0\nhello\n") && !found.contains("$x"), "{found}");
            let many = (0..8).map(|_| machine.run("id -u", b""));
            let many = futures_util::future::join_all(many).await;
            assert!(many.into_iter().all(|output| output.unwrap().text() == "0\n"));
            // The engine's socket is root's.
            machine.containers().await.unwrap();
            assert!(machine.look(&LookRequest::default()).await.unwrap().facts.engine);
            server.cut();
            assert!(machine.read("/etc/shadow").await.unwrap().is_some());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, sshd and sudo"]
async fn a_wrong_password_is_tried_once_and_told_as_such() {
    let user = User::new("wrong", "ALL");
    for options in [BY_PASSWORD, BY_QUESTION] {
        let server = Sshd::new(options);
        let right = user.spec(&server);
        let refused = cause(connect(&HostSpec { password: Some(wrong()), ..right.clone() }).await);
        assert!(matches!(refused, HostCause::WrongPassword { .. }), "{refused}");
        let log = fs::read_to_string(server.at("log")).unwrap();
        let tries = log.matches("Failed password").count() + log.matches("Authentication failure").count();
        assert_eq!(tries, 1, "{log}");
        let refused = cause(connect(&HostSpec { become_password: Some(wrong()), ..right.clone() }).await);
        let HostCause::SudoPassword { words, .. } = refused else { panic!("{refused}") };
        assert_eq!(words, "sudo: 1 incorrect password attempt");
        let refused = cause(connect(&HostSpec { become_password: None, ..right }).await.unwrap().run("id", b"").await);
        assert!(matches!(refused, HostCause::NoSudo(_)), "{refused}");
    }
    let server = Sshd::new("KbdInteractiveAuthentication no");
    let refused = cause(connect(&user.spec(&server)).await);
    assert!(refused.to_string().ends_with("(tried the password: the server takes none)"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, sshd and sudo"]
async fn a_jump_host_takes_the_password_of_the_host_behind_it() {
    let user = User::new("jump", "ALL");
    let (outer, inner) = (Sshd::new(BY_QUESTION), Sshd::new(BY_PASSWORD));
    let jump = HostSpec { become_root: false, ..user.spec(&outer) };
    let behind = HostSpec { jump: Some(Box::new(jump)), ..user.spec(&inner) };
    assert_eq!(connect(&behind).await.unwrap().run("id -u", b"").await.unwrap().text(), "0\n");
}
