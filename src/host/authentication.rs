//! Logging in to an SSH session: by key files, a password, and the keys of an agent.

use std::io;
use std::path::Path;
use std::sync::Arc;

use russh::MethodKind;
use russh::client::{AuthResult, Handle, Handler, KeyboardInteractiveAuthResponse as Answer};
use russh::keys::agent::AgentIdentity;
use russh::keys::agent::client::AgentClient;
use russh::keys::ssh_key::{HashAlg, PublicKey};
use russh::keys::{PrivateKey, PrivateKeyWithHashAlg};

use super::login::Login;
use crate::error::{HostCause, numbered};
use crate::shell::Secret;
use crate::site::{HostSpec, LoginPassword};

/// How often a server may have something to say before it asks for the password.
const ROUNDS: usize = 8;

/// Why nobody is logged in.
pub(super) enum NotIn {
    /// The session ended meanwhile.
    Ended(russh::Error),
    /// The server wants something else.
    Refused(HostCause),
}

impl From<russh::Error> for NotIn {
    fn from(error: russh::Error) -> Self {
        Self::Ended(error)
    }
}

/// Tries the host's key files, its password, and the agent's keys, until the server has enough.
pub(super) async fn log_in<H: Handler>(handle: &mut Handle<H>, spec: &HostSpec, login: &Login) -> Result<(), NotIn> {
    let mut attempt = Attempt { handle, spec, tried: Vec::new(), used: Vec::new(), wrong: false };
    if attempt.files().await? || attempt.password().await? || attempt.agent(login).await {
        return Ok(());
    }
    let Attempt { mut tried, wrong, .. } = attempt;
    let user = spec.user.clone();
    if tried.is_empty() {
        tried.push("no key at all".into());
    }
    let tried = tried.join(", ");
    let refused = spec.password.as_ref().filter(|_| wrong).map(|password| password.from.clone());
    Err(NotIn::Refused(match refused {
        Some(from) => HostCause::WrongPassword { user, from, tried },
        None => HostCause::Refused { user, tried },
    }))
}

struct Attempt<'a, H: Handler> {
    handle: &'a mut Handle<H>,
    spec: &'a HostSpec,
    tried: Vec<String>,
    used: Vec<PublicKey>,
    /// The password is not the user's.
    wrong: bool,
}

impl<H: Handler> Attempt<'_, H> {
    async fn files(&mut self) -> Result<bool, russh::Error> {
        for file in &self.spec.key_files {
            match load(file).await {
                Ok(key) => {
                    self.tried.push(file.display().to_string());
                    self.used.push(key.public_key().clone());
                    let hash = rsa_hash(self.handle, key.public_key()).await;
                    let key = PrivateKeyWithHashAlg::new(Arc::new(key), hash);
                    if self.handle.authenticate_publickey(&self.spec.user, key).await?.success() {
                        return Ok(true);
                    }
                }
                Err(russh::keys::Error::KeyIsEncrypted) => {
                    self.tried.push(format!("{}: encrypted, not in the agent", file.display()));
                }
                Err(russh::keys::Error::IO(error)) if error.kind() == io::ErrorKind::NotFound => {
                    self.tried.push(format!("{}: no such file", file.display()));
                }
                Err(error) => self.tried.push(format!("{}: {error}", file.display())),
            }
        }
        Ok(false)
    }

    /// By the method that is called so or, where the server has that one only, as the answer to its question.
    async fn password(&mut self) -> Result<bool, russh::Error> {
        let Some(LoginPassword { secret: password, .. }) = &self.spec.password else { return Ok(false) };
        let answer = self.handle.authenticate_password(&self.spec.user, password.reveal()).await?;
        let AuthResult::Failure { remaining_methods: methods, .. } = answer else { return Ok(true) };
        if methods.contains(&MethodKind::Password) {
            self.wrong = true;
        } else if methods.contains(&MethodKind::KeyboardInteractive) {
            return self.answer(password).await;
        } else {
            self.tried.push("the password: the server takes none".into());
        }
        Ok(false)
    }

    async fn answer(&mut self, password: &Secret) -> Result<bool, russh::Error> {
        let mut told = self.handle.authenticate_keyboard_interactive_start(&self.spec.user, None).await?;
        let mut given = false;
        for _ in 0..ROUNDS {
            let prompts = match told {
                Answer::Success => return Ok(true),
                Answer::Failure { .. } => break,
                Answer::InfoRequest { prompts, .. } => prompts,
            };
            let answers = match prompts.as_slice() {
                [] => Vec::new(),
                [only] if !only.echo && !given => {
                    given = true;
                    vec![password.reveal().to_owned()]
                }
                // As for a code that somebody reads from a telephone.
                [first, ..] => {
                    self.tried.push(format!("the password: the server also asks `{}`", first.prompt.trim()));
                    return Ok(false);
                }
            };
            told = self.handle.authenticate_keyboard_interactive_respond(answers).await?;
        }
        self.wrong = given;
        Ok(false)
    }

    async fn agent(&mut self, login: &Login) -> bool {
        let Some(socket) = &login.agent_socket else { return false };
        let mut agent = match AgentClient::connect_uds(socket).await {
            Ok(agent) => agent,
            Err(error) => {
                self.tried.push(format!("agent {}: {error}", socket.display()));
                return false;
            }
        };
        let held = agent.request_identities().await.unwrap_or_default();
        self.tried.push(numbered(held.len(), "key") + " of the agent");
        for identity in held {
            let AgentIdentity::PublicKey { key, .. } = identity else { continue };
            if self.used.iter().any(|known| known.key_data() == key.key_data()) {
                continue;
            }
            let hash = rsa_hash(self.handle, &key).await;
            let answer = self.handle.authenticate_publickey_with(&self.spec.user, key, hash, &mut agent).await;
            // A key that the agent does not sign with (not confirmed, say) leaves the next one to be tried.
            if answer.is_ok_and(|answer| answer.success()) {
                return true;
            }
            if self.handle.is_closed() {
                break;
            }
        }
        false
    }
}

async fn load(file: &Path) -> Result<PrivateKey, russh::keys::Error> {
    let text = tokio::fs::read_to_string(file).await?;
    russh::keys::decode_secret_key(&text, None)
}

/// What an RSA key signs with; asking costs a round trip, so only for one.
async fn rsa_hash<H: Handler>(handle: &Handle<H>, key: &PublicKey) -> Option<HashAlg> {
    if !key.algorithm().is_rsa() {
        return None;
    }
    handle.best_supported_rsa_hash().await.ok().flatten().unwrap_or(Some(HashAlg::Sha256))
}
