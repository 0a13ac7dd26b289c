//! Whether a service does what it is for: a question asked until the answer is right or the time is over.

use std::time::Duration;

use async_trait::async_trait;
use regex::Regex;
use serde::{Deserialize, Serialize};

use super::retry::pause;
use super::{Diff, Operation, ProgressSink, View};
use crate::error::{Error, Result};
use crate::host::{HttpAsk, Observer, Reach, ReadOnly, Remote};
use crate::source::{Fields, Keys, Node, Shape};
use crate::template::Values;

/// A question and the answer that is right.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Probe {
    /// What is asked.
    pub ask: ProbeKind,
    /// What the answer's text must match; anything where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// Seconds to wait for it.
    pub within: u64,
}

/// Seconds that it waits where the role does not say.
const WITHIN: u64 = 60;

impl Probe {
    /// What is written of it.
    pub const KEYS: Keys = Keys {
        what: "a probe",
        all: &[("expect", Shape::Text), ("within", Shape::Text)],
        needed: &[],
        any_of: &[],
        one_of: &[&("http", Shape::Text), &("tcp", Shape::Text), &("exec", Shape::Words), &("healthy", Shape::Plain)],
    };
    /// A probe.
    pub const SHAPE: Shape = Shape::Defined("probe", &Self::KEYS);

    /// What is written, as a host sees it; running is enough where nothing is.
    pub fn resolve(node: Option<&Node>, values: &mut Values<'_>) -> Self {
        let Some(node) = node else { return Self { within: WITHIN, ..Self::default() } };
        let mut fields = Fields::of(values.document, node);
        let expect = fields.take("expect").and_then(|node| values.pattern(node));
        let within = fields.take("within").map_or(WITHIN, |node| values.seconds(node));
        let ask = if let Some(node) = fields.take("http") {
            http(node, values)
        } else if let Some(node) = fields.take("tcp") {
            let text = values.some_text(node);
            let (address, port) = text.map(|text| address(node, &text, values)).unwrap_or_default();
            ProbeKind::Tcp { address, port }
        } else if let Some(node) = fields.take("exec") {
            ProbeKind::Exec { argv: ReadOnly::declared(values.words(node)) }
        } else {
            ProbeKind::Healthy
        };
        Self { ask, expect, within }
    }
}

fn http(node: &Node, values: &mut Values<'_>) -> ProbeKind {
    let Some(text) = values.some_text(node) else { return ProbeKind::Running };
    let Some(rest) = text.strip_prefix("http://") else {
        values.fail(node, format!("`{text}` is no address that starts with `http://`"));
        return ProbeKind::Running;
    };
    let (server, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
    let (address, port) = address(node, server, values);
    ProbeKind::Http { address, port, path: if path.is_empty() { "/".into() } else { path.to_owned() } }
}

fn address(node: &Node, text: &str, values: &mut Values<'_>) -> (String, u16) {
    let parts = text.rsplit_once(':').and_then(|(address, port)| Some((address, port.parse::<u16>().ok()?)));
    let Some((address, port)) = parts else {
        values.fail(node, format!("`{text}` is no address with a port, as `10.0.0.1:80`"));
        return (String::new(), 0);
    };
    (address.trim_matches(['[', ']']).to_owned(), port)
}

/// What is asked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProbeKind {
    /// The container runs.
    #[default]
    Running,
    /// The engine's health check says healthy.
    Healthy,
    /// A GET answers with a status below 400.
    Http {
        /// Address as seen from the host.
        address: String,
        /// Port.
        port: u16,
        /// Path.
        path: String,
    },
    /// A connection is accepted.
    Tcp {
        /// Address as seen from the host.
        address: String,
        /// Port.
        port: u16,
    },
    /// A program in the container exits with 0.
    Exec {
        /// Its words.
        argv: ReadOnly,
    },
}

/// What one asking brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// As it should be.
    Right,
    /// Not yet; why.
    NotYet(String),
    /// The container ended.
    Ended {
        /// As the engine says it.
        why: String,
        /// The engine starts it again.
        restarts: bool,
    },
}

/// How long a container runs that is to do no more than that, until it counts as ready.
const STAYS: Duration = Duration::from_secs(5);
/// How long a container may start and end again: one that met a passing failure of another service gets a second
/// chance, one that cannot work is told soon.
const STARTS_AGAIN: Duration = Duration::from_secs(5);
/// How often it is looked whether a container still runs while its service is asked.
const STATE: Duration = Duration::from_secs(1);
/// What the last question gets, however late it comes.
const LAST_ASK: Duration = Duration::from_secs(5);

impl Probe {
    /// Asks once.
    ///
    /// # Errors
    /// When the host itself does not answer.
    pub async fn once(&self, host: &Observer, container: &str) -> Result<Answer> {
        let by_address = matches!(self.ask, ProbeKind::Http { .. } | ProbeKind::Tcp { .. });
        match if by_address { Answer::Right } else { self.of_state(host, container).await? } {
            Answer::Right => self.question(host, container).await,
            other => Ok(other),
        }
    }

    /// What the state of the container alone says.
    async fn of_state(&self, host: &Observer, container: &str) -> Result<Answer> {
        let Some(state) = host.containers().await?.remove(container) else {
            return Ok(Answer::Ended { why: "it is gone".into(), restarts: false });
        };
        if ["restarting", "exited", "dead"].contains(&state.state.as_str()) {
            let restarts = state.state == "restarting";
            return Ok(Answer::Ended { why: state.status.to_lowercase(), restarts });
        }
        if self.ask == ProbeKind::Healthy && !state.status.contains("(healthy)") {
            return Ok(Answer::NotYet(state.status.to_lowercase()));
        }
        Ok(Answer::Right)
    }

    /// What the service says.
    async fn question(&self, host: &Observer, container: &str) -> Result<Answer> {
        match &self.ask {
            ProbeKind::Running | ProbeKind::Healthy => Ok(Answer::Right),
            ProbeKind::Tcp { address, port } => Ok(match host.reach(address, *port, Duration::from_secs(3)).await? {
                Reach::Open => Answer::Right,
                other => Answer::NotYet(format!("{address}:{port}: {}", reach_text(other))),
            }),
            ProbeKind::Http { address, port, path } => {
                let ask = HttpAsk { address: address.clone(), port: *port, path: path.clone(), ..HttpAsk::default() };
                Ok(match host.get(&ask, Duration::from_secs(5)).await {
                    Ok(answer) if answer.status < 400 => {
                        self.judge(&format!("GET {path}"), &String::from_utf8_lossy(&answer.body))
                    }
                    Ok(answer) => Answer::NotYet(format!("GET http://{address}:{port}{path}: {}", answer.status)),
                    Err(error) => Answer::NotYet(format!("GET http://{address}:{port}{path}: {error}")),
                })
            }
            ProbeKind::Exec { argv } => {
                let output = match host.probe(container, argv).await {
                    Ok(output) => output,
                    // The container may have ended between the two questions.
                    Err(error) => return Ok(Answer::NotYet(error.to_string())),
                };
                let name = argv.argv().first().map_or("", String::as_str);
                if output.code == 0 {
                    return Ok(self.judge(name, &output.text()));
                }
                let said = format!("{}{}", output.stderr, output.text());
                let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("nothing said");
                Ok(Answer::NotYet(format!("{name}: exit code {}: {}", output.code, said.trim())))
            }
        }
    }

    fn judge(&self, what: &str, text: &str) -> Answer {
        match self.expect.as_deref().map(Regex::new) {
            None => Answer::Right,
            Some(Ok(pattern)) if pattern.is_match(text) => Answer::Right,
            Some(Ok(pattern)) => {
                let said: String = text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(120).collect();
                Answer::NotYet(format!("{what}: expected `{pattern}`, got `{said}`"))
            }
            Some(Err(error)) => Answer::NotYet(error.to_string()),
        }
    }

    /// Asks until the answer is right, the container ended, or the time is over.
    ///
    /// # Errors
    /// When the host itself does not answer. A wrong answer is no error here: the last one is returned.
    pub async fn until_right(&self, host: &Observer, container: &str) -> Result<Answer> {
        self.until_right_telling(host, container, &ProgressSink::nobody()).await
    }

    /// The same, and tells what it waits for.
    ///
    /// # Errors
    /// When the host itself does not answer.
    pub async fn until_right_telling(
        &self,
        host: &Observer,
        container: &str,
        progress: &ProgressSink,
    ) -> Result<Answer> {
        let mut told = String::new();
        let begin = tokio::time::Instant::now();
        let end = begin + Duration::from_secs(self.within);
        let (mut up_since, mut first_end, mut state_asked) = (begin, None, None);
        loop {
            let asked = tokio::time::Instant::now();
            let mut answer = Answer::Right;
            // A container that ended will never answer: noticed at once, not when the time is over.
            let asks_service = !matches!(self.ask, ProbeKind::Running | ProbeKind::Healthy);
            if !asks_service || state_asked.is_none_or(|last| asked >= last + STATE) {
                answer = self.of_state(host, container).await?;
                state_asked = Some(asked);
            }
            if answer == Answer::Right && asks_service {
                let limit = end.max(tokio::time::Instant::now() + LAST_ASK);
                let question = tokio::time::timeout_at(limit, self.question(host, container)).await;
                answer = question.unwrap_or_else(|_| Ok(Answer::NotYet("no answer".into())))?;
            }
            let now = tokio::time::Instant::now();
            let pause = pause(now - begin, now - asked);
            let over = now + pause > end;
            let settled = match &answer {
                // What is only to run has to have run for a while: any program does for a moment.
                Answer::Right => self.ask != ProbeKind::Running || now >= up_since + STAYS,
                Answer::NotYet(_) => over,
                Answer::Ended { restarts: true, .. } => {
                    up_since = now;
                    over || now >= *first_end.get_or_insert(now) + STARTS_AGAIN
                }
                Answer::Ended { .. } => true,
            };
            if settled {
                return Ok(answer);
            }
            if let Answer::NotYet(why) = answer
                && why != told
            {
                progress.waiting(&why);
                told = why;
            }
            tokio::time::sleep(pause).await;
        }
    }
}

fn reach_text(reach: Reach) -> &'static str {
    match reach {
        Reach::Open => "open",
        Reach::Refused => "connection refused",
        Reach::TimedOut => "no answer",
        Reach::Unknown => "cannot be tried",
    }
}

/// A service that answers as it should, asked without waiting: what `check` is made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Ready {
    /// Its container.
    pub container: String,
    /// The question.
    pub probe: Probe,
}

#[async_trait]
impl Operation for Ready {
    fn subject(&self) -> String {
        format!("ready {}", self.container)
    }

    async fn diff(&self, at: &View) -> Result<Diff> {
        match at.me.container(&self.container) {
            None => return Err(Error::operation(format!("container {} is not there", self.container))),
            Some(state) if !state.running() => {
                return Err(Error::operation(format!("container {} is {}", self.container, state.state)));
            }
            Some(state) if state.unhealthy() => {
                return Err(Error::operation(format!("container {} is unhealthy", self.container)));
            }
            Some(_) => {}
        }
        match self.probe.once(at.host(), &self.container).await? {
            Answer::Right => Ok(Diff::Same("answers".into())),
            Answer::NotYet(why) | Answer::Ended { why, .. } => {
                Err(Error::operation(format!("{} does not answer as it should: {why}", self.container))
                    .with_hint(format!("`kolla logs {} {}`", at.host().name(), self.container)))
            }
        }
    }

    async fn apply(&self, _diff: &Diff, _at: &View, _host: &Remote, _sink: &ProgressSink) -> Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{Instant, sleep};

    use super::*;
    use crate::host::ContainerSpec;
    use crate::host::fake::{Behaviour, Fake};

    /// A container that the engine starts again and again, and what was asked of it for a minute at most.
    async fn starting(heals: Option<Duration>) -> (Answer, Duration) {
        let fake = Fake::new("control01");
        let image = fake.world().publish("reg:4000/kolla/toy:1", "toy");
        let host = Remote::new(fake.machine());
        host.act().pull("reg:4000/kolla/toy:1", None, &|_, _| {}).await.unwrap();
        let spec = ContainerSpec { name: "toy".into(), image, restart: true, ..ContainerSpec::default() };
        host.act().create(&spec).await.unwrap();
        fake.behave_once("toy", Behaviour::exits(1, "no answer from Keystone"));
        host.act().start("toy").await.unwrap();
        let begin = Instant::now();
        let probe = Probe { within: 60, ..Probe::default() };
        let heal = async {
            if let Some(after) = heals {
                sleep(after).await;
                host.act().start("toy").await.unwrap();
            }
        };
        let (answer, ()) = tokio::join!(probe.until_right(&host, "toy"), heal);
        (answer.unwrap(), begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_once_gets_a_second_chance() {
        let (answer, took) = starting(Some(Duration::from_secs(2))).await;
        assert_eq!(answer, Answer::Right);
        // It was last seen down in the second before it came back.
        assert!(took >= Duration::from_secs(1) + STAYS, "it was called ready after {took:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_ends_again_and_again_is_given_up_soon() {
        let (answer, took) = starting(None).await;
        assert!(matches!(answer, Answer::Ended { restarts: true, .. }), "{answer:?}");
        assert!(took < STARTS_AGAIN + Duration::from_secs(1), "only after {took:?}");
    }
}
