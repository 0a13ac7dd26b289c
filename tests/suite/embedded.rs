//! What a program gets that embeds the library: no command line is needed for any of it.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use kolla::app::vars::vars;
use kolla::app::{App, Frontend, Listeners, Loaded, Options, run, validate};
use kolla::error::{Error, Result};
use kolla::report::Kept;
use kolla::run::event::Event;
use kolla::shell::{Mask, Secret};

use super::folder::Folder;

/// Notes what it is to hide.
#[derive(Default)]
struct Program(Mutex<Option<Mask>>);

#[async_trait]
impl Frontend for Program {
    async fn secret(&self, _: &str) -> Result<Secret> {
        Ok(Secret::new("open sesame"))
    }

    fn hide(&self, secrets: &Mask) {
        *self.0.lock().unwrap() = Some(secrets.clone());
    }
}

/// A site whose only host refuses connections.
fn site() -> (Folder, Arc<Program>, App) {
    let folder = Folder::new("[control]\nc01 ansible_host=127.0.0.1 ansible_port=1\n");
    let program = Arc::new(Program::default());
    let mut app = App { options: Options::of(folder.path("")), frontend: program.clone(), ..App::default() };
    app.control.state = folder.path("state");
    (folder, program, app)
}

#[tokio::test]
async fn a_site_is_checked_and_its_secrets_are_hidden() {
    let (folder, program, app) = site();
    let found = validate::validate(&app, true).await.unwrap();
    assert_eq!((found.hosts, found.problem.map(|problem| problem.to_string())), (1, None));
    assert!(program.0.lock().unwrap().as_ref().unwrap().hides("secret"));
    let password = vars(&app, "c01", Some("database_password"), false).await.unwrap();
    assert_eq!(password[0].value, "***");
    folder.write("globals.yml", "network_interfce: eth0\n");
    assert_eq!(validate::validate(&app, true).await.unwrap().variables[0].name, "network_interfce");
}

#[tokio::test]
async fn a_run_tells_its_listener_what_it_does() {
    let (folder, _, app) = site();
    let site = Loaded::read(&app).await.unwrap();
    let events = Arc::new(Kept::default());
    let request = run::Request { check: true, ..run::Request::of(run::phase("deploy").unwrap()) };
    let error = run::run(&app, &site, &request, &Listeners::to(events.clone())).await.unwrap_err();
    assert!(matches!(error, Error::Host(error) if error.host == "c01"));
    let events = events.events();
    assert_eq!(events[0], Event::Connecting { hosts: vec!["c01".into()] });
    assert!(matches!(&events[1], Event::Host { host, error: Some(_), .. } if host == "c01"), "{events:?}");
    assert!(run::phase("depoly").is_err());
    // One cause is told once.
    let hosts = (1..=5)
        .map(|n| format!("c0{n} ansible_host=10.0.0.{n} kolla_ssh_jump=127.0.0.1:1\n"))
        .collect::<Vec<_>>()
        .concat();
    folder.write("inventory", &format!("[control]\n{hosts}"));
    let site = Loaded::read(&app).await.unwrap();
    let error = run::run(&app, &site, &request, &Listeners::to(Arc::new(Kept::default()))).await.unwrap_err();
    let Error::Host(error) = error else { panic!("{error}") };
    assert_eq!(error.hosts().collect::<Vec<_>>(), ["c01", "c02", "c03", "c04", "c05"]);
    let text = error.to_string();
    assert!(
        text.starts_with("c01 (10.0.0.1:22), c02 (10.0.0.2:22), c03 (10.0.0.3:22) and 2 more: connect: jump host ")
    );
}
