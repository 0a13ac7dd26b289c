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
        let alike = self.0.iter().filter(|(_, of_name)| letters.near(of_name, limit));
        best(word, alike.map(|(name, _)| (*name, limit)))
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
    let names = names.into_iter().filter(|name| name.len().max(word.len()) <= LONGEST_NAME);
    best(word, names.map(|name| (name, 1 + name.len().min(word.len()) / 4)))
}

/// The numbers in a name, as `1` of `control01`: with other ones it is the name of something else, and no slip.
fn numbers(name: &str) -> impl Iterator<Item = &str> {
    let digits = name.split(|c: char| !c.is_ascii_digit()).filter(|digits| !digits.is_empty());
    digits.map(|digits| digits.trim_start_matches('0'))
}

/// Of names that may be so many slips away each, the nearest one, the first by its letters where there are several.
fn best<'a>(word: &str, names: impl Iterator<Item = (&'a str, usize)>) -> Option<&'a str> {
    let same = |name: &&str| numbers(name).eq(numbers(word));
    let names = names.filter(|(name, _)| same(name));
    let word: Vec<char> = word.chars().collect();
    let mut found: Option<(usize, &str)> = None;
    for (name, limit) in names {
        // One that is farther than what was found need not be measured.
        let limit = found.map_or(limit, |(distance, _)| limit.min(distance));
        let chars: Vec<char> = name.chars().collect();
        if let Some(distance) = distance(&word, &chars, limit)
            && found.is_none_or(|best| (distance, name) < best)
        {
            found = Some((distance, name));
        }
    }
    found.map(|(_, name)| name)
}

/// Edit distance in which swapping two neighbours counts once, if it is at most `limit`.
fn distance(a: &[char], b: &[char], limit: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > limit {
        return None;
    }
    let far = limit + 1;
    // Rows by prefixes of `a`, of which only what is at most `limit` off the diagonal can count.
    let mut rows = [vec![far; b.len() + 1], (0..=b.len()).collect::<Vec<usize>>(), vec![far; b.len() + 1]];
    for i in 1..=a.len() {
        let (first, last) = (i.saturating_sub(limit).max(1), (i + limit).min(b.len()));
        let [before, above, row] = &mut rows;
        row.fill(far);
        row[0] = i;
        for j in first..=last {
            let cost = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (above[j] + 1).min(row[j - 1] + 1).min(above[j - 1] + cost);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row[j] = best;
        }
        if row.iter().all(|distance| *distance > limit) {
            return None;
        }
        rows.rotate_left(1);
    }
    Some(rows[1][b.len()]).filter(|distance| *distance <= limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_names_a_swapped_letter_but_not_a_stranger() {
        let names = ["glance_api_port", "keystone_port", "enable_glance"];
        assert_eq!(nearest("glance_api_prot", names), Some("glance_api_port"));
        assert_eq!(nearest("something_else", names), None);
        // Of several that are as near, always the same one.
        assert_eq!(nearest("port_c", ["port_b", "port_a"]), Some("port_a"));
        assert_eq!(nearest("zzz", ["zz", "zzzz", "zzzx", "aaa"]), Some("zz"));
        for (word, name) in [("ab", "ba"), ("a", ""), ("ca", "abc"), ("key", "keys"), ("\u{e9}t\u{e9}", "ete")] {
            let (word, name): (Vec<char>, Vec<char>) = (word.chars().collect(), name.chars().collect());
            let whole = distance(&word, &name, 9).unwrap();
            assert_eq!((distance(&word, &name, whole), distance(&word, &name, whole - 1)), (Some(whole), None));
        }
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
