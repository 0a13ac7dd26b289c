//! A plan is saved with what was seen of the hosts, and is applied only where that has not moved.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::files::write_private;
use crate::error::{Error, InputError, Kind, Result, numbered};
use crate::op::Want;
use crate::plan::phase::named;
use crate::plan::saved::FORMAT;
use crate::plan::{Phase, Plan, Saved};
use crate::run::event::{Quiet, Sink, Summary};
use crate::run::{RunContext, WalkOptions, look};

/// Lines that an error shows of what moved.
const SHOWN: usize = 12;
const ANEW: &str = "read a new one with `kolla plan --save`, with the same limit and tags";

/// Looks at what a plan would change, and writes that with what was seen.
pub(super) async fn save(
    file: &Path,
    plan: &Plan,
    context: &RunContext,
    options: &WalkOptions,
    sink: Arc<dyn Sink>,
) -> Result<Summary> {
    let (summary, seen) = look(plan, context, options, sink).await;
    let saved = Saved::of(plan, seen).map_err(|failed| {
        let what = format!("the plan is not saved: {} cannot be compared", numbered(failed.len(), "operation"));
        told(Error::operation(what), &failed)
            .with_hint("correct what failed, or leave it out with `--limit` or `--tags`")
    })?;
    let saved = saved.without_secrets(&context.shared.mask)?;
    let text = serde_json::to_vec_pretty(&saved).map_err(|error| Error::local("write the plan", error))?;
    write_private(file, &text)?;
    Ok(summary)
}

/// What was saved.
///
/// # Errors
/// A file that is no plan, or one of another format; a plan of a phase that cannot be applied.
pub fn saved_plan(file: &Path) -> Result<Saved> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| Error::local(format!("read the plan {}", file.display()), error))?;
    let is_none = |error: serde_json::Error| {
        InputError::new(format!("{} is no plan: {error}", file.display()))
            .of(Kind::Syntax)
            .hint("`kolla plan --save FILE` writes one")
    };
    let value: serde_json::Value = serde_json::from_str(&text).map_err(is_none)?;
    let format = value.get("format").and_then(serde_json::Value::as_u64).unwrap_or(1);
    // The first format had none, and was the plan alone.
    if format != u64::from(FORMAT) && value.get("phase").is_some() {
        let what = format!("{} is a plan of format {format}, and this program applies format {FORMAT}", file.display());
        return Err(InputError::new(what).of(Kind::SavedPlan).hint(ANEW).into());
    }
    let saved: Saved = serde_json::from_value(value).map_err(is_none)?;
    let applies = |phase: &Phase| phase.want == Want::Running && !phase.looks;
    if !named(&saved.phase).is_some_and(applies) {
        return Err(InputError::new(format!("a saved plan of `{}` cannot be applied", saved.phase))
            .of(Kind::SavedPlan)
            .hint(format!("run `kolla {}` itself", saved.phase))
            .into());
    }
    Ok(saved)
}

/// The nodes that a saved plan changes, after a new look at all that it knows.
///
/// # Errors
/// What has moved since; nothing was changed by then.
pub(super) async fn still(
    saved: &Saved,
    plan: &Plan,
    context: &RunContext,
    options: &WalkOptions,
) -> Result<BTreeSet<String>> {
    let (_, seen) = look(plan, context, options, Arc::new(Quiet)).await;
    if options.stop.is_cancelled() {
        return Err(Error::Interrupted);
    }
    let mask = &context.shared.mask;
    let moved = match Saved::of(plan, seen) {
        Ok(now) => saved.moved(&now.without_secrets(mask)?),
        Err(failed) => failed,
    };
    if moved.is_empty() {
        let changes = saved.changes();
        let nodes = plan.nodes.iter().filter(|node| changes.contains(&mask.hide(&node.id)));
        return Ok(nodes.map(|node| node.id.clone()).collect());
    }
    let what = "the plan is no more the one that was saved, and nothing was changed";
    Err(told(Error::input(what).of(Kind::SavedPlan), &moved).with_hint(ANEW))
}

fn told(error: Error, lines: &[String]) -> Error {
    let more = lines.len().saturating_sub(SHOWN);
    let error = lines.iter().take(SHOWN).fold(error, Error::because);
    if more == 0 { error } else { error.because(format!("{more} more")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::text;

    #[test]
    fn a_plan_of_another_format_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        for (content, says) in [
            (r#"{"phase": "deploy", "nodes": []}"#, "is a plan of format 1, and this program applies format 2"),
            (r#"{"phase": "deploy", "format": 3}"#, "is a plan of format 3, and this program applies format 2"),
            ("[1]", "is no plan: "),
            ("no", "is no plan: "),
        ] {
            std::fs::write(file.path(), content).unwrap();
            let error = text::error(&saved_plan(file.path()).unwrap_err(), false);
            assert!(error.contains(says) && error.contains("\nhint: "), "{error}");
        }
    }
}
