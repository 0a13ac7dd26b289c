//! Commands about this machine: images, the registry, the lab.

use std::path::PathBuf;

use serde_json::json;

use super::load::Loaded;
use super::{BuildRequest, LabAct, RegistryAct};
use crate::cli::Invocation;
use crate::cli::lab::Which;
use crate::error::{Error, Result, numbered};
use crate::examples;
use crate::{image, lab};

/// The images' tag where no site says it.
pub(super) const TAG: &str = "2025.1-debian-trixie";

/// Builds images.
///
/// # Errors
/// The first image that cannot be built, with the end of its log.
pub async fn build(at: &Invocation, request: &BuildRequest) -> Result<()> {
    let site = Loaded::read(at).await.ok();
    let variable = |name: &str| {
        let loaded = site.as_ref()?;
        let host = loaded.site.hosts.keys().next()?;
        let value = loaded.unasked(false).host(host).get(name).ok()?;
        Some(value.to_string()).filter(|text| !text.is_empty())
    };
    let tag = request.tag.clone().or_else(|| variable("openstack_tag"));
    if request.to.is_some() && !request.images.iter().any(|image| image == image::GUEST) {
        return Err(Error::input("`--to` is for the disk of the image `guest`, which is not among the images")
            .with_hint("write `kolla build guest --to FILE`"));
    }
    let mut options = image::BuildOptions::new(tag.unwrap_or_else(|| TAG.into()));
    options.images.clone_from(&request.images);
    if options.images.is_empty()
        && let Some(loaded) = &site
    {
        options.images = needed(loaded)?;
    }
    if let Some(registry) = request.registry.clone().or_else(|| variable("docker_registry")) {
        options.registry = registry;
    }
    if let Some(namespace) = variable("docker_namespace") {
        options.namespace = namespace;
    }
    options.push = request.push;
    options.again = request.again;
    options.mirror.clone_from(&request.mirror);
    options.proxies.clone_from(&at.environment.proxies);
    options.jobs = request.jobs.map_or(options.jobs, usize::from);
    let disk = request.to.clone().unwrap_or_else(|| guest_file(at));
    options.guest = Some(disk.clone());
    let built = build_images(at, &options).await?;
    let file = |image: &image::Built| (image.name == image::GUEST).then_some(&disk);
    at.answer(
        || {
            let answer = |image: &image::Built| {
                let (name, reference, built) = (&image.name, &image.reference, image.built);
                json!({ "name": name, "reference": reference, "built": built, "file": file(image) })
            };
            built.iter().map(answer).collect()
        },
        || {
            let guest = built.iter().find_map(file).map(|disk| format!("; the guest is {}", disk.display()));
            format!("{} ready{}", numbered(built.len(), "image"), guest.unwrap_or_default())
        },
    );
    Ok(())
}

/// Where the disk of the guest is, unless the operator says another place.
pub(super) fn guest_file(at: &Invocation) -> PathBuf {
    at.environment.state_home.join("kolla/guest.qcow2")
}

/// Names of the images that the site's enabled services need.
pub(super) fn needed(loaded: &Loaded) -> Result<Vec<String>> {
    let plan = loaded.draft(&loaded.members())?;
    let name = |reference: &String| {
        let name = reference.rsplit('/').next().unwrap_or(reference);
        name.split(':').next().unwrap_or(name).to_owned()
    };
    Ok(plan.images().keys().map(name).collect())
}

pub(super) async fn build_images(at: &Invocation, options: &image::BuildOptions) -> Result<Vec<image::Built>> {
    image::build(options, &|event| match event {
        image::Event::Installs(names) => at.screen.err(&format!("installing {} on this machine", names.join(", "))),
        image::Event::Starts { image } => at.screen.err(&format!("image {image}: building")),
        image::Event::Ends(image) => {
            let what = match (image.built, image.pushed) {
                (true, true) => "built and pushed",
                (true, false) => "built",
                (false, true) => "pushed",
                (false, false) => "same",
            };
            at.screen.err(&format!("image {}: {what} in {}s", image.name, image.took.as_secs()));
        }
        image::Event::Says { image, line } => tracing::debug!("{image}: {line}"),
        image::Event::Pushes { .. } => {}
    })
    .await
}

/// The registry of this machine.
///
/// # Errors
/// What the engine says.
pub async fn registry(at: &Invocation, act: RegistryAct, port: u16) -> Result<()> {
    let options = image::BuildOptions { registry: format!("127.0.0.1:{port}"), ..image::BuildOptions::new(TAG) };
    let registry = image::Registry { port, image: options.reference("registry") };
    match act {
        RegistryAct::Up => raise_registry(at, &options, &registry).await?,
        RegistryAct::Down(images) => {
            registry.down(images).await?;
        }
        RegistryAct::Status => {
            let status = registry.status().await?;
            at.answer(
                || json!({ "answers": status.answers, "images": status.images }),
                || {
                    let state = if status.answers { "answers" } else { "does not answer" };
                    let head = format!("{} {state}: {}", registry.address(), numbered(status.images.len(), "image"));
                    let images = status.images.iter().map(|image| format!("  {image}"));
                    std::iter::once(head).chain(images).collect::<Vec<_>>().join("\n")
                },
            );
        }
    }
    Ok(())
}

pub(super) async fn raise_registry(
    at: &Invocation,
    options: &image::BuildOptions,
    registry: &image::Registry,
) -> Result<()> {
    let options = image::BuildOptions {
        images: vec!["registry".into()],
        push: false,
        mirror: options.mirror.clone(),
        proxies: at.environment.proxies.clone(),
        ..options.clone()
    };
    build_images(at, &options).await?;
    registry.up().await?;
    at.screen.err(&format!("registry: answers on {}", registry.address()));
    Ok(())
}

pub(super) fn options(at: &Invocation, which: &Which) -> lab::Options {
    let folder = which.state_dir.clone().unwrap_or_else(|| lab_folder(at, &which.name));
    let mut options = lab::Options::new(&which.name, folder);
    options.internal = which.subnet;
    options.mirror.clone_from(&which.mirror);
    options.registry_port = which.registry_port;
    options.proxies.clone_from(&at.environment.proxies);
    options
}

fn lab_folder(at: &Invocation, name: &str) -> PathBuf {
    at.environment.state_home.join("kolla/lab").join(name)
}

/// The lab of this machine; the exit code to end with.
///
/// # Errors
/// What the engine says.
pub async fn lab(at: &Invocation, act: LabAct, which: &Which) -> Result<u8> {
    let mut options = options(at, which);
    match act {
        LabAct::Up { hosts, computes, infra_only } => {
            options.hosts = hosts.into();
            options.computes = computes.into();
            options.infra_only = infra_only;
            let lab = raise(at, &options).await?;
            let folder = options.state_dir.display();
            at.answer(
                || serde_json::json!({ "name": lab.name, "folder": options.state_dir, "vip": lab.vip.to_string() }),
                || format!("its files are in {folder}: `kolla bootstrap-servers --configdir {folder}`"),
            );
        }
        LabAct::Down => lab::down(&options, true).await?,
        LabAct::Status => {
            let rows: Vec<Vec<String>> = lab::status(&options)
                .await?
                .into_iter()
                .map(|status| {
                    let uptime = status.uptime.map(|up| format!("{}s", up.as_secs())).unwrap_or_default();
                    let address = status.host.address.to_string();
                    vec![status.host.name, address, status.state, uptime, status.engine.unwrap_or_default()]
                })
                .collect();
            let head = ["HOST", "ADDRESS", "STATE", "UP", "ENGINE"];
            at.answer(
                || {
                    let host = |row: &Vec<String>| json!({ "host": row[0], "address": row[1], "state": row[2] });
                    let hosts: Vec<_> = rows.iter().map(host).collect();
                    json!({ "name": options.name, "folder": options.state_dir, "hosts": hosts })
                },
                || {
                    let mut table = crate::report::table::Table::new(head);
                    for row in &rows {
                        table.row(row.clone());
                    }
                    table.render()
                },
            );
        }
        LabAct::Power(host, true) => lab::power_on(&options, &host).await?,
        LabAct::Power(host, false) => lab::power_off(&options, &host).await?,
        LabAct::Ssh(host, command) => {
            let mut argv = lab::ssh_command(&options, &host).await?;
            argv.extend(command);
            return crate::host::local::Local::new(argv).inherit().await;
        }
    }
    Ok(0)
}

/// Raises the lab and gives it passwords.
pub(super) async fn raise(at: &Invocation, options: &lab::Options) -> Result<lab::Lab> {
    let lab = lab::up(options, &|line| at.screen.err(line)).await?;
    let passwords = options.state_dir.join("passwords.yml");
    if !passwords.exists() {
        super::phase::write_private(&passwords, examples::PASSWORDS.as_bytes())?;
    }
    crate::site::genpwd(&passwords, super::vault::keys(at).await?, false)?;
    Ok(lab)
}
