//! The run of a phase: connects, plans, walks.

use std::collections::BTreeMap;
use std::path::PathBuf;

use indexmap::IndexSet;

use super::connect::{connect_options, context, lease_wish, shared};
use super::dependents::{self, Dependents};
use super::facts::KeptFacts;
use super::fixed::{note_secrets, refuse_changed};
use super::{App, Listeners, Loaded, actions, post_deploy, saved, strays, users};
use crate::error::{Error, Kind, Result, nearest};
use crate::host::Observer;
use crate::op::{self, Op, Progress, ProgressSink, Want};
use crate::plan::phase::{ACTION, PHASES, named};
use crate::plan::{Call, Fixed, Node, Phase, Saved};
use crate::run::connect::{Connected, connect_with_lease};
use crate::run::event::{Event, Sink, Summary};
use crate::run::{RunContext, WalkOptions, foreign, walk};

/// What to run.
#[derive(Debug, Clone)]
pub struct Request {
    /// The phase.
    pub phase: &'static Phase,
    /// Change nothing.
    pub check: bool,
    /// Of `destroy`: also remove the images.
    pub include_images: bool,
    /// Of `do`: what is asked for.
    pub action: Option<Call>,
    /// Of `stop` and `destroy`: what is done about others that need what goes.
    pub dependents: Dependents,
    /// Write what would change to this file instead.
    pub save: Option<PathBuf>,
    /// What may be changed, and from which state; all where there is none.
    pub saved: Option<Saved>,
}

impl Request {
    /// All of a phase.
    pub fn of(phase: &'static Phase) -> Self {
        Self {
            phase,
            check: false,
            include_images: false,
            action: None,
            dependents: Dependents::default(),
            save: None,
            saved: None,
        }
    }

    /// An action.
    pub fn action(call: Call) -> Self {
        Self { action: Some(call), ..Self::of(&ACTION) }
    }
}

/// The phase of a name, as `deploy`.
///
/// # Errors
/// A name that none has.
pub fn phase(name: &str) -> Result<&'static Phase> {
    named(name).ok_or_else(|| {
        let names: Vec<&str> = PHASES.iter().map(|phase| phase.name).collect();
        let hint = match nearest(name, names.iter().copied()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("phases: {}", names.join(", ")),
        };
        Error::input(format!("there is no phase `{name}`")).of(Kind::UnknownName).with_hint(hint)
    })
}

/// Connects to the hosts of a site, looks at them, and walks the plan of a phase.
///
/// # Errors
/// Whatever stops the run as a whole; failures of operations are in the summary.
pub async fn run(app: &App, loaded: &Loaded, request: &Request, listeners: &Listeners) -> Result<Summary> {
    let sink = &listeners.events;
    let phase = match &request.action {
        Some(call) => call.phase(&loaded.roles)?,
        None => request.phase,
    };
    let limit = loaded.limit(app)?;
    let mut selection = loaded.tags(app)?;
    if phase.keep.contains(&op::Class::Unused) && !(selection.tags.is_empty() && selection.skip_tags.is_empty()) {
        let error = Error::input(format!("`{}` is not for some roles: an image is one of all of them", phase.name));
        return Err(error.of(Kind::Usage).with_hint("leave out `--tags` and `--skip-tags`"));
    }
    selection.hosts = app.options.limit.is_some().then(|| limit.clone());
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
    let options = connect_options(app, listeners.requests.clone());
    let wish = lease_wish(app, granting);
    let ask = |host: &str| loaded.ask(&asking, host, prepares);
    let (connected, lease) = tokio::select! {
        connected = connect_with_lease(&loaded.site, &names, &options, ask, &wish, &**sink) => connected,
        () = app.stop.cancelled() => return Err(Error::Interrupted),
    };
    drop(asking);
    let missing = absent(&connected, &limit)?;
    let lease = lease?;
    let facts = KeptFacts::of(app).with(&connected.looks);
    let scopes = loaded.scopes(&facts);
    let hosts: IndexSet<String> = connected.machines.keys().cloned().collect();
    let first = hosts.first().map(String::as_str).unwrap_or_default();
    let mut shared = shared(app, loaded, scopes.host(first))?;
    if let Some((host, sql)) = database
        && let Some(machine) = connected.machines.get(&host).filter(|_| connected.runs(&host, &sql.container))
    {
        shared.ask_database(sql, Observer::new(machine.clone()));
    }
    let whole = loaded.plan(&facts, &scopes, &hosts)?;
    // The draft knows of hosts that did not answer, the plan of what depends on facts.
    lookups.add(&whole.lookups);
    for warning in loaded.warnings(&whole, &lookups) {
        sink.event(&Event::Warning { host: String::new(), message: warning.in_a_line() });
    }
    if phase.want != Want::Running {
        dependents::ordered(
            &mut selection,
            request.dependents,
            (loaded, &whole, &connected),
            (phase.want, check),
            &**sink,
        )?;
        if request.dependents != Dependents::Abort {
            let asked = loaded.users(&selection, (&facts, &scopes), &hosts)?;
            users::refuse(asked, &connected, (phase.want, check), &**sink).await?;
        }
    }
    let warnings = sink.clone();
    shared.sink = ProgressSink::new(move |progress| {
        if let Progress::Warning(message) = progress {
            warnings.event(&Event::Warning { host: String::new(), message });
        }
    });
    if prepares {
        shared.containers = whole.containers();
    }
    // Of what writes files and starts containers with them, a recovery of a cluster, too: a stop needs no new secret.
    let deploys = [op::Class::Files, op::Class::Container].iter().all(|class| phase.keep.contains(class));
    let deploys = deploys && phase.want == Want::Running;
    let prunes = app.options.prune && phase.name == "deploy";
    let search = strays::Search {
        whole: &whole,
        connected: &connected,
        site: &shared.site,
        selection: &selection,
        want: phase.want,
    };
    let mut found = search.all();
    let mut plan = match &request.action {
        Some(call) => {
            let plan = loaded.action(call, &facts, &scopes, &hosts)?.select(phase, &selection);
            let runs = |host: &str, container: &str| connected.runs(host, container);
            if actions::on_first(loaded, call)? { actions::first(plan, runs) } else { plan }
        }
        None => whole.select(phase, &selection),
    };
    if request.dependents == Dependents::Abort {
        plan.kill();
    }
    let fixed =
        if deploys { Fixed::of(&whole, &loaded.site, &loaded.roles, scopes.host(first)) } else { Fixed::default() };
    refuse_changed(&fixed, &plan, &connected, check, &**sink)?;
    let stale = deploys.then(|| post_deploy::stale(app, scopes.host(first))).flatten();
    if phase.want == Want::Absent {
        strays::end_what_outlives(&mut found, &loaded.roles);
        if search.all_roles() {
            search.volumes(&mut found).await?;
        }
        strays::put_before(&mut plan, found);
    } else if prunes {
        strays::tell_what_outlives(&found, &loaded.roles, &**sink);
        strays::put_around(&mut plan, found);
    } else if phase.name == "deploy" {
        strays::tell_left_over(&found, &**sink);
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
    let (forks, stop) = (usize::from(app.options.forks.unwrap_or(0)), app.stop.child_token());
    let mut options = WalkOptions { check, forks, stop: stop.clone(), only: None };
    if let Some(saved) = &request.saved {
        options.only = Some(saved::still(saved, &plan, &context, &options).await?);
    }
    let mut summary = match &request.save {
        Some(file) => saved::save(file, &plan, &context, &options, sink.clone()).await?,
        None => lease.during(walk(&plan, &context, &options, sink.clone()), &stop, &**sink).await??,
    };
    for found in &foreign {
        sink.event(&Event::Warning { host: String::new(), message: found.to_string() });
    }
    summary.failed += missing + foreign.len();
    if !check && summary.failed == 0 && !app.stop.is_cancelled() {
        note_secrets(fixed.to_note(&plan), &context, &**sink).await;
        summary.failed += remove_images(&images, &context, &**sink).await;
    }
    if let Some(message) = stale.filter(|_| summary.failed == 0) {
        sink.event(&Event::Warning { host: String::new(), message });
    }
    Ok(summary)
}

/// What of the hosts that did not answer stops the run. Some of them away is a failure in the end; all of them
/// ends it before anything is touched.
fn absent(connected: &Connected, limit: &IndexSet<String>) -> Result<usize> {
    if connected.machines.is_empty() || limit.iter().all(|host| connected.failed.contains_key(host)) {
        let error = connected.causes().into_iter().next();
        return Err(error.unwrap_or_else(|| Error::input("the inventory has no host").of(Kind::Inventory)));
    }
    Ok(connected.failed.keys().filter(|host| limit.contains(*host)).count())
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
