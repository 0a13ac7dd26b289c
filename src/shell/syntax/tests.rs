use super::*;

fn text(text: &str) -> Piece {
    Piece::Text(text.to_owned())
}

fn value(text: &str) -> Piece {
    Piece::Value(text.to_owned(), None)
}

/// A line with the value where `@` stands.
fn line(syntax: Syntax, line: &str, it: &str) -> String {
    let (before, after) = line.split_once('@').unwrap();
    syntax.write(&[text(before), value(it), text(after)])
}

#[test]
fn an_option_of_oslo_is_read_as_it_was() {
    let written = |it: &str| line(Syntax::Oslo, "[a]\npassword = @\nb = $my_ip\n", it);
    for (it, expected) in [
        ("plain", "plain"),
        ("a$b$$", r"a\$b\$\$"),
        (r"a\$b", r"a\\$b"),
        (" a ", "\" a \""),
        ("\"", "\"\"\""),
        ("'a'", "\"'a'\""),
        ("'a\"", "'a\""),
        ("#;%{{", "#;%{{"),
    ] {
        assert_eq!(written(it), format!("[a]\npassword = {expected}\nb = $my_ip\n"), "{it}");
    }
    assert_eq!(line(Syntax::Oslo, "a = \"@\"", " '"), "a = \" '\"");
    assert_eq!(line(Syntax::Oslo, "# @\n", "$"), "# $\n");
    assert_eq!(line(Syntax::Oslo, "a = 1\n    @\n", "$"), "a = 1\n    \\$\n");
    assert_eq!(line(Syntax::Oslo, "a = x://u:@@h", "$ "), "a = x://u:\\$ @h");
    let named = [value("a$"), text(" = "), value(" $"), text("\nb = x\n"), value("c = $")];
    assert_eq!(Syntax::Oslo.write(&named), "a$ = \" \\$\"\nb = x\nc = $");
    // Marks of lines are not seen.
    let marked = [text("\u{e000}2\u{e001}a = \u{e000}2\u{e001}"), value(" $"), text("\n")];
    assert_eq!(Syntax::Oslo.write(&marked), "\u{e000}2\u{e001}a = \"\u{e000}2\u{e001} \\$\"\n");
}

#[test]
fn an_option_of_mariadb_is_read_as_it_was() {
    for (template, it, expected) in [
        ("a = @\n", "b c;d", "a = b c;d\n"),
        ("a = @\n", "b#c", "a = \"b#c\"\n"),
        ("a = u:@ # comment\n", "'\"\\\n", "a = \"u:\\'\\\"\\\\\\n\" # comment\n"),
        ("a = \"x @ y\"\n", "\"#", "a = \"x \\\"# y\"\n"),
        ("a = @\n", " b", "a = \" b\"\n"),
        ("a = @\n", "b\\", "a = b\\\\\n"),
    ] {
        assert_eq!(line(Syntax::OptionFile, template, it), expected, "{it}");
    }
}

#[test]
fn a_word_is_quoted_where_it_stands() {
    for (syntax, template, it, expected) in [
        (Syntax::Haproxy, "auth u:@\n", "a'b #", "auth u:'a'\\''b #'\n"),
        (Syntax::Haproxy, "auth \"u:@\"\n", "$\"\\'", "auth \"u:\\$\\\"\\\\'\"\n"),
        (Syntax::Haproxy, "# don't\nbind @:1\n", "[::1]", "# don't\nbind [::1]:1\n"),
        (Syntax::Haproxy, "realm a\\ \\'b @\n", "c d", "realm a\\ \\'b 'c d'\n"),
        (Syntax::Shell, "# don't\nA=@\n", "it's $x", "# don't\nA='it'\\''s $x'\n"),
        (Syntax::Shell, "A=\"$B @\"", "`$\"", "A=\"$B \\`\\$\\\"\""),
        (Syntax::Shell, "A='@'", "'", "A=''\\'''"),
        (Syntax::Shell, "A=b#'@'", "$", "A=b#'$'"),
        (Syntax::Shell, "A=@", "", "A=''"),
        (Syntax::Shell, "\u{e000}1\u{e001}# it's\nA=@", "$", "\u{e000}1\u{e001}# it's\nA='$'"),
        (Syntax::Python, "A = @\n", "'\"\\\n\u{1}é", "A = \"'\\\"\\\\\\n\\u0001é\"\n"),
        (Syntax::Python, "# it's\nA = 'x@'\n", "'\"", "# it's\nA = 'x\\'\\\"'\n"),
        (Syntax::Json, "{\"a\": @, \"b\": 1}", "\"\\", "{\"a\": \"\\\"\\\\\", \"b\": 1}"),
        (Syntax::Json, "{\"a'\": \"x@\"}", "\"", "{\"a'\": \"x\\\"\"}"),
    ] {
        assert_eq!(line(syntax, template, it), expected, "{it}");
    }
}

#[test]
fn what_is_no_text_is_written_as_the_language_has_it() {
    let data = serde_json::json!({"a": [true, null, 1.5, "x\"", []]});
    let pieces = [text("A = "), Piece::Value("shown".into(), Some(data))];
    assert_eq!(Syntax::Python.write(&pieces), r#"A = {"a": [True, None, 1.5, "x\"", []]}"#);
    assert_eq!(Syntax::Json.write(&pieces), r#"A = {"a": [true, null, 1.5, "x\"", []]}"#);
    assert_eq!(Syntax::Shell.write(&pieces), "A = shown");
}

#[test]
fn a_syntax_says_what_it_cannot_hold() {
    for (syntax, it, expected) in [
        (Syntax::Oslo, "a\nb", Some("a line break")),
        (Syntax::Haproxy, "a\r", Some("a line break")),
        (Syntax::OptionFile, "a\nb", None),
        (Syntax::Shell, "a\0", Some("a NUL character")),
        (Syntax::Json, "a\n", None),
        (Syntax::Line, "a b'\"#", None),
        (Syntax::Line, "a ", Some("a blank at its beginning or end")),
        (Syntax::Uwsgi, "%d", Some("a `%`")),
        (Syntax::Uwsgi, "$(A)", Some("a `$(` or `@(`")),
    ] {
        assert_eq!(syntax.cannot_hold(it), expected, "{it}");
    }
    assert!(Syntax::NAMES.iter().all(|name| Syntax::named(name).is_some_and(|syntax| syntax.name() == *name)));
}
