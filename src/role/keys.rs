//! Which keys a role may have, and what stands under them: what is not so is an error when a role is read.

use crate::op::api::Listing;
use crate::op::container::limits;
use crate::op::probe::Probe;
use crate::op::{cluster, file, words};
use crate::source::{Key, Keys, Shape};

const fn keys(all: &'static [Key], needed: &'static [&'static str]) -> Keys {
    Keys::new(all, needed)
}

/// The keys of role.yml's top.
pub(super) const TOP: Keys = Keys {
    what: "a role",
    all: &[
        ("about", Shape::Text),
        ("enabled", Shape::Flag),
        ("needs", Shape::List(&Shape::Text)),
        ("after", Shape::List(&Shape::Text)),
        ("fixed", Shape::List(&Shape::Text)),
        ("elsewhere", Shape::Text),
        ("vars", Shape::Named(&Shape::Any)),
        ("values", Shape::Named(&RULE)),
        ("asserts", Shape::List(&Shape::Keys(&ASSERT))),
        ("numbers", Shape::Named(&Shape::Keys(&NUMBER))),
        ("services", Shape::Named(&Shape::Keys(&SERVICE))),
        ("host", Shape::List(&Shape::Keys(&HOST_ITEM))),
        ("steps", Shape::List(&Shape::Keys(&STEP))),
        ("actions", Shape::Named(&Shape::Keys(&ACTION))),
        ("in_use", Shape::Keys(&ANSWER)),
        ("checks", Shape::List(&Shape::Keys(&CHECK))),
        ("status", Shape::List(&Shape::Keys(&STATUS))),
    ],
    needed: &[],
    any_of: &[],
    one_of: &[],
};

/// What a variable may hold.
const RULE: Shape = Shape::Either(
    &Shape::Either(
        &Shape::OneOf(&[
            "port",
            "address",
            "hostname",
            "interface",
            "interfaces",
            "duration",
            "url",
            "ascii",
            "registry",
            "namespace",
            "tag",
        ]),
        &Shape::List(&Shape::Text),
    ),
    &Shape::Keys(&RANGE),
);

const RANGE: Keys = keys(&[("from", Shape::Decimal), ("to", Shape::Decimal)], &["from", "to"]);

/// What must hold between variables.
const ASSERT: Keys = Keys {
    what: "an assert",
    ..keys(
        &[
            ("that", Shape::Flag),
            ("variables", Shape::Some(&Shape::Variable)),
            ("message", Shape::Name),
            ("hint", Shape::Name),
            ("warns", Shape::Plain),
        ],
        &["that", "variables", "message"],
    )
};

/// What `kolla do` can ask a service to do.
const ACTION: Keys = Keys {
    what: "an action",
    all: &[
        ("about", Shape::Name),
        ("alias", Shape::Name),
        ("service", Shape::Name),
        ("on", Shape::OneOf(&["first", "every", "host"])),
        ("arguments", Shape::Named(&Shape::Name)),
        ("guard", Probe::SHAPE),
        ("done", Probe::SHAPE),
        ("loses_data", Shape::Plain),
    ],
    needed: &["about", "service"],
    any_of: &[],
    one_of: &[&("command", Shape::Words), &("recovers", Shape::OneOf(&["cluster"]))],
};

const NUMBER: Keys = keys(&[("group", Shape::Name), ("from", Shape::Number)], &["group"]);

/// What the load balancer's templates read of a service.
const PROXY: Keys = keys(
    &[
        ("port", Shape::Text),
        ("public_port", Shape::Text),
        ("listen_port", Shape::Text),
        ("external", Shape::Flag),
        ("mode", Shape::Text),
        (
            "check",
            Shape::Either(
                &Shape::Text,
                &Shape::Keys(&keys(&[("port", Shape::Text), ("path", Shape::Text)], &["path"])),
            ),
        ),
        ("timeout", Shape::Text),
        ("balance", Shape::Text),
        ("writer", Shape::Flag),
    ],
    &["port"],
);

/// Words that are taken as they are written.
const LITERAL: Shape = Shape::Some(&Shape::Name);
/// Names with values, as an environment has them.
const VALUES: Shape = Shape::Named(&Shape::Value);

const SERVICE: Keys = Keys {
    what: "a service",
    all: &[
        ("group", Shape::Name),
        ("when", Shape::Flag),
        ("each", Shape::Either(&Shape::List(&Shape::Any), &Shape::Text)),
        ("container", Shape::Name),
        ("image", Shape::Text),
        ("command", Shape::Text),
        ("rolling", Shape::Number),
        ("last", Shape::Either(&Shape::Flag, &Probe::SHAPE)),
        ("cluster", Shape::Keys(&cluster::KEYS)),
        ("files", Shape::List(&file::SHAPE)),
        (
            "permissions",
            Shape::List(&Shape::Keys(&keys(
                &[("path", Shape::Path(&Shape::Name)), ("owner", Shape::Name), ("recurse", Shape::Plain)],
                &["path", "owner"],
            ))),
        ),
        ("volumes", Shape::List(&Shape::Volume)),
        ("env", VALUES),
        ("ready", Probe::SHAPE),
        ("before_replace", Probe::SHAPE),
        ("before_remove", LITERAL),
        ("reload", LITERAL),
        ("validate", LITERAL),
        ("proxy", Shape::Keys(&PROXY)),
        ("balances", Shape::Name),
        ("after_steps", Shape::Plain),
        ("balancer", Shape::Keys(&keys(&[("ask", LITERAL), ("tell", LITERAL)], &["ask"]))),
        ("privileged", Shape::Plain),
        ("cap_add", Shape::List(&Shape::Text)),
        ("security_opt", Shape::List(&Shape::Text)),
        ("pid", Shape::Name),
        ("ipc", Shape::Name),
        ("cgroupns", Shape::Name),
        ("tmpfs", Shape::List(&Shape::Text)),
        ("devices", Shape::List(&Shape::Text)),
        ("user", Shape::Name),
        ("dimensions", Shape::Keys(&limits::KEYS)),
        ("memory", Shape::Text),
        ("nofile", Shape::Text),
        ("stop_timeout", Shape::Number),
        (
            "health",
            Shape::Keys(&keys(
                &[
                    ("test", Shape::Text),
                    ("interval", Shape::Number),
                    ("timeout", Shape::Number),
                    ("retries", Shape::Number),
                    ("start_period", Shape::Number),
                ],
                &["test"],
            )),
        ),
    ],
    needed: &[],
    any_of: &words::OFFER_KEYS,
    one_of: &[],
};

pub(super) const STEP: Keys = Keys {
    what: "a step",
    all: &[
        ("when", Shape::OneOf(&["before", "ready"])),
        ("if", Shape::Flag),
        ("needs", Shape::List(&Shape::Name)),
        ("on", Shape::OneOf(&["first", "every"])),
    ],
    needed: &[],
    any_of: &[],
    one_of: &words::STEP_KEYS,
};

pub(super) const CHECK: Keys = Keys {
    what: "a check",
    all: &[("group", Shape::Name), ("when", Shape::Flag)],
    needed: &[],
    any_of: &[],
    one_of: &words::CHECK_KEYS,
};

pub(super) const HOST_ITEM: Keys = Keys {
    what: "a host item",
    all: &[("group", Shape::Name), ("when", Shape::Flag), ("serial", Shape::Number)],
    needed: &[],
    any_of: &[],
    one_of: &words::HOST_KEYS,
};

/// A program of a service, whose answer is the same wherever it is run.
const ANSWER: Keys = keys(&[("service", Shape::Name), ("command", Shape::Words)], &["service", "command"]);

const STATUS: Keys = Keys {
    what: "a part of `status`",
    all: &[("about", Shape::Text), ("if", Shape::Flag)],
    needed: &["about"],
    any_of: &[],
    one_of: &[
        &(
            "exec",
            Shape::Keys(&keys(
                &[
                    ("service", Shape::Name),
                    ("expect", Shape::Text),
                    ("same", Shape::Text),
                    ("reaches", Shape::Text),
                    ("command", Shape::Words),
                ],
                &["service", "command"],
            )),
        ),
        &("table", Shape::Keys(&ANSWER)),
        &("address", Shape::Text),
        &("api", Shape::Keys(&Listing::KEYS)),
    ],
};
