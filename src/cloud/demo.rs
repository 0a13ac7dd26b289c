//! What a new cloud is tried with, by the names of Kolla-Ansible's `init-runonce`: an image, flavors, an external
//! network, a network behind a router, and what a server on it needs to be reached.

use std::io::Read as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use ipnet::Ipv4Net;
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::access::enabled;
use super::object::{Object, ensure, named};
use super::{Cloud, Ids, Server, server};
use crate::error::{Error, InputError, Result};
use crate::op::api::Api;
use crate::run::Tally;
use crate::run::event::{Outcome, Sink, Summary};
use crate::template::Scope;

/// The key pair's name.
pub const KEY: &str = "mykey";
/// How long an upload is waited for that another run has begun.
const UPLOADS: Duration = Duration::from_mins(2);
/// The provider network that leads outside.
const OUTSIDE: &str = "physnet1";
/// Protocols and ports that are let in.
const LET_IN: [(&str, Option<u16>); 4] = [("icmp", None), ("tcp", Some(22)), ("tcp", Some(8000)), ("tcp", Some(8080))];
/// What the project may have at least.
const QUOTAS: [(&str, u32); 3] = [("instances", 40), ("cores", 40), ("ram", 96_000)];
/// Name, processors, MiB of memory, GiB of disk.
const FLAVORS: [(&str, u32, u32, u32); 6] = [
    ("m1.nano", 1, 128, 1),
    ("m1.tiny", 1, 512, 1),
    ("m1.small", 1, 2048, 20),
    ("m1.medium", 2, 4096, 40),
    ("m1.large", 4, 8192, 80),
    ("m1.xlarge", 8, 16384, 160),
];

/// What is made.
#[derive(Debug, Clone)]
pub struct Demo {
    /// The image.
    pub image: Image,
    /// The network outside; without one, servers are reached by nobody but each other.
    pub external: Option<External>,
    /// The servers' network.
    pub internal: Internal,
    /// Also start a server.
    pub server: bool,
}

/// An image, as a file of this machine.
#[derive(Debug, Clone)]
pub struct Image {
    /// `cirros` if the file is called so, else `guest`.
    pub name: &'static str,
    file: PathBuf,
    format: &'static str,
}

/// What is outside.
#[derive(Debug, Clone)]
pub struct External {
    /// All addresses there.
    pub cidr: Ipv4Net,
    /// Those that are ours to give.
    pub range: Range,
    /// The way on.
    pub gateway: Ipv4Addr,
}

/// Addresses from the first to the last, written as `start=A,end=B`.
#[derive(Debug, Clone, Copy)]
pub struct Range {
    /// The first.
    pub start: Ipv4Addr,
    /// The last.
    pub end: Ipv4Addr,
}

/// The network of the servers.
#[derive(Debug, Clone)]
pub struct Internal {
    /// Its addresses.
    pub cidr: Ipv4Net,
    /// The router's own.
    pub gateway: Ipv4Addr,
    /// Who resolves names.
    pub dns: Ipv4Addr,
}

/// A public key, and where it is from.
#[derive(Debug, Clone)]
pub struct Key {
    /// As in `authorized_keys`.
    pub public: String,
    /// In a few words.
    pub from: String,
}

impl Default for External {
    fn default() -> Self {
        let address = |last| Ipv4Addr::new(10, 0, 2, last);
        Self {
            cidr: Ipv4Net::new_assert(address(0), 24),
            range: Range { start: address(150), end: address(199) },
            gateway: address(1),
        }
    }
}

impl Default for Internal {
    fn default() -> Self {
        let cidr = Ipv4Net::new_assert(Ipv4Addr::new(10, 0, 0, 0), 24);
        Self { cidr, gateway: Ipv4Addr::new(10, 0, 0, 1), dns: Ipv4Addr::new(8, 8, 8, 8) }
    }
}

impl FromStr for Range {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let ends = text.split_once(',').and_then(|(start, end)| {
            Some(Self {
                start: start.trim().strip_prefix("start=")?.parse().ok()?,
                end: end.trim().strip_prefix("end=")?.parse().ok()?,
            })
        });
        ends.ok_or_else(|| "write it as `start=ADDRESS,end=ADDRESS`".to_owned())
    }
}

impl Image {
    /// The image in a file, told by its first bytes.
    ///
    /// # Errors
    /// When it cannot be read, or is no image that a server could start from.
    pub fn of(file: &Path) -> Result<Self> {
        let mut magic = Vec::new();
        let read = std::fs::File::open(file).and_then(|file| file.take(4).read_to_end(&mut magic));
        read.map_err(|error| Error::local(format!("read {}", file.display()), error))?;
        let format = match magic[..] {
            [b'Q', b'F', b'I', 0xfb] => "qcow2",
            [] | [0x1f, 0x8b, ..] | [0xfd, b'7', b'z', b'X'] | [0x28, 0xb5, 0x2f, 0xfd] => {
                let what = if magic.is_empty() { "empty" } else { "compressed" };
                return Err(InputError::new(format!("{} is {what}", file.display()))
                    .hint("an image is wanted as qcow2, or raw")
                    .into());
            }
            _ => "raw",
        };
        let cirros = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("cirros"));
        Ok(Self { name: if cirros { "cirros" } else { "guest" }, file: file.into(), format })
    }

    async fn ensure(&self, cloud: &Cloud, ids: &mut Ids, tally: &mut Tally<'_>) -> Result<()> {
        let api = cloud.session.api("image")?;
        let act = tally.act(&api.name, &self.subject());
        let found = self.settled(cloud, &api).await?;
        let id = |image: &Value| image["id"].as_str().map(str::to_owned);
        if let Some(id) = found.iter().find(|image| image["status"] == "active").and_then(id) {
            ids.insert(self.name.into(), id);
            tally.finished(act, Outcome::Same, "");
            return Ok(());
        }
        if let Some(host) = &cloud.acts {
            tally.started(&act);
            // One whose upload was cut off still waits for it.
            let waits = |image: &&Value| image["status"] == "queued" && image["disk_format"] == self.format;
            let id = if let Some(id) = found.iter().find(waits).and_then(id) {
                id
            } else {
                let body = json!({
                    "name": self.name, "visibility": "public", "os_type": "linux",
                    "container_format": "bare", "disk_format": self.format,
                });
                api.make(host, "/v2/images", &body).await?
            };
            let path = format!("/v2/images/{id}/file");
            api.upload(host, &path, &self.file, &|done, total| tally.progress(&act, done, total)).await?;
            ids.insert(self.name.into(), id);
        }
        tally.finished(act, Outcome::Created, &format!("from {}", self.file.display()));
        Ok(())
    }

    /// Those of its name, once none is being uploaded: a second one of that name would be ambiguous. An upload that was cut
    /// off, as with a run that was killed, is soon noticed.
    async fn settled(&self, cloud: &Cloud, api: &Api) -> Result<Vec<Value>> {
        let end = Instant::now() + UPLOADS;
        loop {
            let found = api.find(&cloud.reads, &format!("/v2/images?name={}", self.name)).await?;
            let uploading = |image: &&Value| image["status"] == "saving";
            match found.iter().find(uploading).map(|image| image["id"].as_str().unwrap_or_default()) {
                None => return Ok(found),
                // A dry run does not wait.
                Some(_) if cloud.acts.is_none() => return Ok(found),
                Some(id) if Instant::now() > end => {
                    return Err(Error::operation(format!("somebody has been uploading it for {}s", UPLOADS.as_secs()))
                        .with_hint(format!("wait for that, or remove it with `openstack image delete {id}`")));
                }
                Some(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    fn subject(&self) -> String {
        format!("image {}", self.name)
    }
}

impl Demo {
    /// Refuses a site that has not all that it is made of.
    ///
    /// # Errors
    /// The first service that is not enabled.
    pub fn possible(scope: &Scope) -> Result<()> {
        ["keystone", "glance", "neutron", "nova"].iter().try_for_each(|role| enabled(scope, role))
    }

    /// What starts a server of it by hand.
    pub fn command(&self) -> String {
        let (image, flavor) = (self.image.name, self.flavor());
        format!("openstack server create --image {image} --flavor {flavor} --key-name {KEY} --network demo-net demo1")
    }

    /// The smallest flavor that its image runs with.
    fn flavor(&self) -> &'static str {
        if self.image.name == "cirros" { "m1.tiny" } else { "m1.nano" }
    }

    /// Addresses must be of the network that they are said to be of: Neutron's own words for that are long.
    fn check(&self) -> Result<()> {
        let inside = [("--demo-net-gateway", self.internal.gateway, self.internal.cidr)];
        let outside = self.external.iter().flat_map(|External { cidr, range, gateway }| {
            [("--ext-net-gateway", *gateway, *cidr)]
                .into_iter()
                .chain([range.start, range.end].map(|address| ("--ext-net-range", address, *cidr)))
        });
        let wrong = inside.into_iter().chain(outside).filter(|(_, address, cidr)| !cidr.contains(address));
        let errors: Vec<InputError> = wrong
            .map(|(option, address, cidr)| {
                InputError::new(format!("{address} is not in {cidr}")).hint(format!("set `{option}` too"))
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(Error::Input(errors)) }
    }

    fn objects(&self, key: &Key) -> Vec<Object> {
        let network = |name, body| Object::named("network", "/v2.0/networks", "network", name, body);
        let subnet = |name: &str, of: &str, body| {
            Object::named("network", "/v2.0/subnets", "subnet", name, body)
                .look(&format!("/v2.0/subnets?name={name}&network_id={{{of}}}"))
        };
        let mut objects = Vec::new();
        for (name, vcpus, ram, disk) in FLAVORS {
            let body = json!({ "vcpus": vcpus, "ram": ram, "disk": disk });
            objects.push(Object::named("compute", "/flavors", "flavor", name, body).look("/flavors?is_public=None"));
        }
        for (name, least) in QUOTAS {
            objects.push(
                Object::new("compute", "/os-quota-sets/{project}", "quota_set", name, json!({ (name): least }))
                    .setting(),
            );
        }
        let body = json!({ "public_key": key.public });
        let keypair = Object::named("compute", "/os-keypairs", "keypair", KEY, body).look("/os-keypairs/mykey");
        objects.push(Object { about: key.from.clone(), ..keypair });
        for (protocol, port) in LET_IN {
            let mut body = json!({
                "security_group_id": "{default}", "direction": "ingress", "ethertype": "IPv4", "protocol": protocol,
            });
            let mut what = protocol.to_owned();
            let mut look = format!(
                "/v2.0/security-group-rules?security_group_id={{default}}&direction=ingress&ethertype=IPv4&protocol={protocol}"
            );
            if let Some(port) = port {
                what = format!("{protocol} {port}");
                look = format!("{look}&port_range_min={port}&port_range_max={port}");
                body["port_range_min"] = port.into();
                body["port_range_max"] = port.into();
            }
            let path = "/v2.0/security-group-rules";
            objects.push(Object::new("network", path, "security_group_rule", &what, body).look(&look));
        }
        if let Some(External { cidr, range, gateway }) = &self.external {
            let body = json!({
                "router:external": true, "provider:network_type": "flat", "provider:physical_network": OUTSIDE,
            });
            let hint =
                "set `neutron_external_interface` and run `kolla deploy`, or leave it out with `--enable-ext-net 0`";
            objects.push(Object { hint, ..network("public1", body) });
            let pool = json!({ "start": range.start, "end": range.end });
            let body = json!({
                "network_id": "{public1}", "ip_version": 4, "cidr": cidr.to_string(), "gateway_ip": gateway,
                "allocation_pools": [pool], "enable_dhcp": false,
            });
            objects.push(subnet("public1-subnet", "public1", body));
        }
        let own = |path: &str, name: &str| format!("{path}?name={name}&project_id={{project}}");
        objects.push(network("demo-net", json!({})).look(&own("/v2.0/networks", "demo-net")));
        let Internal { cidr, gateway, dns } = &self.internal;
        let body = json!({
            "network_id": "{demo-net}", "ip_version": 4, "cidr": cidr.to_string(), "gateway_ip": gateway, "dns_nameservers": [dns],
        });
        objects.push(subnet("demo-subnet", "demo-net", body));
        let routers = "/v2.0/routers";
        let router = Object::named("network", routers, "router", "demo-router", json!({}));
        objects.push(router.look(&own(routers, "demo-router")));
        let path = format!("{routers}/{{demo-router}}/add_router_interface");
        let interface = Object::new("network", &path, "router", "demo-router: interface demo-subnet", Value::Null)
            .look("/v2.0/ports?device_id={demo-router}&fixed_ips=subnet_id%3D{demo-subnet}");
        objects.push(Object { method: "PUT", body: json!({ "subnet_id": "{demo-subnet}" }), ..interface });
        if self.external.is_some() {
            let body = json!({ "external_gateway_info": { "network_id": "{public1}" } });
            let path = format!("{routers}/{{demo-router}}");
            objects.push(Object::new("network", &path, "router", "demo-router: gateway public1", body).setting());
        }
        objects
    }

    /// Sees to it that all of it is there; the started server, if one is wanted. `key` is asked for a key only where
    /// the cloud has none.
    ///
    /// # Errors
    /// The first object that cannot be had. What was made before it stays, and is found the next time.
    pub async fn make(
        &self,
        cloud: &Cloud,
        key: impl FnOnce() -> Result<Key>,
        stop: &CancellationToken,
        sink: &dyn Sink,
    ) -> Result<(Summary, Option<Server>)> {
        self.check()?;
        let project = cloud.session.project.clone();
        // It is made by the question.
        let groups = cloud.find("network", &format!("/v2.0/security-groups?name=default&project_id={project}")).await?;
        let mut ids = Ids::from([("project".to_owned(), project)]);
        let group = groups.first().and_then(|group| group["id"].as_str());
        ids.extend(group.map(|id| ("default".to_owned(), id.to_owned())));
        let there = !cloud.find("compute", "/os-keypairs/mykey").await?.is_empty();
        let key = if there { Key { public: String::new(), from: String::new() } } else { key()? };
        let objects = self.objects(&key);
        let names = ["compute", "network", "image"].map(|service| cloud.session.api(service).map(|api| api.name));
        let roles = names.into_iter().collect::<Result<_>>()?;
        let count = objects.len() + if self.server { 3 } else { 1 };
        let mut tally = Tally::begin(sink, "init-runonce", cloud.acts.is_none(), cloud.reads.name(), roles, count);
        ensure(cloud, &objects, &mut ids, stop, &mut tally).await?;
        let image = self.image.ensure(cloud, &mut ids, &mut tally).await;
        image.map_err(|error| named(error, &self.image.subject(), ""))?;
        let server = if self.server {
            let outside = self.external.is_some();
            let recipe = server::Recipe { image: self.image.name, flavor: self.flavor(), key: KEY, outside };
            server::start(cloud, &recipe, &mut ids, stop, &mut tally).await?
        } else {
            None
        };
        Ok((tally.end(cloud.reads.requests()), server))
    }
}
