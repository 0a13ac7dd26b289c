//! Files with an option a line: `key = value`.

use super::{Piece, Syntax, unmarked};

/// The file that the pieces make.
pub(super) fn write(syntax: Syntax, pieces: &[Piece]) -> String {
    let (mut out, mut line) = (String::new(), Vec::new());
    for piece in pieces {
        let Piece::Text(text) = piece else {
            line.push(piece.clone());
            continue;
        };
        // A value is of the line that it is printed into; what stands between such lines is text as it is.
        let mut rest = text.as_str();
        if !line.is_empty()
            && let Some(at) = rest.find('\n')
        {
            line.push(Piece::Text(rest[..=at].to_owned()));
            put(syntax, &std::mem::take(&mut line), &mut out);
            rest = &rest[at + 1..];
        }
        if line.is_empty()
            && let Some(at) = rest.rfind('\n')
        {
            out.push_str(&rest[..=at]);
            rest = &rest[at + 1..];
        }
        if !rest.is_empty() {
            line.push(Piece::Text(rest.to_owned()));
        }
    }
    put(syntax, &line, &mut out);
    out
}

/// Adds a line.
fn put(syntax: Syntax, line: &[Piece], out: &mut String) {
    match split(syntax, line) {
        Some((head, value, tail)) => {
            out.push_str(&head);
            out.push_str(&option(syntax, &value));
            out.push_str(tail);
        }
        // A section, a comment, a name that is put together, or more of the value above.
        None => line.iter().for_each(|piece| match piece {
            Piece::Value(text, _) if is_more(line) => out.push_str(&escaped(syntax, text)),
            piece => out.push_str(piece.plain()),
        }),
    }
}

/// The line goes on with a value.
fn is_more(line: &[Piece]) -> bool {
    matches!(line.first(), Some(Piece::Text(text)) if unmarked(text).starts_with([' ', '\t']))
}

/// A line's key with what follows that, the pieces of its value, and what is behind that; nothing of another line.
fn split(syntax: Syntax, line: &[Piece]) -> Option<(String, Vec<Piece>, &str)> {
    if !line.iter().any(|piece| matches!(piece, Piece::Value(..))) {
        return None;
    }
    let ends_key = |c: char| c == '=' || syntax == Syntax::Oslo && c == ':';
    let found = |piece: &Piece| matches!(piece, Piece::Text(text) if text.contains(ends_key));
    let (key, value) = line.split_at(line.iter().position(found)?);
    let [Piece::Text(text), rest @ ..] = value else { return None };
    let at = text.find(ends_key)? + 1;
    let (end, begin) = text.split_at(at + text[at..].len() - text[at..].trim_start().len());
    let head = key.iter().map(Piece::plain).chain([end]).collect::<String>();
    let seen = unmarked(&head);
    if seen.trim_start().starts_with(['#', ';', '[']) || syntax == Syntax::Oslo && seen.starts_with([' ', '\t']) {
        return None;
    }
    let (mut value, mut tail) = ([&[Piece::Text(begin.to_owned())], rest].concat(), "");
    if let [.., Piece::Text(last)] = rest {
        let mut kept = last.trim_end();
        if let Some(comment) = kept.find('#').filter(|_| syntax == Syntax::OptionFile) {
            kept = kept[..comment].trim_end();
        }
        tail = &last[kept.len()..];
        value.pop();
        value.push(Piece::Text(kept.to_owned()));
    }
    Some((head, value, tail))
}

/// A value as it stands between the ends of an option's value, or of the quotes around that.
pub(super) fn escaped(syntax: Syntax, value: &str) -> String {
    match syntax {
        // `$$` is read as `$`, too, but not behind a backslash.
        Syntax::Oslo => value.replace('$', r"\$"),
        Syntax::OptionFile => value.chars().fold(String::new(), |mut out, c| {
            match c {
                '\\' | '"' | '\'' => out.extend(['\\', c]),
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c => out.push(c),
            }
            out
        }),
        _ => value.to_owned(),
    }
}

/// The value of an option, in quotes where it needs them to be what it is.
fn option(syntax: Syntax, value: &[Piece]) -> String {
    let written = |text_of: fn(&str) -> String| -> String {
        let written = value.iter().map(|piece| match piece {
            Piece::Text(text) => text_of(text),
            Piece::Value(text, _) => escaped(syntax, text),
        });
        written.collect()
    };
    let seen: Vec<Piece> = value
        .iter()
        .map(|piece| if let Piece::Text(text) = piece { Piece::Text(unmarked(text)) } else { piece.clone() })
        .filter(|piece| !piece.plain().is_empty())
        .collect();
    let whole: String = seen.iter().map(Piece::plain).collect();
    let quoted = whole.starts_with(['"', '\'']) && whole.chars().last() == whole.chars().next();
    // Quotes of the template's own.
    if quoted && matches!(&*seen, [Piece::Text(_), .., Piece::Text(_)]) {
        return written(str::to_owned);
    }
    let has = |signs: &[char]| seen.iter().any(|piece| matches!(piece, Piece::Value(text, _) if text.contains(signs)));
    let blank = whole.starts_with(char::is_whitespace) || whole.ends_with(char::is_whitespace);
    match syntax {
        Syntax::Oslo if blank || quoted => format!("\"{}\"", written(str::to_owned)),
        Syntax::OptionFile if blank || has(&['#', '"', '\'']) => {
            format!("\"{}\"", written(|text| text.replace('"', "\\\"")))
        }
        _ => written(str::to_owned),
    }
}
