//! Which name was meant by a misspelt one.

/// Bytes beyond which nothing is a misspelt name.
const LONGEST_NAME: usize = 100;

/// Many names, among which the nearest to a word is found quickly.
pub struct Names<'a>(Vec<(&'a str, Letters)>);

impl<'a> Names<'a> {
    /// The names.
    pub fn of(names: impl IntoIterator<Item = &'a str>) -> Self {
        Self(names.into_iter().map(|name| (name, Letters::of(name))).collect())
    }

    /// The name nearest to `word`, at most `limit` slips away.
    pub fn nearest(&self, word: &str, limit: usize) -> Option<&'a str> {
        let letters = Letters::of(word);
        let alike = |(name, of_name): &&(&str, Letters)| {
            name.len().abs_diff(word.len()) <= limit && letters.near(of_name, limit)
        };
        let near = self.0.iter().filter(alike).map(|(name, _)| (distance(word, name), *name));
        near.filter(|(distance, _)| *distance <= limit).min().map(|(_, name)| name)
    }
}

/// How often each letter stands in a word: a slip takes one letter away, brings one, or both.
struct Letters {
    /// Which there are at all, which tells most words apart at once.
    present: u64,
    counts: [u8; 64],
}

impl Letters {
    fn of(word: &str) -> Self {
        let (mut present, mut counts) = (0_u64, [0_u8; 64]);
        for letter in word.chars() {
            let index = letter as usize % 64;
            present |= 1 << index;
            counts[index] = counts[index].saturating_add(1);
        }
        Self { present, counts }
    }

    /// There may be as few slips between the words.
    fn near(&self, other: &Self, limit: usize) -> bool {
        let lacks = |a: &Self, b: &Self| (a.present & !b.present).count_ones() as usize;
        let more = |a: &Self, b: &Self| {
            a.counts.iter().zip(b.counts).map(|(a, b)| usize::from(a.saturating_sub(b))).sum::<usize>()
        };
        [lacks, more].iter().all(|missing| missing(self, other) <= limit && missing(other, self) <= limit)
    }
}

/// The name nearest to `word`, if one is near enough to be meant.
pub fn nearest<'a>(word: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    names
        .into_iter()
        .filter(|name| name.len().max(word.len()) <= LONGEST_NAME)
        .map(|name| (distance(word, name), name))
        .filter(|(distance, name)| *distance <= 1 + name.len().min(word.len()) / 4)
        .min_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.cmp(b.1)))
        .map(|(_, name)| name)
}

/// Edit distance in which swapping two neighbours counts once.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names_a_swapped_letter_but_not_a_stranger() {
        let names = ["glance_api_port", "keystone_port", "enable_glance"];
        assert_eq!(nearest("glance_api_prot", names), Some("glance_api_port"));
        assert_eq!(nearest("something_else", names), None);
        let long = "a".repeat(101);
        assert_eq!(nearest(&long, [long.as_str()]), None);
    }

    #[test]
    fn the_nearest_of_many_is_at_most_so_many_slips_away() {
        let names = Names::of(["glance_api_port", "keystone_port", "enable_glance"]);
        for (word, limit, near) in [
            ("glance_api_prot", 1, Some("glance_api_port")),
            ("glance_ap_prot", 1, None),
            ("glance_ap_prot", 2, Some("glance_api_port")),
            ("enable_glans", 2, Some("enable_glance")),
            ("enable_dance", 1, None),
        ] {
            assert_eq!(names.nearest(word, limit), near, "{word}");
        }
    }
}
