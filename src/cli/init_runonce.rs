//! `kolla init-runonce`: something to try a new cloud with.

use std::net::Ipv4Addr;
use std::path::PathBuf;

use clap::builder::BoolishValueParser;
use clap::{ArgAction, Args, ValueHint};
use ipnet::Ipv4Net;
use serde_json::json;

use super::reporting::reported;
use super::{Exit, Invocation};
use crate::app::{Loaded, demo};
use crate::cloud::Server;
use crate::cloud::demo::{External, Internal, Range};
use crate::error::Result;
use crate::run::event::Summary;

/// Creates what a first server needs: image, flavors, key pair, networks, router, security group rules and quotas.
#[derive(Debug, Clone, Args)]
pub struct InitRunonce {
    /// The image file, qcow2 or raw [default: a cirros*.img or guest.qcow2 in CONFIGDIR, else the file of `kolla build guest`]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub image: Option<PathBuf>,
    /// Also start a server `demo1` and wait until it has booted
    #[arg(long)]
    pub server: bool,
    /// Whether to create the external network
    #[arg(long, env = "ENABLE_EXT_NET", hide_env_values = true, value_name = "0|1", default_value = "1")]
    #[arg(action = ArgAction::Set, value_parser = BoolishValueParser::new())]
    pub enable_ext_net: bool,
    /// The external network [default: 10.0.2.0/24]
    #[arg(long, env = "EXT_NET_CIDR", hide_env_values = true, value_name = "CIDR")]
    pub ext_net_cidr: Option<Ipv4Net>,
    /// The pool of addresses for routers and floating IPs in the external network [default: start=10.0.2.150,end=10.0.2.199]
    #[arg(long, env = "EXT_NET_RANGE", hide_env_values = true, value_name = "RANGE")]
    pub ext_net_range: Option<Range>,
    /// The gateway of the external network [default: 10.0.2.1]
    #[arg(long, env = "EXT_NET_GATEWAY", hide_env_values = true, value_name = "ADDRESS")]
    pub ext_net_gateway: Option<Ipv4Addr>,
    /// The internal network of the servers [default: 10.0.0.0/24]
    #[arg(long, env = "DEMO_NET_CIDR", hide_env_values = true, value_name = "CIDR")]
    pub demo_net_cidr: Option<Ipv4Net>,
    /// The address of the router in the internal network [default: 10.0.0.1]
    #[arg(long, env = "DEMO_NET_GATEWAY", hide_env_values = true, value_name = "ADDRESS")]
    pub demo_net_gateway: Option<Ipv4Addr>,
    /// The DNS server of the internal network [default: 8.8.8.8]
    #[arg(long, env = "DEMO_NET_DNS", hide_env_values = true, value_name = "ADDRESS")]
    pub demo_net_dns: Option<Ipv4Addr>,
}

impl InitRunonce {
    fn request(self) -> demo::Request {
        let (outside, inside) = (External::default(), Internal::default());
        let external = External {
            cidr: self.ext_net_cidr.unwrap_or(outside.cidr),
            range: self.ext_net_range.unwrap_or(outside.range),
            gateway: self.ext_net_gateway.unwrap_or(outside.gateway),
        };
        let internal = Internal {
            cidr: self.demo_net_cidr.unwrap_or(inside.cidr),
            gateway: self.demo_net_gateway.unwrap_or(inside.gateway),
            dns: self.demo_net_dns.unwrap_or(inside.dns),
        };
        let external = self.enable_ext_net.then_some(external);
        demo::Request { image: self.image, external, internal, server: self.server }
    }

    pub(super) async fn run(self, at: &Invocation) -> Result<Exit> {
        let (summary, server) = make(at, &self.request()).await?;
        if let Some(server) = server {
            let Server { address, console } = server;
            at.answer(
                || json!({ "event": "server", "name": "demo1", "address": address, "console": console }),
                || format!("server demo1 runs, at {address}"),
            );
        }
        Ok(at.exit(summary, at.global.check))
    }
}

/// Makes it, told and recorded; without a server, tells how to start one.
pub(super) async fn make(at: &Invocation, request: &demo::Request) -> Result<(Summary, Option<Server>)> {
    let (app, check) = (&at.app, at.global.check);
    let loaded = Loaded::read(app).await?;
    let demo = demo::demo(app, &loaded, request)?;
    let mut server = None;
    let summary = reported(at, &loaded, check, async |listeners| {
        let (summary, started) = demo::make(app, &loaded, &demo, check, listeners).await?;
        server = started;
        Ok(summary)
    })
    .await?;
    if !at.global.json() && !check && !request.server {
        let folder = app.options.config_dir.display();
        at.screen.out(&format!("start a server:\n  . {folder}/admin-openrc.sh\n  {}", demo.command()));
    }
    Ok((summary, server))
}
