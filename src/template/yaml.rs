//! Values in files of YAML. Its readers do not agree on what quotes need, and a value may stand anywhere, also in a part of a
//! text. So the file is read with a word in the place of each value, and written anew with the values in it.

use minijinja::Error;
use serde_json::Value as Json;

use super::failure;
use crate::error::{InputError, Kind};
use crate::shell::syntax::Piece;
use crate::source::{Document, Style, dump};

/// Around the number of a value: a character of private use, which no template has.
const MARK: char = '\u{e003}';

/// The file that the pieces make.
pub(super) fn write(pieces: &[Piece]) -> Result<String, Error> {
    let (mut text, mut values) = (String::new(), Vec::new());
    for piece in pieces {
        match piece {
            Piece::Text(own) => text.push_str(own),
            Piece::Value(shown, data) => {
                let quoted = text.ends_with(['"', '\'']);
                text.extend([MARK.to_string(), values.len().to_string(), MARK.to_string()]);
                values.push((shown.as_str(), data.as_ref().filter(|_| !quoted)));
            }
        }
    }
    if values.is_empty() {
        return Ok(text);
    }
    let document = Document::parse("", &text).map_err(|error| {
        let error = InputError::new(format!("the template makes no YAML: {}", shown(&error.message, &values)));
        failure::wrap(error.of(Kind::Syntax), "")
    })?;
    let style = Style { sort: false, unicode: true, width: usize::MAX, ..Style::default() };
    Ok(dump(&filled(document.root.to_json(), &values), style))
}

/// A value with those that stand for parts of it.
fn filled(value: Json, values: &[(&str, Option<&Json>)]) -> Json {
    match value {
        Json::String(text) => {
            let number = text.strip_prefix(MARK).and_then(|rest| rest.strip_suffix(MARK));
            let data = number.and_then(|number| values.get(number.parse::<usize>().ok()?)?.1);
            data.cloned().unwrap_or_else(|| Json::String(shown(&text, values)))
        }
        Json::Array(items) => items.into_iter().map(|item| filled(item, values)).collect(),
        Json::Object(map) => map
            .into_iter()
            .map(|(key, item)| (shown(&key, values), filled(item, values)))
            .collect::<serde_json::Map<_, _>>()
            .into(),
        other => other,
    }
}

/// A text with what the words in it stand for.
fn shown(text: &str, values: &[(&str, Option<&Json>)]) -> String {
    let part = |(index, part): (usize, &str)| match part.parse::<usize>().ok().filter(|_| index % 2 == 1) {
        Some(number) => values.get(number).map_or_else(String::new, |(shown, _)| (*shown).to_owned()),
        None => part.to_owned(),
    };
    text.split(MARK).enumerate().map(part).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(template: &str, value: &str, data: Option<&Json>) -> String {
        let mut pieces = Vec::new();
        for (index, text) in template.split('@').enumerate() {
            if index > 0 {
                pieces.push(Piece::Value(value.to_owned(), data.cloned()));
            }
            pieces.push(Piece::Text(text.to_owned()));
        }
        write(&pieces).unwrap()
    }

    #[test]
    fn a_value_is_what_it_was_wherever_it_stands() {
        let signs: Vec<char> = (' '..='~').chain("\t\n\r\u{7f}\u{85}\u{a0}é漢😀\u{2028}\u{feff}".chars()).collect();
        let mut values: Vec<String> =
            signs.iter().flat_map(|c| [format!("{c}"), format!("{c}a"), format!("a{c}"), format!("a {c} b")]).collect();
        values.extend(
            ["", "1.10", "0123", "yes", "null", "~", "12:30:45", "a: b", "- a", "!x", "&a *a", "{{ x }}", "a\n\n b\n"]
                .map(str::to_owned),
        );
        let template = "a: @ # @\nb: \"@\"\nc: '@'\nd: x@y\ne: [@, 'x@']\nf:\n- k: @\n@k: 1\ng: |\n  x@\n";
        for value in &values {
            let read = Document::parse("", &file(template, value, None)).unwrap().root.to_json();
            let expected = serde_json::json!({
                "a": value, "b": value, "c": value, "d": format!("x{value}y"), "e": [value, format!("x{value}")],
                "f": [{"k": value}], format!("{value}k"): 1, "g": format!("x{value}\n"),
            });
            assert_eq!(read, expected, "{value:?}");
        }
    }

    #[test]
    fn what_is_no_text_keeps_its_kind_but_in_quotes() {
        assert_eq!(file("a: @\nb: '@'\nc: x@\n", "8", Some(&8.into())), "a: 8\nb: '8'\nc: x8\n");
        assert_eq!(file("a: @\n", "", Some(&serde_json::json!([1, {"b": null}]))), "a:\n- 1\n- b: null\n");
        // Where there is no value, the file stays as it is.
        assert_eq!(file("a: 1 # one\n", "", None), "a: 1 # one\n");
        let error = write(&[Piece::Text("a: [".into()), Piece::Value("x".into(), None)]).unwrap_err();
        assert!(error.to_string().contains("the template makes no YAML"), "{error}");
    }
}
