//! Filters over text.

use base64::Engine as _;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use minijinja::value::{Rest, ValueKind, ValueOrKwargs};
use minijinja::{Environment, Error, Value};
use percent_encoding::percent_decode_str;
use sha2::Digest as _;

use super::super::arguments::{entries, printed, room, split, text_of, wrong};
use super::super::methods::padded;
use crate::shell;

pub(super) fn add(environment: &mut Environment<'static>) {
    environment.add_filter("b64encode", |text: &Value| printed(text).map(|text| STANDARD.encode(text)));
    environment.add_filter("b64decode", decode);
    environment.add_filter("hash", |text: &Value, algorithm: Option<&str>| hash(text, algorithm.unwrap_or("sha1")));
    for (name, algorithm) in [("checksum", "sha1"), ("md5", "md5"), ("sha1", "sha1")] {
        environment.add_filter(name, move |text: &Value| hash(text, algorithm));
    }
    environment.add_filter("to_uuid", to_uuid);
    environment.add_filter("comment", comment);
    environment.add_filter("quote", |text: &Value| printed(text).map(|text| quote(&text)));
    environment.add_filter("replace", |text: &Value, from: &Value, to: &Value, count: Option<usize>| {
        let (text, from, to) = (printed(text)?, printed(from)?, printed(to)?);
        let count = count.unwrap_or(usize::MAX);
        let found = text.matches(&from).take(count).count();
        room(text.len().saturating_add(found.saturating_mul(to.len())))?;
        Ok::<_, Error>(text.replacen(&from, &to, count))
    });
    environment.add_filter("center", |text: &Value, width: Option<usize>| {
        printed(text).and_then(|text| padded(&text, width.unwrap_or(80), " ", "center"))
    });
    environment.add_filter("wordcount", |text: &Value| printed(text).map(|text| text.split_whitespace().count()));
    environment.add_filter("indent", indent);
    environment.add_filter("truncate", truncate);
    environment.add_filter("urldecode", |text: &Value| printed(text).map(|text| url_decoded(&text)));
    environment.add_filter("urlsplit", url_split);
    environment.add_filter("urlencode", url_encoded);
    for name in ["escape", "e"] {
        environment.add_filter(name, |text: &Value| {
            let text = printed(text)?.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            Ok::<_, Error>(text.replace('"', "&#34;").replace('\'', "&#39;"))
        });
    }
    environment.add_test("url", |text: &Value| {
        let text = printed(text)?;
        let host = text.split_once("://").map(|(_, rest)| rest.split('/').next().unwrap_or_default());
        Ok::<_, Error>(host.is_some_and(|host| !host.is_empty()))
    });
}

/// As Python reads base64: what is none of its characters is passed over.
fn decode(text: &Value) -> Result<String, Error> {
    let kept: String = printed(text)?.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/')).collect();
    let config = GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true);
    let bytes = GeneralPurpose::new(&ALPHABET, config)
        .decode(kept)
        .map_err(|error| wrong(format!("text is not base64: {error}")))?;
    String::from_utf8(bytes).map_err(|_| wrong("the decoded bytes are not text"))
}

fn hash(text: &Value, algorithm: &str) -> Result<String, Error> {
    let text = printed(text)?;
    match algorithm {
        "md5" => Ok(format!("{:x}", md5::compute(text))),
        "sha1" => Ok(hex::encode(sha1::Sha1::digest(text))),
        "sha224" => Ok(hex::encode(sha2::Sha224::digest(text))),
        "sha256" => Ok(hex::encode(sha2::Sha256::digest(text))),
        "sha384" => Ok(hex::encode(sha2::Sha384::digest(text))),
        "sha512" => Ok(hex::encode(sha2::Sha512::digest(text))),
        other => Err(wrong(format!("unknown hash `{other}`: use `sha1` or `sha256`"))),
    }
}

/// The UUID that follows from a text, of version 5.
fn to_uuid(text: &Value, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let (args, named) = split(rest)?;
    let namespace =
        args.first().map_or_else(|| named.get::<Option<Value>>("namespace"), |name| Ok(Some(name.clone())))?;
    named.assert_all_used()?;
    // Ansible's own.
    let namespace =
        namespace.map_or_else(|| "361e6d51-faec-444a-9079-341386da8e2e".to_owned(), |name| name.to_string());
    let within = uuid::Uuid::parse_str(&namespace).map_err(|_| wrong(format!("`{namespace}` is no UUID")))?;
    let digest = sha1::Sha1::new().chain_update(within).chain_update(printed(text)?).finalize();
    Ok(uuid::Builder::from_sha1_bytes(std::array::from_fn(|index| digest[index])).into_uuid().to_string())
}

/// Lines as a comment of some language, an empty one before and after them.
fn comment(text: &Value, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let text = printed(text)?;
    let (args, named) = split(rest)?;
    let style = args.first().map_or_else(|| named.get::<Option<Value>>("style"), |style| Ok(Some(style.clone())))?;
    let style = style.map_or_else(|| "plain".to_owned(), |style| style.to_string());
    let (beginning, decoration, end) = match style.as_str() {
        "plain" => ("", "# ", ""),
        "erlang" => ("", "% ", ""),
        "c" => ("", "// ", ""),
        "cblock" => ("/*", " * ", " */"),
        "xml" => ("<!--", " - ", "-->"),
        other => {
            return Err(wrong(format!("unknown style `{other}` of `comment`: use plain, erlang, c, cblock or xml")));
        }
    };
    let option = |name: &str, usual: &str| {
        named.get::<Option<Value>>(name).map(|value| value.map_or_else(|| usual.to_owned(), |value| value.to_string()))
    };
    let (beginning, decoration, end) =
        (option("beginning", beginning)?, option("decoration", decoration)?, option("end", end)?);
    let newline = option("newline", "\n")?;
    let bare = decoration.trim_end().to_owned();
    let (prefix, postfix) = (option("prefix", &bare)?, option("postfix", &bare)?);
    let count = |name: &str| named.get::<Option<usize>>(name).map(|count| count.unwrap_or(1));
    let (before, after) = (count("prefix_count")?, count("postfix_count")?);
    named.assert_all_used()?;
    let lines = text.split('\n').count().saturating_add(before).saturating_add(after);
    let line = decoration.len().max(prefix.len()).max(postfix.len()).saturating_add(newline.len()).max(1);
    room(text.len().saturating_add(lines.saturating_mul(line)))?;
    // The decoration of an empty line ends with a sign, but for the last one.
    let body = format!("{decoration}{}", text.replace('\n', &format!("{newline}{decoration}")));
    let body = body.replace(&format!("{decoration}{newline}"), &format!("{bare}{newline}"));
    let edge = |text: String| (!text.is_empty()).then_some(text);
    let all: Vec<String> = edge(beginning)
        .into_iter()
        .chain(std::iter::repeat_n(prefix, before))
        .chain([body])
        .chain(std::iter::repeat_n(postfix, after))
        .chain(edge(end))
        .collect();
    Ok(all.join(&newline))
}

/// As Python's `shlex.quote`.
fn quote(text: &str) -> String {
    let safe = |c: char| c.is_ascii_alphanumeric() || "_@%+=:,./-".contains(c);
    if !text.is_empty() && text.chars().all(safe) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\"'\"'"))
}

/// Spaces, or a text of its own, before all lines but the first and empty ones.
fn indent(text: &Value, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let text = printed(text)?;
    let (args, named) = split(rest)?;
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => named.get::<Option<Value>>(name),
    };
    let before = match argument(0, "width")? {
        Some(width) if width.as_str().is_some() => width.to_string(),
        width => " ".repeat(room(width.and_then(|width| width.as_usize()).unwrap_or(4))?),
    };
    room(text.len().saturating_add(before.len().saturating_mul(text.split('\n').count())))?;
    let first = argument(1, "first")?.is_some_and(|first| first.is_true());
    let blank = argument(2, "blank")?.is_some_and(|blank| blank.is_true());
    named.assert_all_used()?;
    let mut out = String::new();
    for (index, line) in text.split('\n').enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let wanted = if index == 0 { first } else { blank || !line.is_empty() };
        if wanted {
            out.push_str(&before);
        }
        out.push_str(line);
    }
    Ok(out)
}

/// Cut at a length, at a word's end unless words may be cut; a text that is hardly longer stays.
fn truncate(text: &Value, rest: Rest<ValueOrKwargs>) -> Result<String, Error> {
    let text = printed(text)?;
    let (args, named) = split(rest)?;
    let argument = |index: usize, name: &str| match args.get(index) {
        Some(value) => Ok(Some(value.clone())),
        None => named.get::<Option<Value>>(name),
    };
    let length = argument(0, "length")?.and_then(|length| length.as_usize()).unwrap_or(255);
    let cut_words = argument(1, "killwords")?.is_some_and(|cut| cut.is_true());
    let end = argument(2, "end")?.map_or_else(|| "...".to_owned(), |end| end.to_string());
    let leeway = argument(3, "leeway")?.and_then(|leeway| leeway.as_usize()).unwrap_or(5);
    named.assert_all_used()?;
    if text.chars().count() <= length.saturating_add(leeway) {
        return Ok(text);
    }
    let cut: String = text.chars().take(length.saturating_sub(end.chars().count())).collect();
    let cut = if cut_words { &cut[..] } else { cut.rsplit_once(' ').map_or(&cut[..], |(words, _)| words) };
    Ok(format!("{cut}{end}"))
}

/// A text as a part of a path, a mapping as a query.
fn url_encoded(value: &Value) -> Result<String, Error> {
    if value.kind() != ValueKind::Map {
        return printed(value).map(|text| shell::url_path(&text));
    }
    let encoded = |value: &Value| shell::url_segment(&text_of(value)).replace("%20", "+");
    let pairs = entries(value)?;
    Ok(pairs.iter().map(|(key, value)| format!("{}={}", encoded(key), encoded(value))).collect::<Vec<_>>().join("&"))
}

fn url_decoded(text: &str) -> String {
    percent_decode_str(&text.replace('+', " ")).decode_utf8_lossy().into_owned()
}

/// The parts of a URL, or the one that is asked for.
fn url_split(url: &Value, wanted: Option<&str>) -> Result<Value, Error> {
    let url = printed(url)?;
    let (url, fragment) = url.split_once('#').unwrap_or((&url, ""));
    let (url, query) = url.split_once('?').unwrap_or((url, ""));
    let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
    let (network, path) = match rest.find('/') {
        _ if scheme.is_empty() => ("", rest),
        Some(at) => rest.split_at(at),
        None => (rest, ""),
    };
    let (user, host) = network.rsplit_once('@').map_or((None, network), |(user, host)| (Some(user), host));
    let (name, port) = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => (name, Some(port)),
        _ => (host, None),
    };
    let some = |text: Option<&str>| text.map_or_else(|| Value::from(()), Value::from);
    let (user, password) = user.map_or((None, None), |user| {
        user.split_once(':').map_or((Some(user), None), |(user, password)| (Some(user), Some(password)))
    });
    let name = name.trim_matches(['[', ']']).to_lowercase();
    let parts = [
        ("fragment", Value::from(fragment)),
        ("hostname", some(Some(name.as_str()).filter(|name| !name.is_empty()))),
        ("netloc", Value::from(network)),
        ("password", some(password)),
        ("path", Value::from(path)),
        ("port", port.and_then(|port| port.parse::<u16>().ok()).map_or_else(|| Value::from(()), Value::from)),
        ("query", Value::from(query)),
        ("scheme", Value::from(scheme)),
        ("username", some(user)),
    ];
    let Some(wanted) = wanted else { return Ok(Value::from_pairs(parts)) };
    let found = parts.into_iter().find(|(name, _)| *name == wanted).map(|(_, value)| value);
    found.filter(|value| value.kind() != ValueKind::Undefined).ok_or_else(|| wrong(format!("a URL has no `{wanted}`")))
}
