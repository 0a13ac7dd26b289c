//! Answers of several hosts that must agree: a part that is the same for all, a number that all reach.

use std::collections::BTreeMap;

use regex::Regex;

use crate::plan::Asked;

/// What must agree.
pub(super) struct Agreement {
    same: Option<Regex>,
    reaches: Option<Regex>,
}

/// What a pattern is for in an answer: its group, or all of what it matches.
fn part<'a>(pattern: &Regex, answer: &'a str) -> Option<&'a str> {
    let found = pattern.captures(answer)?;
    found.get(1).or_else(|| found.get(0)).map(|part| part.as_str())
}

impl Agreement {
    /// Of a question's answers, if anything must.
    pub(super) fn of(ask: &Asked) -> Option<Self> {
        let Asked::Exec { same, reaches, .. } = ask else { return None };
        let pattern = |text: &Option<String>| text.as_deref().and_then(|text| Regex::new(text).ok());
        let (same, reaches) = (pattern(same), pattern(reaches));
        (same.is_some() || reaches.is_some()).then_some(Self { same, reaches })
    }

    fn number(&self, answer: &str) -> Option<u64> {
        part(self.reaches.as_ref()?, answer)?.parse().ok()
    }

    /// How far any host had come.
    pub(super) fn goal<'a>(&self, answers: impl Iterator<Item = &'a str>) -> Option<u64> {
        answers.filter_map(|answer| self.number(answer)).max()
    }

    /// Those that do not agree, and in what: not as most are, or behind the goal.
    pub(super) fn odd(&self, answers: &[&str], goal: Option<u64>) -> Vec<(usize, String)> {
        let same = |answer: &str| self.same.as_ref().and_then(|pattern| part(pattern, answer).map(str::to_owned));
        let mut counts: BTreeMap<Option<String>, usize> = BTreeMap::new();
        for answer in answers {
            *counts.entry(same(answer)).or_default() += 1;
        }
        let most = counts.into_iter().find(|(_, count)| count * 2 > answers.len()).map(|(value, _)| value);
        let why = |answer: &str| {
            if self.same.is_some() && (same(answer).is_none() || Some(same(answer)) != most) {
                return Some("not as the others".to_owned());
            }
            let goal = goal.filter(|goal| self.number(answer).is_none_or(|number| number < *goal))?;
            Some(format!("behind {goal}"))
        };
        answers.iter().enumerate().filter_map(|(place, answer)| Some((place, why(answer)?))).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::ReadOnly;
    use crate::plan::Place;

    fn odd(answers: &[&str], goal: Option<u64>) -> Vec<String> {
        let ask = Asked::Exec {
            place: Place { host: String::new(), container: String::new(), program: ReadOnly::default() },
            expect: None,
            same: Some("^cluster (\\S+),".into()),
            reaches: Some("position ([0-9]+)$".into()),
        };
        let agreement = Agreement::of(&ask).unwrap();
        let goal = goal.or_else(|| agreement.goal(answers.iter().copied()));
        agreement.odd(answers, goal).into_iter().map(|(place, why)| format!("{place} {why}")).collect()
    }

    #[test]
    fn members_that_differ_are_told() {
        let none = Vec::<String>::new();
        assert_eq!(odd(&["cluster a, position 7", "cluster a, position 7"], None), none);
        assert_eq!(
            odd(&["cluster a, position 7", "cluster a, position 5", "cluster a, position 7"], None),
            ["1 behind 7"]
        );
        // Asked again they may be further than any was: that is no difference.
        assert_eq!(odd(&["cluster a, position 9", "cluster a, position 7"], Some(7)), none);
        let one = ["cluster a, position 7", "cluster b, position 7", "cluster a, position 7"];
        assert_eq!(odd(&one, None), ["1 not as the others"]);
        // Without a majority nobody knows who is right.
        assert_eq!(odd(&["cluster a, position 7", "cluster b, position 7"], None).len(), 2);
        assert_eq!(odd(&["nonsense", "cluster a, position 7", "cluster a, position 7"], None), ["0 not as the others"]);
        assert_eq!(odd(&["cluster a, position 7"], None), none);
    }
}
