//! What commands need of the layers below: each function here is one act of a command, and the only place of
//! `cli` that knows site, roles, plans and hosts. Commands only ask and print.

use std::path::{Path, PathBuf};

use serde::Serialize;

use super::Invocation;
use super::phases::Request;
use crate::error::{Error, Result};
use crate::host::Output;
use crate::report::graph::GraphNode;
use crate::run::event::Summary;

/// Loads, connects, plans and walks a phase. Use [`super::reporting::Reporting`] for its sinks.
///
/// # Errors
/// Whatever stops the run as a whole; failures of operations are in the summary.
pub async fn phase(at: &Invocation, request: &Request) -> Result<Summary> {
    let _ = at;
    Err(not_yet(&request.phase))
}

/// What [`validate`] looked at.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Validated {
    /// Hosts of the inventory.
    pub hosts: usize,
    /// Enabled roles.
    pub roles: Vec<String>,
    /// What deserves a word but is no error.
    pub warnings: Vec<String>,
}

/// Loads everything and renders what can be rendered without a connection.
///
/// # Errors
/// All input errors of all files.
pub async fn validate(at: &Invocation) -> Result<Validated> {
    let _ = at;
    Err(not_yet("validate"))
}

/// A host of the inventory.
#[derive(Debug, Clone, Default, Serialize)]
pub struct HostRow {
    /// Its name.
    pub name: String,
    /// Where it is reached, as `root@10.0.0.11:22`, or `local`.
    pub address: String,
    /// Groups that it is in.
    pub groups: Vec<String>,
}

/// The hosts that `--limit` selects.
///
/// # Errors
/// Input errors of the inventory.
pub async fn inventory(at: &Invocation) -> Result<Vec<HostRow>> {
    let _ = at;
    Err(not_yet("inventory"))
}

/// A variable of a host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct VariableRow {
    /// Its name.
    pub name: String,
    /// Its value, secrets hidden.
    pub value: serde_json::Value,
    /// Where the value comes from, as `/etc/kolla/globals.yml:12`.
    pub from: String,
    /// Why it has no value.
    pub error: Option<String>,
}

/// Variables of a host, all or one.
///
/// # Errors
/// Input errors; a host or name that is not there.
pub async fn vars(at: &Invocation, host: &str, name: Option<&str>) -> Result<Vec<VariableRow>> {
    let _ = (at, host, name);
    Err(not_yet("vars"))
}

/// A service on a host.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StatusRow {
    /// The host.
    pub host: String,
    /// The role.
    pub role: String,
    /// The service, as `glance-api`.
    pub service: String,
    /// `running`, `unhealthy`, `stopped`, `missing`, `foreign`, `leftover`, or `unreachable`.
    pub state: String,
    /// More words: the engine's status, the image, what differs.
    pub about: String,
}

/// The services that hosts have or should have.
///
/// # Errors
/// Input errors; hosts that cannot be reached are rows.
pub async fn status(at: &Invocation) -> Result<Vec<StatusRow>> {
    let _ = at;
    Err(not_yet("status"))
}

/// Nodes and edges (before, after) of a phase's plan.
///
/// # Errors
/// Input errors.
pub async fn graph(at: &Invocation, phase: &str) -> Result<(Vec<GraphNode>, Vec<(String, String)>)> {
    let _ = at;
    Err(not_yet(&format!("graph {phase}")))
}

/// Fills the empty entries of a file of passwords; how many.
///
/// # Errors
/// When the file cannot be read, understood or written.
pub async fn genpwd(file: &Path) -> Result<usize> {
    Err(not_yet(&format!("genpwd -p {}", file.display())))
}

/// The last lines that a service's container wrote; with `follow`, prints new ones until interrupted.
///
/// # Errors
/// A host or service that is not there or does not answer.
pub async fn logs(at: &Invocation, host: &str, service: &str, lines: usize, follow: bool) -> Result<()> {
    let _ = (at, host, service, lines, follow);
    Err(not_yet("logs"))
}

/// Runs a program in a service's container.
///
/// # Errors
/// A host or service that is not there or does not answer.
pub async fn exec(at: &Invocation, host: &str, service: &str, argv: &[String], stdin: &[u8]) -> Result<Output> {
    let _ = (at, host, service, argv, stdin);
    Err(not_yet("exec"))
}

/// What to build.
#[derive(Debug, Clone, Default)]
pub struct BuildRequest {
    /// Image names; empty for those the enabled services need.
    pub images: Vec<String>,
    /// Push them.
    pub push: bool,
    /// Where to push, as `127.0.0.1:4000`.
    pub registry: Option<String>,
    /// Their tag.
    pub tag: Option<String>,
    /// Where Debian packages come from.
    pub mirror: Option<String>,
    /// Build what is there already.
    pub again: bool,
    /// Images built at once.
    pub jobs: Option<u16>,
}

/// Builds images.
///
/// # Errors
/// The first image that cannot be built, with the end of its log.
pub async fn build(at: &Invocation, request: &BuildRequest) -> Result<()> {
    let _ = (at, request);
    Err(not_yet("build"))
}

/// What to do with the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegistryAct {
    /// Start it.
    Up,
    /// Stop it; `true` also removes its images.
    Down(bool),
    /// Tell whether it runs and what it holds.
    Status,
}

/// The registry of this machine.
///
/// # Errors
/// What the engine says.
pub async fn registry(at: &Invocation, act: RegistryAct, port: u16) -> Result<()> {
    let _ = (at, act, port);
    Err(not_yet("registry"))
}

/// What to do with the lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabAct {
    /// Raise it with so many hosts.
    Up(u16),
    /// Remove it.
    Down,
    /// Tell about its hosts.
    Status,
    /// A shell or a command on a host.
    Ssh(String, Vec<String>),
}

/// The lab of this machine, in `dir`; the exit code to end with.
///
/// # Errors
/// What the engine says.
pub async fn lab(at: &Invocation, act: LabAct, dir: Option<PathBuf>) -> Result<u8> {
    let _ = (at, act, dir);
    Err(not_yet("lab"))
}

/// What a quickstart is to be.
#[derive(Debug, Clone, Copy)]
pub struct QuickstartRequest {
    /// Hosts of the lab.
    pub hosts: u16,
    /// Do not ask before installing tools.
    pub yes: bool,
}

/// Registry, images, lab, bootstrap-servers, prechecks, pull, deploy, and how to go on.
///
/// # Errors
/// The first step that fails.
pub async fn quickstart(at: &Invocation, request: QuickstartRequest) -> Result<Summary> {
    let _ = (at, request);
    Err(not_yet("quickstart"))
}

fn not_yet(what: &str) -> Error {
    Error::local(format!("run `kolla {what}`"), "this build does not have it")
}
