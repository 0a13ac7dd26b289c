//! Words of inventory lines, quoted as in a shell.

/// A word of a line and its column, from 1.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Word {
    pub(super) text: String,
    pub(super) column: usize,
}

/// The words of a line, quotes taken off, up to a `#`.
///
/// # Errors
/// The column of a quotation that is not closed.
pub(super) fn split(line: &str) -> Result<Vec<Word>, usize> {
    let mut words: Vec<Word> = Vec::new();
    let mut word: Option<Word> = None;
    let mut characters = line.chars().enumerate().peekable();
    while let Some((index, c)) = characters.next() {
        let column = index + 1;
        match c {
            '#' => break,
            c if c.is_whitespace() => words.extend(word.take()),
            '\'' | '"' => {
                let word = word.get_or_insert_with(|| Word { text: String::new(), column });
                loop {
                    match characters.next() {
                        Some((_, end)) if end == c => break,
                        Some((_, '\\')) if c == '"' => match characters.next() {
                            Some((_, next @ ('"' | '\\'))) => word.text.push(next),
                            Some((_, next)) => word.text.extend(['\\', next]),
                            None => return Err(column),
                        },
                        Some((_, inner)) => word.text.push(inner),
                        None => return Err(column),
                    }
                }
            }
            '\\' => {
                let word = word.get_or_insert_with(|| Word { text: String::new(), column });
                word.text.extend(characters.next().map(|(_, next)| next));
            }
            c => word.get_or_insert_with(|| Word { text: String::new(), column }).text.push(c),
        }
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_split_as_a_shell_does() {
        let split = |line| split(line).unwrap().into_iter().map(|word| word.text).collect::<Vec<_>>();
        assert_eq!(split("a  b=\"c d\" e='f \"g\"' # h"), ["a", "b=c d", "e=f \"g\""]);
        assert_eq!(split(r#"a="x\"y" b=c\ d"#), ["a=x\"y", "b=c d"]);
        assert_eq!(super::split("a b='c").unwrap_err(), 5);
    }
}
