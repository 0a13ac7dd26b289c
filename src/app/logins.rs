//! Passwords of logins that a person types, for hosts for which the inventory has none.

use std::sync::Arc;

use tokio::sync::OnceCell;

use super::App;
use crate::error::Result;
use crate::shell::Secret;
use crate::site::LoginPassword;

/// What is asked for, once; clones share the answers.
#[derive(Debug, Clone, Default)]
pub struct Logins {
    ask_login: bool,
    ask_become: bool,
    typed: Arc<OnceCell<Typed>>,
}

/// What was typed; nothing where nothing was.
#[derive(Debug, Clone, Default)]
pub(super) struct Typed {
    /// The password of the login users.
    pub(super) login: Option<LoginPassword>,
    /// The password that sudo wants.
    pub(super) become_root: Option<LoginPassword>,
}

impl Logins {
    /// Asks for the password of the login users, for the one that sudo wants, or both.
    pub fn asking(login: bool, become_root: bool) -> Self {
        Self { ask_login: login, ask_become: become_root, typed: Arc::default() }
    }
}

impl App {
    /// The passwords of logins.
    ///
    /// # Errors
    /// When nobody can be asked.
    pub(super) async fn typed_logins(&self) -> Result<&Typed> {
        self.logins.typed.get_or_try_init(|| ask(self)).await
    }
}

async fn ask(app: &App) -> Result<Typed> {
    let answer = async |question: &str, option: &str| -> Result<Option<LoginPassword>> {
        let line = app.frontend.secret(question).await?;
        let text = line.reveal().trim_end_matches(['\r', '\n']);
        let password = || LoginPassword { secret: Secret::new(text), from: format!("typed for `{option}`") };
        Ok((!text.is_empty()).then(password))
    };
    let mut typed = Typed::default();
    if app.logins.ask_login {
        typed.login = answer("SSH password: ", "--ask-pass").await?;
    }
    if app.logins.ask_become {
        let same = if typed.login.is_some() { " (the SSH password if it is empty)" } else { "" };
        let given = answer(&format!("sudo password{same}: "), "--ask-become-pass").await?;
        typed.become_root = given.or_else(|| typed.login.clone());
    }
    Ok(typed)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use async_trait::async_trait;

    use super::*;
    use crate::app::Frontend;
    use crate::shell::Mask;

    /// Types these lines, the last one first.
    struct Typist(Mutex<Vec<&'static str>>);

    #[async_trait]
    impl Frontend for Typist {
        async fn secret(&self, _: &str) -> Result<Secret> {
            Ok(Secret::new(self.0.lock().unwrap().pop().unwrap()))
        }

        fn hide(&self, _: &Mask) {}
    }

    #[tokio::test]
    async fn a_password_that_is_not_typed_for_sudo_is_that_of_the_login() {
        for (login, become_root, lines, expected) in [
            (true, true, vec!["\n", "a b \n"], [Some("a b "), Some("a b ")]),
            (true, true, vec!["c\r\n", "a\n"], [Some("a"), Some("c")]),
            (false, true, vec!["\n"], [None, None]),
            (false, false, vec![], [None, None]),
        ] {
            let frontend = Arc::new(Typist(Mutex::new(lines)));
            let app = App { logins: Logins::asking(login, become_root), frontend, ..App::default() };
            app.clone().typed_logins().await.unwrap();
            let Typed { login, become_root } = app.typed_logins().await.unwrap();
            assert_eq!([login, become_root].map(|found| found.as_ref().map(|found| found.secret.reveal())), expected);
        }
    }
}
