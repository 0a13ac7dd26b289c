//! A server that shows that the cloud works: started, reached by an address outside, and read from its console.

use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::object::{Object, ensure, named};
use super::{Cloud, Ids};
use crate::error::{Error, Result};
use crate::host::Remote;
use crate::run::Tally;

/// The server's name.
const NAME: &str = "demo1";
/// What a console says once the guest has booted: one that lets people in, or our own.
const BOOTED: [&str; 2] = ["login:", "guest: ready"];
/// How long it may take until it runs, and until it has booted. Without KVM both take minutes.
const WITHIN: Duration = Duration::from_mins(5);
const PAUSE: Duration = Duration::from_secs(2);

/// Seconds until one that has booted answers from outside.
const ANSWERS: u64 = 60;

/// A server that runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it is reached: from outside, or from its own network where there is no outside.
    pub address: String,
    /// What its console says.
    pub console: String,
}

impl Server {
    /// The last lines of the console.
    pub fn console_end(&self) -> String {
        let lines: Vec<&str> = self.console.lines().filter(|line| !line.trim().is_empty()).collect();
        let end = lines[lines.len().saturating_sub(4)..].iter().map(|line| format!("  {}", line.trim_end()));
        end.collect::<Vec<_>>().join("\n")
    }

    /// Waits until it answers at its address, from outside the cloud.
    ///
    /// # Errors
    /// When it does not.
    pub async fn reach(&self) -> Result<()> {
        let address: Ipv4Addr = self
            .address
            .parse()
            .map_err(|error| Error::local(format!("reach the server at {}", self.address), error))?;
        let end = Instant::now() + Duration::from_secs(ANSWERS);
        while !answers(address).await {
            if Instant::now() > end {
                let late =
                    format!("nothing at {address} after {ANSWERS} s; the end of its console: {}", self.console_end());
                return Err(Error::local("reach the server demo1 from outside the cloud", late)
                    .with_hint("see `kolla status`, and `kolla logs HOST neutron_l3_agent` on the controllers"));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
        Ok(())
    }
}

/// What the server is made of, by the names of what is there already.
pub(super) struct Recipe {
    pub(super) image: &'static str,
    pub(super) flavor: &'static str,
    pub(super) key: &'static str,
    /// It gets an address outside.
    pub(super) outside: bool,
}

/// Sees to it that the server runs, and waits until it has booted; a dry run has none.
pub(super) async fn start(
    cloud: &Cloud,
    recipe: &Recipe,
    ids: &mut Ids,
    stop: &CancellationToken,
    tally: &mut Tally<'_>,
) -> Result<Option<Server>> {
    let body = json!({
        "imageRef": format!("{{{}}}", recipe.image), "flavorRef": format!("{{{}}}", recipe.flavor),
        "key_name": recipe.key, "networks": [{ "uuid": "{demo-net}" }],
    });
    let server = Object::named("compute", "/servers", "server", NAME, body).look("/servers/detail?name=demo1");
    let subject = server.subject.clone();
    ensure(cloud, &[server], ids, stop, tally).await?;
    let id = ids.get(NAME).cloned().unwrap_or_default();
    let mut address = String::new();
    if let Some(host) = &cloud.acts {
        run(cloud, host, &id, stop).await.map_err(|error| named(error, &subject, ""))?;
        let ports = cloud.find("network", &format!("/v2.0/ports?device_id={id}")).await?;
        let port = ports.first().cloned().unwrap_or_default();
        address = text(&port["fixed_ips"][0]["ip_address"]);
        ids.insert("port".into(), text(&port["id"]));
    }
    if recipe.outside {
        let body = json!({ "floating_network_id": "{public1}", "port_id": "{port}" });
        let floating = Object::new("network", "/v2.0/floatingips", "floatingip", &format!("of {NAME}"), body)
            .look("/v2.0/floatingips?port_id={port}");
        ensure(cloud, &[floating], ids, stop, tally).await?;
    }
    let Some(host) = &cloud.acts else { return Ok(None) };
    let port = ids.get("port").cloned().unwrap_or_default();
    if let Some(floating) = cloud.find("network", &format!("/v2.0/floatingips?port_id={port}")).await?.first() {
        address = text(&floating["floating_ip_address"]);
    }
    Ok(Some(Server { address, console: console(cloud, host, &id, stop).await? }))
}

/// Waits until it is active; one that was switched off, as by a power cut, is started.
async fn run(cloud: &Cloud, host: &Remote, id: &str, stop: &CancellationToken) -> Result<()> {
    let end = Instant::now() + WITHIN;
    let mut started = false;
    loop {
        let found = cloud.find("compute", &format!("/servers/{id}")).await?;
        let server = found.first().cloned().unwrap_or_default();
        match server["status"].as_str() {
            Some("ACTIVE") => return Ok(()),
            Some("ERROR") => {
                return Err(Error::operation("it could not be started")
                    .because(text(&server["fault"]["message"]))
                    .with_hint(format!("remove it with `openstack server delete {NAME}` before the next try")));
            }
            Some("SHUTOFF") if !started => {
                started = true;
                act(cloud, host, id, &json!({ "os-start": null })).await?;
            }
            _ => {}
        }
        if Instant::now() > end {
            let (status, task) = (&server["status"], &server["OS-EXT-STS:task_state"]);
            let state = format!("{} {}", text(status), text(task));
            return Err(Error::operation(format!("not active after {}s: {}", WITHIN.as_secs(), state.trim()))
                .with_hint("`kolla logs HOST nova-compute` shows what it waits for"));
        }
        pause(stop).await?;
    }
}

/// What the console says once the guest has booted, or when it should have.
async fn console(cloud: &Cloud, host: &Remote, id: &str, stop: &CancellationToken) -> Result<String> {
    let end = Instant::now() + WITHIN;
    loop {
        // At first there is none, which is an error of Nova's.
        let answer = act(cloud, host, id, &json!({ "os-getConsoleOutput": { "length": 200 } })).await;
        let over = Instant::now() > end;
        match answer {
            Ok(answer) => {
                let console = text(&answer["output"]);
                if over || BOOTED.iter().any(|word| console.contains(word)) {
                    return Ok(console);
                }
            }
            Err(error) if over => return Err(error),
            Err(_) => {}
        }
        pause(stop).await?;
    }
}

async fn act(cloud: &Cloud, host: &Remote, id: &str, body: &Value) -> Result<Value> {
    cloud.session.api("compute")?.send(host, "POST", &format!("/servers/{id}/action"), body).await
}

/// A server with nothing that listens refuses a connection: then it is there.
async fn answers(address: Ipv4Addr) -> bool {
    let attempt = tokio::time::timeout(Duration::from_secs(2), TcpStream::connect((address, 22))).await;
    match attempt {
        Ok(Ok(_)) => true,
        Ok(Err(error)) => error.kind() == std::io::ErrorKind::ConnectionRefused,
        Err(_) => false,
    }
}

async fn pause(stop: &CancellationToken) -> Result<()> {
    tokio::select! {
        () = tokio::time::sleep(PAUSE) => Ok(()),
        () = stop.cancelled() => Err(Error::Interrupted),
    }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}
