//! The passwords of encrypted files: from files, programs and people.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::OnceCell;

use super::App;
use crate::error::{Error, InputError, Kind, Place, Result};
use crate::host::local::Local;
use crate::shell::Secret;
use crate::site::{DEFAULT_ID, VaultKey, VaultKeys};

/// Where passwords come from, as Ansible's options name it.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// `ID@SOURCE`: a file, one to execute, or `prompt`.
    pub ids: Vec<String>,
    /// Files; those that can be executed print the password.
    pub files: Vec<PathBuf>,
    /// A human knows it.
    pub ask: bool,
}

/// The passwords of encrypted files, read or asked for once; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Vault {
    sources: Sources,
    keys: Arc<OnceCell<VaultKeys>>,
}

impl Vault {
    /// Passwords from these sources.
    pub fn of(sources: Sources) -> Self {
        Self { sources, keys: Arc::default() }
    }
}

impl App {
    /// The passwords of encrypted files.
    ///
    /// # Errors
    /// Input errors: a file that is not there, or gives no password.
    pub(super) async fn vault_keys(&self) -> Result<&VaultKeys> {
        self.vault.keys.get_or_try_init(|| read(self)).await
    }
}

/// Where one password comes from.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    Prompt,
    File(PathBuf),
}

async fn read(app: &App) -> Result<VaultKeys> {
    let mut keys = Vec::new();
    for (id, source) in sources(&app.vault.sources, &app.control.home)? {
        let password = match source {
            Source::Prompt => typed(&app.frontend.secret(&prompt_of(&id)).await?)?,
            Source::File(file) => from_file(&id, &file).await?,
        };
        keys.push(VaultKey { id, password });
    }
    Ok(VaultKeys::new(keys))
}

fn prompt_of(id: &str) -> String {
    if id == DEFAULT_ID { "Vault password: ".to_owned() } else { format!("Vault password ({id}): ") }
}

/// Sources in the order in which Ansible tries them.
fn sources(sources: &Sources, home: &Path) -> Result<Vec<(String, Source)>> {
    let file = |text: &str| Source::File(text.strip_prefix("~/").map_or_else(|| text.into(), |rest| home.join(rest)));
    let mut found = Vec::new();
    for given in &sources.ids {
        let (id, source) = given.split_once('@').unwrap_or(("", given));
        if source.is_empty() {
            let error = InputError::new(format!("`--vault-id {given}` names no source")).of(Kind::Usage);
            return Err(error.hint("write `--vault-id ID@FILE` or `--vault-id ID@prompt`").into());
        }
        let id = if id.is_empty() { DEFAULT_ID } else { id };
        let asks = matches!(source, "prompt" | "prompt_ask_vault_pass");
        found.push((id.to_owned(), if asks { Source::Prompt } else { file(source) }));
    }
    found.extend(sources.files.iter().map(|path| (DEFAULT_ID.to_owned(), file(&path.to_string_lossy()))));
    if sources.ask {
        found.push((DEFAULT_ID.to_owned(), Source::Prompt));
    }
    Ok(found)
}

/// The password that a file holds; that one prints, if it can be executed. One whose name ends with `-client` is told
/// the id, as Ansible does.
async fn from_file(id: &str, file: &Path) -> Result<Secret> {
    let failed = |why: String| {
        InputError::new(format!("no vault password in {}: {why}", file.display()))
            .of(Kind::Encrypted)
            .at(Place::file(file))
            .hint("name its file with `--vault-password-file`, `--vault-id` or `ANSIBLE_VAULT_PASSWORD_FILE`")
    };
    let about = std::fs::metadata(file).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => failed("no such file".to_owned()),
        _ => failed(error.to_string()),
    })?;
    let text = if about.is_file() && about.permissions().mode() & 0o111 != 0 {
        let path = std::fs::canonicalize(file).map_err(|error| failed(error.to_string()))?;
        let mut argv = vec![path.display().to_string()];
        if file.file_stem().is_some_and(|stem| stem.to_string_lossy().ends_with("-client")) {
            argv.extend(["--vault-id".to_owned(), id.to_owned()]);
        }
        let output = Local::new(argv).output().await.map_err(|error| failed(error.to_string()))?;
        if output.code != 0 {
            let said = output.stderr.trim().lines().last().unwrap_or_default().to_owned();
            let why = format!("it can be executed, and ended with exit code {}: {said}", output.code);
            return Err(failed(why).into());
        }
        output.text().trim_matches(['\r', '\n']).to_owned()
    } else {
        std::fs::read_to_string(file).map_err(|error| failed(error.to_string()))?.trim().to_owned()
    };
    if text.is_empty() {
        return Err(failed("it is empty".to_owned()).into());
    }
    if text.starts_with("$ANSIBLE_VAULT;") {
        return Err(failed("it is itself encrypted".to_owned()).into());
    }
    Ok(Secret::new(text))
}

/// What was typed, as a password.
fn typed(line: &Secret) -> Result<Secret> {
    match line.reveal().trim() {
        "" => Err(Error::input("no vault password was typed").of(Kind::Encrypted)),
        text => Ok(Secret::new(text)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn ids_come_first_then_files_then_the_question() {
        let given = Sources {
            ids: ["prod@~/one", "two", "@three", "dev@prompt"].map(str::to_owned).to_vec(),
            files: vec!["four".into(), "~/five".into()],
            ask: true,
        };
        let expected = [
            ("prod", Some("/home/me/one")),
            ("default", Some("two")),
            ("default", Some("three")),
            ("dev", None),
            ("default", Some("four")),
            ("default", Some("/home/me/five")),
            ("default", None),
        ]
        .map(|(id, file)| (id.to_owned(), file.map_or(Source::Prompt, |file| Source::File(file.into()))));
        assert_eq!(sources(&given, Path::new("/home/me")).unwrap(), expected);
        let nothing = Sources { ids: vec!["prod@".into()], ..Sources::default() };
        assert_eq!(sources(&nothing, Path::new("/")).unwrap_err().exit_code(), 2);
    }

    #[tokio::test]
    async fn a_file_holds_the_password_or_prints_it() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str, mode: u32| {
            let path = dir.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            path
        };
        for (name, text, mode, expected) in [
            ("plain", " a b \n", 0o600, Ok("a b")),
            ("script", "#!/bin/sh\necho ' from a program'\n", 0o700, Ok(" from a program")),
            ("keyring-client.sh", "#!/bin/sh\necho \"$1 $2\"\n", 0o700, Ok("--vault-id prod")),
            ("empty", "\n", 0o600, Err("it is empty")),
            ("fails", "#!/bin/sh\necho locked >&2\nexit 3\n", 0o700, Err("exit code 3: locked")),
            ("sealed", "$ANSIBLE_VAULT;1.1;AES256\n61\n", 0o600, Err("it is itself encrypted")),
        ] {
            let found = from_file("prod", &file(name, text, mode)).await;
            match (found, expected) {
                (Ok(found), Ok(expected)) => assert_eq!(found.reveal(), expected),
                (Err(Error::Input(found)), Err(end)) => assert!(found[0].message.ends_with(end), "{found:?}"),
                (found, expected) => panic!("{name}: {found:?} instead of {expected:?}"),
            }
        }
        let missing = from_file("prod", &dir.path().join("nowhere")).await.unwrap_err();
        assert_eq!(missing.exit_code(), 2);
        assert!(from_file("prod", dir.path()).await.is_err());
    }

    #[tokio::test]
    async fn passwords_are_read_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("password");
        fs::write(&path, "one").unwrap();
        let vault = Vault::of(Sources { files: vec![path.clone()], ..Sources::default() });
        let app = App { vault, ..App::default() };
        app.vault_keys().await.unwrap();
        fs::remove_file(&path).unwrap();
        app.clone().vault_keys().await.unwrap();
    }

    #[tokio::test]
    async fn where_nobody_is_there_a_question_is_an_error() {
        let app = App { vault: Vault::of(Sources { ask: true, ..Sources::default() }), ..App::default() };
        let error = app.vault_keys().await.unwrap_err();
        let Error::Input(errors) = error else { panic!("{error:?}") };
        assert_eq!(errors[0].message, "nobody is there to answer `Vault password`");
    }
}
