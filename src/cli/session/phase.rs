//! A phase from the command line to its last event.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use indexmap::IndexSet;

use super::facts::KeptFacts;
use super::load::{Loaded, connect_options, context, lease_note, shared};
use super::saved;
use crate::cli::phases::Request;
use crate::cli::reporting::Reporting;
use crate::cli::{Invocation, phases};
use crate::error::{Error, Kind, Result};
use crate::host::{Observer, Remote};
use crate::op::container::{Container, ROLE_LABEL, SERVICE_LABEL, SITE_LABEL, names};
use crate::op::files::{FileSet, SETS};
use crate::op::fixed::{Held, note};
use crate::op::volume::Volume;
use crate::op::{self, Op, Tell, Told, Want};
use crate::plan::phase::{PHASES, named};
use crate::plan::{Fixed, Node, Phase, Plan, Selection};
use crate::run::connect::{Connected, connect_with_lease};
use crate::run::event::{Event, Sink, Summary};
use crate::run::{LeaseWish, RunContext, WalkOptions, foreign, walk};

/// Loads, connects, plans and walks a phase.
///
/// # Errors
/// Whatever stops the run as a whole; failures of operations are in the summary.
pub async fn phase(at: &Invocation, request: &Request) -> Result<Summary> {
    let Some(phase) = named(&request.phase) else {
        let names: Vec<&str> = PHASES.iter().map(|phase| phase.name).collect();
        let hint = match crate::error::nearest(&request.phase, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("phases: {}", names.join(", ")),
        };
        return Err(Error::input(format!("there is no phase `{}`", request.phase))
            .of(Kind::UnknownName)
            .with_hint(hint));
    };
    let loaded = Loaded::read(at).await?;
    if let Some(dir) = &request.dir {
        return offline(at, &loaded, dir);
    }
    let reporting = Reporting::begin(at, &loaded.site.mask);
    let result = run(at, request, phase, &loaded, &reporting).await;
    let exit = result
        .as_ref()
        .map(|summary| phases::exit(*summary, request.check && at.global.exit_code, at.stop.is_cancelled()));
    reporting.end(at, exit);
    result
}

async fn run(
    at: &Invocation,
    request: &Request,
    phase: &'static Phase,
    loaded: &Loaded,
    reporting: &Reporting,
) -> Result<Summary> {
    let limit = loaded.limit(at)?;
    let mut selection = loaded.tags(at)?;
    selection.hosts = at.global.limit.is_some().then(|| limit.clone());
    let check = request.check || phase.looks;
    // Input errors that need no facts are told before any host is asked.
    let granting = if check { Vec::new() } else { loaded.granting() };
    let names: IndexSet<String> = loaded.members().into_iter().chain(limit.iter().chain(&granting).cloned()).collect();
    let names: Vec<String> = names.into_iter().collect();
    let asking = loaded.unasked(true);
    let (database, mut lookups) = {
        let draft = loaded.plan(&BTreeMap::new(), &asking, &names.iter().cloned().collect())?;
        (draft.database(phase, &selection), draft.lookups)
    };
    let prepares = phase.keep.contains(&op::Class::Host);
    let options = connect_options(at, reporting.record.as_ref());
    let wish = LeaseWish { hosts: granting, note: lease_note(at), without_majority: at.global.without_majority };
    let ask = |host: &str| loaded.ask(&asking, host, prepares);
    let (mut connected, lease) = tokio::select! {
        connected = connect_with_lease(&loaded.site, &names, &options, ask, &wish, &*reporting.sink) => connected,
        () = at.stop.cancelled() => return Err(Error::Interrupted),
    };
    drop(asking);
    let missing = absent(&mut connected, &limit)?;
    let lease = lease?;
    let facts = KeptFacts::of(at).with(&connected.looks);
    let scopes = loaded.scopes(&facts);
    let hosts: IndexSet<String> = connected.machines.keys().cloned().collect();
    let first = hosts.first().map(String::as_str).unwrap_or_default();
    let mut shared = shared(at, scopes.host(first))?;
    if let Some((host, sql)) = database
        && let Some(machine) = connected.machines.get(&host).filter(|_| connected.runs(&host, &sql.container))
    {
        shared.ask_database(sql, Observer::new(machine.clone()));
    }
    let whole = loaded.plan(&facts, &scopes, &hosts)?;
    // The draft knows of hosts that did not answer, the plan of what depends on facts.
    lookups.add(&whole.lookups);
    for warning in loaded.warnings(&lookups) {
        reporting.sink.event(&Event::Warning { host: String::new(), message: warning.to_string() });
    }
    drop(facts);
    let sink = reporting.sink.clone();
    shared.tell = Tell::new(move |told| {
        if let Told::Warning(message) = told {
            sink.event(&Event::Warning { host: String::new(), message });
        }
    });
    if prepares {
        shared.containers = whole.containers();
    }
    // Of what writes files and starts containers with them, a database's recovery, too: a stop needs no new secret.
    let deploys = [op::Class::Files, op::Class::Container].iter().all(|class| phase.keep.contains(class));
    let deploys = deploys && phase.want == Want::Running;
    let mut strays = strays(&whole, &connected, &shared.site, &selection, phase.want);
    let mut plan = whole.select(phase, &selection);
    let fixed =
        if deploys { Fixed::of(&whole, &loaded.site, &loaded.roles, scopes.host(first)) } else { Fixed::default() };
    refuse_changed(&fixed, &plan, &connected, check, &*reporting.sink)?;
    let stale = deploys.then(|| super::cloud::stale(at, scopes.host(first))).flatten();
    for stray in &mut strays {
        let Some(Op::Container(container)) = &mut stray.op else { continue };
        let service = loaded.roles.0.get(&container.role).and_then(|role| role.services.get(&container.service));
        let Some(service) = service.filter(|service| !service.before_remove.is_empty()) else { continue };
        if phase.want == Want::Absent {
            Arc::make_mut(container).before_remove.clone_from(&service.before_remove);
        } else if at.global.prune && phase.name == "deploy" {
            // Who takes a host out of a group has not said that its guests may end.
            let name = &container.spec.name;
            let message = format!("what container {name} started stays: move or end it; `kolla destroy` would end it");
            reporting.sink.event(&Event::Warning { host: stray.host.clone(), message });
        }
    }
    if phase.want == Want::Absent && selection.tags.is_empty() && selection.skip_tags.is_empty() {
        stray_volumes(&whole, &connected, &shared.site, selection.hosts.as_ref(), &mut strays).await?;
    }
    if phase.want == Want::Absent || (at.global.prune && phase.name == "deploy") {
        put_before(&mut plan, strays);
    } else if phase.name == "deploy" {
        for stray in strays.iter().filter(|stray| matches!(stray.op, Some(Op::Container(_)))) {
            let subject = stray.op.as_ref().map(|op| op.operation().subject()).unwrap_or_default();
            let message = format!("{subject} is left over: remove it with `kolla deploy --prune`");
            reporting.sink.event(&Event::Warning { host: stray.host.clone(), message });
        }
    }
    let context = context(connected, shared);
    // What a deployment would refuse is among what would go wrong.
    let foreign = match named("deploy") {
        Some(deploy) if phase.name == "prechecks" => foreign(&whole.select(deploy, &selection), &context),
        _ => Vec::new(),
    };
    // On many hosts these are large, and the walk needs none of them.
    let images = match named("pull") {
        Some(pull) if request.include_images => whole.select(pull, &selection).nodes,
        _ => Vec::new(),
    };
    drop((whole, scopes));
    let (forks, stop) = (usize::from(at.global.forks.unwrap_or(0)), at.stop.child_token());
    let mut options = WalkOptions { check, forks, stop: stop.clone(), only: None };
    if let Some(saved) = &request.saved {
        options.only = Some(saved::still(saved, &plan, &context, &options).await?);
    }
    let sink = &reporting.sink;
    let mut summary = match &request.save {
        Some(file) => saved::save(file, &plan, &context, &options, sink.clone()).await?,
        None => lease.during(walk(&plan, &context, &options, sink.clone()), &stop, &**sink).await??,
    };
    for found in &foreign {
        sink.event(&Event::Warning { host: String::new(), message: found.to_string() });
    }
    summary.failed += missing + foreign.len();
    if !check && summary.failed == 0 && !at.stop.is_cancelled() {
        note_secrets(fixed.to_note(&plan), &context, &*reporting.sink).await;
        summary.failed += remove_images(&images, &context, &*reporting.sink).await;
    }
    if let Some(message) = stale.filter(|_| summary.failed == 0) {
        reporting.sink.event(&Event::Warning { host: String::new(), message });
    }
    Ok(summary)
}

/// Refuses secrets that cannot be changed. Who only looks is told, and sees what else would change.
fn refuse_changed(fixed: &Fixed, plan: &Plan, connected: &Connected, check: bool, sink: &dyn Sink) -> Result<()> {
    let changed = fixed.changed(plan, connected.looks.iter());
    if !check && !changed.is_empty() {
        return Err(Error::Input(changed));
    }
    for error in changed {
        let hint = error.hint.as_deref().unwrap_or_default();
        let message = format!("it would be refused: {}: {hint}", error.message);
        sink.event(&Event::Warning { host: String::new(), message });
    }
    Ok(())
}

/// Has hosts note which secrets their services have. Without a note a change of one is not noticed: that is a word.
async fn note_secrets(held: BTreeMap<String, Vec<Held>>, context: &RunContext, sink: &dyn Sink) {
    let since = crate::report::time::rfc3339(std::time::SystemTime::now());
    for (host, mut held) in held {
        let (Some(machine), Some(me)) = (context.machines.get(&host), context.peers.get(&host)) else { continue };
        held.retain(|held| !me.look(|look| held.noted(look)));
        if held.is_empty() {
            continue;
        }
        if let Err(error) = note(&Remote::new(machine.clone()), me, &held, &since).await {
            sink.event(&Event::Warning { host, message: format!("its secrets are not noted: {error}") });
        }
    }
}

/// What of the hosts that did not answer stops the run. Some of them away is a failure in the end; all of them
/// ends it before anything is touched.
fn absent(connected: &mut Connected, limit: &IndexSet<String>) -> Result<usize> {
    if connected.machines.is_empty() || limit.iter().all(|host| connected.failed.contains_key(host)) {
        let error = connected.failed.swap_remove_index(0).map(|(_, error)| error);
        return Err(error.unwrap_or_else(|| Error::input("the inventory has no host").of(Kind::Inventory)));
    }
    Ok(connected.failed.keys().filter(|host| limit.contains(*host)).count())
}

/// Containers and sets of files of this site that its plan does not know, as operations that remove them. Of which role a
/// set is nobody knows: it stays where only some roles are selected. What runs once may still be at it since a run that
/// was killed, maybe in the middle of a migration: only what takes everything away ends that.
fn strays(whole: &Plan, connected: &Connected, site: &str, selection: &Selection, want: Want) -> Vec<Node> {
    let (hosts, all) = (selection.hosts.as_ref(), selection.tags.is_empty() && selection.skip_tags.is_empty());
    let mut known: BTreeSet<(&str, String)> = BTreeSet::new();
    let mut once: BTreeSet<(&str, String)> = BTreeSet::new();
    let mut services: BTreeSet<(&str, &str)> = BTreeSet::new();
    for node in &whole.nodes {
        match &node.op {
            Some(Op::Container(container)) => {
                let name = &container.spec.name;
                known.extend(names::lasting(name).map(|name| (&*node.host, name)));
                once.extend(names::passing(name).map(|name| (&*node.host, name)));
            }
            Some(Op::Task(task)) => drop(once.insert((&node.host, task.spec.name.clone()))),
            Some(Op::FileSet(set)) => drop(services.insert((&node.host, &set.service))),
            _ => {}
        }
    }
    let mut found = Vec::new();
    for (host, look) in connected.looks.iter().filter(|(host, _)| hosts.is_none_or(|hosts| hosts.contains(*host))) {
        let mut containers = Vec::new();
        for state in look.containers.values() {
            let label = |name: &str| state.labels.get(name).cloned().unwrap_or_default();
            let (role, service) = (label(ROLE_LABEL), label(SERVICE_LABEL));
            let wanted = selection.has(&role) && label(SITE_LABEL) == site;
            let id = (&**host, state.name.clone());
            let at_it = want != Want::Absent && state.alive() && once.contains(&id);
            if wanted && !at_it && !known.contains(&id) {
                let mut container = Container { role, service, want: Want::Absent, ..Container::default() };
                container.spec.name.clone_from(&state.name);
                containers.push(gone(host, container.role.clone(), container, Vec::new()));
            }
        }
        let (first, after) = (found.len(), containers.len());
        found.append(&mut containers);
        let sets: BTreeSet<&str> = look.files.keys().filter_map(|path| set_of(path)).collect();
        for service in sets.into_iter().filter(|service| all && !services.contains(&(host, service))) {
            let set = FileSet { service: service.to_owned(), want: Want::Absent, ..FileSet::default() };
            found.push(gone(host, String::new(), set, (first..first + after).collect()));
        }
    }
    found
}

/// The service of a path in its set of files.
fn set_of(path: &str) -> Option<&str> {
    Some(path.strip_prefix(SETS)?.strip_prefix('/')?.split('/').next()?.rsplit_once('-')?.0)
}

/// Volumes of this site that its plan does not know, as those of a role that was left out: what was in them goes with
/// everything else, and only then. They come after what `found` removes from their hosts, which may use them.
async fn stray_volumes(
    whole: &Plan,
    connected: &Connected,
    site: &str,
    hosts: Option<&IndexSet<String>>,
    found: &mut Vec<Node>,
) -> Result<()> {
    let known: BTreeSet<(&str, &str)> = whole
        .nodes
        .iter()
        .filter_map(|node| match &node.op {
            Some(Op::Volume(volume)) => Some((&*node.host, &*volume.name)),
            _ => None,
        })
        .collect();
    for (host, machine) in connected.machines.iter().filter(|(host, _)| hosts.is_none_or(|hosts| hosts.contains(*host)))
    {
        if !connected.looks.get(host).is_some_and(|look| look.facts.engine) {
            continue;
        }
        for name in machine.volumes(&format!("{SITE_LABEL}={site}")).await? {
            if !known.contains(&(host, &name)) {
                let after = (0..found.len()).filter(|index| found[*index].host == *host).collect();
                let volume = Volume { name, want: Want::Absent };
                found.push(gone(host, String::new(), volume, after));
            }
        }
    }
    Ok(())
}

fn gone(host: &str, role: String, op: impl Into<Op>, after: Vec<usize>) -> Node {
    let op = op.into();
    Node {
        id: format!("{host}/{}", op.operation().subject()),
        role,
        op: Some(op),
        host: host.into(),
        after,
        gate: None,
    }
}

/// The same plan with nodes before its own; positions count from the start.
fn put_before(plan: &mut Plan, first: Vec<Node>) {
    for node in &mut plan.nodes {
        for other in &mut node.after {
            *other += first.len();
        }
    }
    plan.nodes.splice(0..0, first);
}

/// Removes images from the hosts that were to have them; the number that could not be removed. One that something
/// else still uses is a word, not the end.
async fn remove_images(images: &[Node], context: &RunContext, sink: &dyn Sink) -> usize {
    let mut failed = 0;
    for node in images {
        let (Some(Op::Image(image)), Some(machine)) = (&node.op, context.machines.get(&node.host)) else { continue };
        if let Err(error) = machine.image_remove(&image.reference).await {
            failed += 1;
            sink.event(&Event::Warning { host: node.host.clone(), message: error.to_string() });
        }
    }
    failed
}

/// Writes the files of all services into a folder here, a folder a host.
fn offline(at: &Invocation, loaded: &Loaded, dir: &Path) -> Result<Summary> {
    let limit = loaded.limit(at)?;
    let mut selection = loaded.tags(at)?;
    selection.hosts = Some(limit);
    let mut summary = Summary::default();
    let whole = loaded.offline_plan(&loaded.members())?;
    for warning in loaded.warnings(&whole.lookups) {
        at.warn(&warning.to_string());
    }
    let Some(phase) = named("genconfig") else { return Ok(summary) };
    for node in whole.select(phase, &selection).nodes {
        let Some(Op::FileSet(set)) = node.op else { continue };
        let folder = dir.join(&node.host).join(&set.service);
        for file in &set.files {
            let path = folder.join(&file.name);
            if std::fs::read(&path).is_ok_and(|content| *content == *file.content) {
                summary.same += 1;
            } else {
                write_private(&path, &file.content)?;
                summary.changed += 1;
            }
        }
    }
    at.answer(
        || serde_json::json!({ "folder": dir, "changed": summary.changed, "same": summary.same }),
        || format!("{}: changed {}, same {}", dir.display(), summary.changed, summary.same),
    );
    Ok(summary)
}

/// Writes a file that may hold secrets: whole or not at all, and for its owner alone.
pub(super) fn write_private(path: &Path, content: &[u8]) -> Result<()> {
    use std::io::Write as _;
    let act = || format!("write {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder).map_err(|error| Error::local(act(), error))?;
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(|error| Error::local(act(), error))?;
    file.write_all(content).map_err(|error| Error::local(act(), error))?;
    // A power cut right after the rename must not leave it empty.
    file.as_file().sync_all().map_err(|error| Error::local(act(), error))?;
    file.persist(path).map_err(|error| Error::local(act(), error))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Exit;

    #[test]
    fn an_exit_code_is_known_for_every_phase() {
        assert!(PHASES.iter().all(|phase| named(phase.name).is_some()));
        assert_eq!(phases::exit(Summary::default(), false, false), Exit::DONE);
    }
}
