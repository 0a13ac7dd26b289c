//! Who starts a cluster, decided from what each member says: pure and total, so that its whole table is a test.
//!
//! Two rules stand over all others. Only the newest data start: how far data got is compared before any mark of who
//! stopped last, and nothing starts while that is not known of one that crashed. And nothing starts beside a cluster
//! that may be alive: a member that cannot be asked may be, whatever a variable says.

use crate::error::numbered;

/// How far a member's data got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Position {
    /// UUID of the cluster whose history it is; empty where it is of none.
    pub(super) cluster: String,
    pub(super) seqno: i64,
}

/// What one member says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Member {
    /// It cannot be asked, and nothing is seen of it.
    Silent,
    /// It cannot be asked, but accepts connections from other hosts.
    Alive,
    /// It runs, and a run that was killed had ordered its stop.
    Stopping,
    /// It runs, or starts over and over, and does not answer yet.
    Starting,
    /// It runs in a component with a majority, of so many members.
    Serving { cluster: String, size: usize },
    /// It runs in no such component: it lost the others, or waits for them.
    Outside { cluster: String },
    /// No data.
    Empty,
    /// Data without any word of a cluster: a restored backup, or those of a first start that was cut off.
    Bare,
    /// Stopped in order, and `last` where it noted that it was the last one.
    Stopped { position: Position, last: bool },
    /// Ended otherwise. Its program alone knows how far its data got, and tells when it is asked for that.
    Crashed { cluster: String, found: Option<Position> },
}

/// What messages call a cluster, and what helps.
#[derive(Debug, Clone, Copy)]
pub(super) struct Words<'a> {
    /// Its service.
    pub(super) service: &'a str,
    /// The command that recovers it.
    pub(super) recovery: &'a str,
    /// The variable by which the operator chooses who starts.
    pub(super) choice: &'a str,
}

impl Words<'_> {
    /// How the operator chooses who starts.
    fn choose(&self) -> String {
        format!("`{} -e {}=HOST`", self.recovery, self.choice)
    }
}

/// How a member's data are given up.
const GIVE_UP: &str = "remove their container and its volume: they then take a copy";

/// All that a decision is made from.
#[derive(Debug, Clone, Copy)]
pub(super) struct Case<'a> {
    /// What messages call it.
    pub(super) words: Words<'a>,
    /// Each member's name and word, in the order of the inventory.
    pub(super) members: &'a [(String, Member)],
    /// A recovery, which the operator asked for.
    pub(super) recover: bool,
    /// Whom the operator chose for this run.
    pub(super) chosen: Option<&'a str>,
    /// Those that run have had their time to find each other.
    pub(super) waited: bool,
}

/// What is to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    /// Nobody has to start: all join a cluster that is there, these by starting again.
    Join { why: String, again: Vec<String> },
    /// One starts the cluster, all others join it.
    Start { host: String, history: History, why: String },
    /// These are stopped and asked how far their data got, then it is decided again.
    Ask { whom: Vec<String>, why: String },
}

/// Why nothing is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Undecided {
    /// It may settle by itself.
    NotYet,
    /// Nothing may be started.
    Refused { why: String, hint: String },
}

/// Whose history a cluster goes on with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum History {
    /// None: it starts with data of no cluster, which are made where there are none.
    First,
    /// That of the member that starts.
    Continued,
    /// A new one, from the data of the member that starts. Others may have newer rows of the old one: they must not take
    /// this for its continuation, or what they hold would differ from then on without anybody knowing.
    Forked,
}

type Outcome = Result<Decision, Undecided>;

/// Decides.
pub(super) fn decide(case: &Case<'_>) -> Outcome {
    case.beside_a_cluster().or_else(|| case.running()).or_else(|| case.unasked()).unwrap_or_else(|| case.start())
}

fn refuse(why: impl Into<String>, hint: impl Into<String>) -> Outcome {
    Err(Undecided::Refused { why: why.into(), hint: hint.into() })
}

impl Member {
    /// In a word, what may change by itself while it runs; nothing of one that does not.
    pub(super) fn state(&self) -> &'static str {
        match self {
            Self::Stopping => "stopping",
            Self::Starting => "starting",
            Self::Serving { .. } => "serving",
            Self::Outside { .. } => "outside",
            _ => "",
        }
    }

    /// It runs, and nobody has seen it serve.
    fn runs(&self) -> bool {
        matches!(self, Self::Stopping | Self::Starting | Self::Outside { .. })
    }

    /// It has to be asked how far its data got, or stopped for that.
    fn asks(&self) -> bool {
        self.runs() || matches!(self, Self::Crashed { found: None, .. })
    }

    fn away(&self) -> bool {
        matches!(self, Self::Silent | Self::Alive)
    }

    /// The cluster whose history its data are, where that is known and they are of any.
    fn cluster(&self) -> Option<&str> {
        let cluster = match self {
            Self::Serving { cluster, .. } | Self::Outside { cluster } | Self::Crashed { cluster, found: None } => {
                cluster
            }
            Self::Stopped { position, .. } | Self::Crashed { found: Some(position), .. } => &position.cluster,
            _ => return None,
        };
        Some(cluster.as_str()).filter(|cluster| !cluster.is_empty())
    }

    /// How far its data got in the history of a cluster, and whether it noted that it stopped last.
    fn progress(&self) -> Option<(i64, bool)> {
        let (position, last) = match self {
            Self::Stopped { position, last } => (position, *last),
            Self::Crashed { found: Some(position), .. } => (position, false),
            _ => return None,
        };
        (!position.cluster.is_empty()).then_some((position.seqno, last))
    }
}

impl<'a> Case<'a> {
    fn names(&self, of: impl Fn(&Member) -> bool) -> Vec<&'a str> {
        self.members.iter().filter(|(_, member)| of(member)).map(|(name, _)| name.as_str()).collect()
    }

    /// The operator's choice counts in a recovery alone: left over elsewhere, it decides nothing.
    fn choice(&self) -> Option<&'a str> {
        self.chosen.filter(|_| self.recover)
    }

    /// Somebody serves: nothing is started, whatever else is true.
    fn beside_a_cluster(&self) -> Option<Outcome> {
        let serving: Vec<(&str, &str, usize)> = self
            .members
            .iter()
            .filter_map(|(name, member)| match member {
                Member::Serving { cluster, size } => Some((name.as_str(), cluster.as_str(), *size)),
                _ => None,
            })
            .collect();
        let (first, cluster, _) = *serving.first()?;
        // Members of one component all know of each other.
        if serving.iter().any(|(_, other, size)| *other != cluster || *size < serving.len()) {
            let each: Vec<String> = serving
                .iter()
                .map(|(name, cluster, size)| format!("{name} in {cluster} with {}", numbered(*size, "member")))
                .collect();
            return Some(if self.waited {
                refuse(
                    format!("several clusters of {} run at once: {}", self.words.service, each.join(", ")),
                    format!("stop the members of the one whose data are not wanted, and {GIVE_UP}"),
                )
            } else {
                Err(Undecided::NotYet)
            });
        }
        let strangers = self.names(|member| member.cluster().is_some_and(|other| other != cluster));
        // One that has just started does not know its own name yet.
        if !cluster.is_empty() && !strangers.is_empty() && self.choice().is_none() {
            return Some(refuse(
                format!(
                    "data of another cluster than the one that runs on {first} would be lost: those of {}",
                    strangers.join(", ")
                ),
                format!("look what they are; if they are not wanted, {GIVE_UP}"),
            ));
        }
        let again = self.names(|member| matches!(member, Member::Outside { .. }));
        if !again.is_empty() && !self.waited {
            return Some(Err(Undecided::NotYet));
        }
        let again = again.into_iter().map(str::to_owned).collect();
        Some(Ok(Decision::Join { why: format!("{first} is in a cluster with a majority"), again }))
    }

    /// Nobody is seen to serve, but some run.
    fn running(&self) -> Option<Outcome> {
        let alive = self.names(|member| *member == Member::Alive);
        if !alive.is_empty() {
            return Some(refuse(
                format!(
                    "{} cannot be asked, but its {} answers other hosts: it may serve",
                    alive.join(", "),
                    self.words.service
                ),
                "make the host reachable again: `kolla status` says why it is not",
            ));
        }
        let running = self.names(Member::runs);
        if running.is_empty() {
            return None;
        }
        if !self.waited {
            return Some(Err(Undecided::NotYet));
        }
        let silent = self.names(Member::away);
        let unclear = self.names(|member| matches!(member, Member::Starting | Member::Stopping));
        if !silent.is_empty() && !unclear.is_empty() {
            return Some(refuse(
                format!(
                    "{} starts and does not answer, and may be joining {}, which cannot be asked",
                    unclear.join(", "),
                    silent.join(", ")
                ),
                format!("bring {} back, or stop {} on {}", silent.join(", "), self.words.service, unclear.join(", ")),
            ));
        }
        (!self.recover).then(|| {
            refuse(
                format!(
                    "{} runs on {}, but no member is in a cluster with a majority",
                    self.words.service,
                    running.join(", ")
                ),
                format!(
                    "run `{}`: it stops these, and starts from the member with the newest data",
                    self.words.recovery
                ),
            )
        })
    }

    /// Some cannot be asked. Those that never had data do not count, because they may never have been part of it.
    fn unasked(&self) -> Option<Outcome> {
        let silent = self.names(Member::away);
        if silent.is_empty() {
            return None;
        }
        let parts = self.names(|member| *member != Member::Empty).len();
        let asked = parts - silent.len();
        let names = silent.join(", ");
        let gone = "take it out of the inventory if it is gone for good";
        if asked * 2 <= parts {
            return Some(refuse(
                format!(
                    "{asked} of {} that may have data can be asked: {names} may be alive",
                    numbered(parts, "member")
                ),
                format!("bring {names} back, or {gone}"),
            ));
        }
        self.choice().is_none().then(|| {
            refuse(
                format!("cannot tell which {} has the newest data: {names} cannot be asked", self.words.service),
                format!("bring {names} back, {gone}, or choose who starts with {}", self.words.choose()),
            )
        })
    }

    /// Nobody serves, and all that count can be asked.
    fn start(&self) -> Outcome {
        let running = self.names(Member::runs);
        if let Some(chosen) = self.choice() {
            return self.start_chosen(chosen, &running);
        }
        if !running.is_empty() {
            return Ok(ask(&self.names(Member::asks), "no member is in a cluster with a majority"));
        }
        let data = self.names(|member| *member != Member::Empty);
        match data[..] {
            [] if self.recover => {
                return refuse(
                    format!("no member of {} has data to recover from", self.words.service),
                    "restore a backup, or run `kolla deploy` where there never was any data",
                );
            }
            [] => {
                let Some((first, _)) = self.members.first() else {
                    return refuse(
                        format!("{} has no members", self.words.service),
                        "add hosts to its group in the inventory",
                    );
                };
                return Ok(start(first, History::First, "no member has data"));
            }
            [one] => {
                let known = self.members.iter().any(|(name, member)| name == one && member.cluster().is_some());
                let history = if known { History::Continued } else { History::First };
                return Ok(start(one, history, "it alone has data"));
            }
            _ => {}
        }
        self.furthest()
    }

    fn start_chosen(&self, chosen: &str, running: &[&str]) -> Outcome {
        let Some((_, member)) = self.members.iter().find(|(name, _)| name == chosen) else {
            let all: Vec<&str> = self.names(|_| true);
            return refuse(
                format!("`{}` is `{chosen}`, which is no member", self.words.choice),
                format!("members: {}", all.join(", ")),
            );
        };
        if member.away() {
            return refuse(
                format!("{chosen}, which was chosen, cannot be asked"),
                "bring it back, or choose another one",
            );
        }
        if *member == Member::Empty {
            return refuse(format!("{chosen}, which was chosen, has no data"), "choose another member");
        }
        if !running.is_empty() {
            return Ok(ask(running, "no member is in a cluster with a majority"));
        }
        // It would have been decided so, too.
        let all_asked = !self.members.iter().any(|(_, member)| member.away());
        let right = Case { chosen: None, ..*self }.start();
        let history = match right {
            Ok(Decision::Start { host, history, .. }) if all_asked && host == chosen => history,
            _ if *member == Member::Bare => History::First,
            _ => History::Forked,
        };
        Ok(start(chosen, history, "chosen by the operator"))
    }

    /// All were asked, none runs, and several have data.
    fn furthest(&self) -> Outcome {
        let mut clusters: Vec<&str> = self.members.iter().filter_map(|(_, member)| member.cluster()).collect();
        clusters.sort_unstable();
        clusters.dedup();
        let choose = format!("choose the one to keep with {}: the others take a copy", self.words.choose());
        if clusters.len() > 1 {
            let each: Vec<String> = self
                .members
                .iter()
                .filter_map(|(name, member)| Some(format!("{name} of {}", member.cluster()?)))
                .collect();
            return refuse(format!("the members' data are of different clusters: {}", each.join(", ")), choose);
        }
        let crashed = self.names(|member| matches!(member, Member::Crashed { found: None, .. }));
        if !crashed.is_empty() {
            return if self.recover {
                Ok(ask(&crashed, "its program alone knows how far its data got"))
            } else {
                refuse(
                    format!(
                        "nobody knows how far the data of {} got: {} crashed there",
                        crashed.join(", "),
                        self.words.service
                    ),
                    format!("run `{}`: it asks, and starts from the member with the newest data", self.words.recovery),
                )
            };
        }
        let bare = self.names(|member| *member == Member::Bare);
        let best = self
            .members
            .iter()
            .rev()
            .filter_map(|(name, member)| Some((member.progress()?, name)))
            .max_by_key(|it| it.0);
        match best {
            Some(_) if !bare.is_empty() => refuse(
                format!("{} has data of no cluster beside others that have: a restored backup?", bare.join(", ")),
                choose,
            ),
            Some(((seqno, last), host)) => {
                let why =
                    if last { "it stopped last".to_owned() } else { format!("its data got furthest, to {seqno}") };
                Ok(start(host, History::Continued, why))
            }
            None => {
                let all = self.names(|member| *member != Member::Empty).join(", ");
                refuse(format!("several members have data of no cluster: {all}"), choose)
            }
        }
    }
}

fn ask(whom: &[&str], why: &str) -> Decision {
    Decision::Ask { whom: whom.iter().map(ToString::to_string).collect(), why: why.into() }
}

fn start(host: &str, history: History, why: impl Into<String>) -> Decision {
    Decision::Start { host: host.to_owned(), history, why: why.into() }
}

#[cfg(test)]
mod tests;
