//! Which keys a role may have, and what stands under them. The parser is the authority: a test holds this against it.

/// What a value looks like. Where a template may stand, any text may.
#[derive(Debug)]
pub(super) enum Shape {
    /// Anything.
    Any,
    /// Text or a number.
    Text,
    /// Text, a number or a truth value.
    Value,
    /// True, false or a template.
    Flag,
    /// True or false.
    Plain,
    /// A whole number.
    Number,
    /// A number.
    Decimal,
    /// Permissions in octal, quoted.
    Mode,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Words: a list, or text with spaces.
    Words,
    /// One, or a list.
    Some(&'static Shape),
    /// A list.
    List(&'static Shape),
    /// A mapping with keys of the operator's choice.
    Named(&'static Shape),
    /// A mapping with fixed keys.
    Keys(&'static Keys),
    /// The same, described once under a name.
    Defined(&'static str),
    /// Either.
    Either(&'static Shape, &'static Shape),
    /// One of the checks.
    Check,
    /// What a variable may hold.
    Rule,
}

/// A mapping with fixed keys.
#[derive(Debug)]
pub(super) struct Keys {
    /// What may be there.
    pub(super) all: &'static [(&'static str, Shape)],
    /// What must be there.
    pub(super) needed: &'static [&'static str],
    /// Exactly one of these is there.
    pub(super) one_of: &'static [&'static str],
}

const fn keys(all: &'static [(&'static str, Shape)], needed: &'static [&'static str]) -> Keys {
    Keys { all, needed, one_of: &[] }
}

pub(super) const RANGE: Keys = keys(&[("from", Shape::Decimal), ("to", Shape::Decimal)], &["from", "to"]);

pub(super) const FILE: Keys = Keys {
    all: &[
        ("template", Shape::Some(&Shape::Text)),
        ("content", Shape::Any),
        ("given", Shape::Some(&Shape::Text)),
        ("to", Shape::Text),
        ("override", Shape::Text),
        ("owner", Shape::Text),
        ("mode", Shape::Mode),
        ("merge", Shape::Word(&["ini", "oslo", "yaml"])),
        ("with", Shape::Named(&Shape::Any)),
        ("when", Shape::Flag),
    ],
    needed: &["to"],
    one_of: &["template", "content", "given"],
};

const A_FILE: Shape = Shape::Defined("file");

pub(super) const PROBE: Keys = Keys {
    all: &[
        ("http", Shape::Text),
        ("tcp", Shape::Text),
        ("exec", Shape::Words),
        ("healthy", Shape::Plain),
        ("expect", Shape::Text),
        ("within", Shape::Text),
    ],
    needed: &[],
    one_of: &["http", "tcp", "exec", "healthy"],
};

const A_PROBE: Shape = Shape::Defined("probe");

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

/// Names with values, as an environment has them.
const VALUES: Shape = Shape::Named(&Shape::Value);

pub(super) const SERVICE: Keys = keys(
    &[
        ("group", Shape::Text),
        ("when", Shape::Flag),
        ("container", Shape::Text),
        ("image", Shape::Text),
        ("command", Shape::Text),
        ("rolling", Shape::Number),
        ("last", Shape::Either(&Shape::Flag, &A_PROBE)),
        ("cluster", Shape::Keys(&keys(&[("galera", Shape::Keys(&keys(&[("bootstrap", VALUES)], &[])))], &["galera"]))),
        ("files", Shape::List(&A_FILE)),
        (
            "permissions",
            Shape::List(&Shape::Keys(&keys(
                &[("path", Shape::Text), ("owner", Shape::Text), ("recurse", Shape::Plain)],
                &["path", "owner"],
            ))),
        ),
        ("volumes", Shape::List(&Shape::Text)),
        ("env", VALUES),
        ("ready", A_PROBE),
        ("before_replace", A_PROBE),
        ("before_remove", Shape::Words),
        ("reload", Shape::Words),
        ("validate", Shape::Words),
        ("proxy", Shape::Keys(&PROXY)),
        ("balances", Shape::Text),
        ("after_steps", Shape::Plain),
        ("balancer", Shape::Keys(&keys(&[("ask", Shape::Words), ("tell", Shape::Words)], &["ask"]))),
        ("sql", Shape::Words),
        (
            "management",
            Shape::Keys(&keys(
                &[("address", Shape::Text), ("port", Shape::Text), ("user", Shape::Text), ("password", Shape::Text)],
                &["address", "port", "user", "password"],
            )),
        ),
        (
            "identity",
            Shape::Keys(&keys(
                &[
                    ("address", Shape::Text),
                    ("port", Shape::Text),
                    ("user", Shape::Text),
                    ("project", Shape::Text),
                    ("region", Shape::Text),
                    ("password", Shape::Text),
                ],
                &["address", "port", "user", "project", "region", "password"],
            )),
        ),
        ("privileged", Shape::Plain),
        ("cap_add", Shape::List(&Shape::Text)),
        ("security_opt", Shape::List(&Shape::Text)),
        ("pid", Shape::Text),
        ("ipc", Shape::Text),
        ("cgroupns", Shape::Text),
        ("tmpfs", Shape::List(&Shape::Text)),
        ("user", Shape::Text),
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
    &[],
);

const EXEC: Shape = Shape::Keys(&keys(
    &[("service", Shape::Text), ("command", Shape::Words), ("unless", Shape::Words)],
    &["service", "command", "unless"],
));

pub(super) const STEP: Keys = Keys {
    all: &[
        ("when", Shape::Word(&["before", "ready"])),
        ("if", Shape::Flag),
        ("needs", Shape::List(&Shape::Text)),
        (
            "database",
            Shape::Keys(&keys(
                &[("name", Shape::Text), ("user", Shape::Text), ("password", Shape::Text), ("grants", Shape::Text)],
                &["user", "password"],
            )),
        ),
        (
            "message_queue",
            Shape::Keys(&keys(
                &[("vhost", Shape::Text), ("user", Shape::Text), ("password", Shape::Text), ("tags", Shape::Words)],
                &["user", "password"],
            )),
        ),
        (
            "catalog",
            Shape::Keys(&keys(
                &[
                    ("service", Shape::Text),
                    ("type", Shape::Text),
                    ("user", Shape::Text),
                    ("password", Shape::Text),
                    ("project", Shape::Text),
                    ("internal", Shape::Text),
                    ("public", Shape::Text),
                    ("roles", Shape::Words),
                ],
                &[],
            )),
        ),
        (
            "task",
            Shape::Keys(&keys(
                &[("service", Shape::Text), ("name", Shape::Text), ("command", Shape::Words), ("env", VALUES)],
                &["service"],
            )),
        ),
        ("exec", EXEC),
    ],
    needed: &[],
    one_of: &["database", "message_queue", "catalog", "task", "exec"],
};

pub(super) const STATUS: Keys = Keys {
    all: &[
        ("about", Shape::Text),
        ("if", Shape::Flag),
        (
            "exec",
            Shape::Keys(&keys(
                &[
                    ("service", Shape::Text),
                    ("expect", Shape::Text),
                    ("same", Shape::Text),
                    ("reaches", Shape::Text),
                    ("command", Shape::Words),
                ],
                &["service", "command"],
            )),
        ),
        ("address", Shape::Text),
        (
            "api",
            Shape::Keys(&keys(
                &[
                    ("type", Shape::Text),
                    ("path", Shape::Text),
                    ("host", Shape::Text),
                    ("name", Shape::Text),
                    ("state", Shape::Text),
                ],
                &["type", "path", "host", "name", "state"],
            )),
        ),
    ],
    needed: &["about"],
    one_of: &["exec", "address", "api"],
};

pub(super) const HOST_ITEM: Keys = Keys {
    all: &[
        ("group", Shape::Text),
        ("when", Shape::Flag),
        ("serial", Shape::Number),
        ("packages", Shape::Some(&Shape::Text)),
        ("sysctl", Shape::Either(&VALUES, &Shape::Text)),
        ("file", A_FILE),
        ("block", Shape::Keys(&keys(&[("path", Shape::Text), ("content", Shape::Text)], &["path", "content"]))),
        (
            "unit",
            Shape::Keys(&keys(
                &[("name", Shape::Text), ("files", Shape::List(&A_FILE)), ("validate", Shape::Words)],
                &["name"],
            )),
        ),
    ],
    needed: &[],
    one_of: &["packages", "sysctl", "file", "block", "unit"],
};

/// What checks take that take a mapping; all others take a value or a list.
pub(super) const CHECKS_OF_KEYS: &[(&str, Keys)] = &[
    ("port_free", keys(&[("port", Shape::Text), ("container", Shape::Text)], &["port", "container"])),
    ("vip", keys(&[("address", Shape::Text), ("interface", Shape::Text)], &["address", "interface"])),
];
