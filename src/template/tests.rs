use std::path::Path;
use std::sync::Arc;

use minijinja::value::Serde;
use serde_json::json;

use super::{HostLayers, Layer, Scope, Scopes, SiteLayers, Value};
use crate::error::InputError;
use crate::source::Document;

fn layer(name: &str, text: &str) -> Arc<Layer> {
    Arc::new(Layer::of(name, Document::parse(name, text).unwrap(), name == "passwords.yml").unwrap())
}

/// Two hosts, h1 and h2, over these globals; h2 sets `here: two`.
fn scopes(globals: &str) -> Scopes {
    scopes_with(globals, "x: secret\n", "", None)
}

fn scopes_with(globals: &str, passwords: &str, host: &str, facts: Option<serde_json::Value>) -> Scopes {
    let one =
        HostLayers { name: "h1".into(), groups: vec!["control".into()], layers: vec![layer("host h1", host)], facts };
    let two = HostLayers { name: "h2".into(), layers: vec![layer("host h2", "here: two\n")], ..HostLayers::default() };
    Scopes::new(SiteLayers {
        base: vec![layer("globals.yml", globals)],
        hosts: vec![one, two],
        top: vec![layer("passwords.yml", passwords)],
        ..SiteLayers::default()
    })
}

fn eval(scope: &Scope, yaml: &str) -> Result<Value, InputError> {
    let document = Document::parse("role.yml", yaml).unwrap();
    scope.eval(&document, &document.root)
}

/// The expression's value as JSON.
fn value(expression: &str) -> serde_json::Value {
    let scopes = scopes("");
    let quoted = serde_json::to_string(&format!("{{{{ {expression} }}}}")).unwrap();
    serde_json::to_value(eval(scopes.host("h1"), &quoted).unwrap_or_else(|e| panic!("{expression}: {e:?}"))).unwrap()
}

/// Message, place, causes and hint on one line each.
fn show(error: &InputError) -> String {
    let mut lines = vec![error.message.clone()];
    lines.extend(error.place.as_ref().map(|place| format!("at {place}")));
    lines.extend(error.causes.iter().map(|cause| format!("by {cause}")));
    lines.extend(error.hint.as_ref().map(|hint| format!("hint {hint}")));
    lines.join("\n")
}

#[test]
fn an_expression_alone_keeps_its_type() {
    let scopes = scopes("port: 3306\non: yes\nlist: [1, '{{ port }}']\nmap: {a: '{{ on }}'}\ntext: 'p{{ port }}'\n");
    let scope = scopes.host("h1");
    let all = "[\"{{ port }}\", \"{{ on }}\", \"{{ list }}\", \"{{ map }}\", \"{{ text }}\", \"{{ port }} \", \"{{ {'a': {'b': 1}} }}\"]";
    let found = serde_json::to_value(eval(scope, all).unwrap()).unwrap();
    assert_eq!(found, json!([3306, true, [1, 3306], {"a": true}, "p3306", "3306 ", {"a": {"b": 1}}]));
}

#[test]
fn printing_is_like_python() {
    let scopes = scopes("a: [x, 1, true, null]\nm: {k: '{{ a }}'}\n");
    let text = scopes.host("h1").render(Path::new("t.j2"), "{{ a }} {{ m }} {{ 1.0 }} {{ none }}\n").unwrap();
    assert_eq!(text, "['x', 1, True, None] {'k': ['x', 1, True, None]} 1.0 \n");
}

#[test]
fn blocks_take_their_line_with_them_and_the_last_newline_stays() {
    let scope = scopes("").host("h1").clone();
    let source = "{% for i in [1, 2] %}\nline {{ i }}\n{% endfor %}\n";
    assert_eq!(scope.render(Path::new("a.j2"), source).unwrap(), "line 1\nline 2\n");
    let source = "#jinja2: trim_blocks: False\n{% for i in [1, 2] %}\nline {{ i }}\n{% endfor %}\n";
    assert_eq!(scope.render(Path::new("b.j2"), source).unwrap(), "\nline 1\n\nline 2\n");
}

#[test]
fn a_cycle_names_its_members() {
    let scopes = scopes("a: '{{ b }}'\nb: 'x{{ c }}'\nc: '{{ a }}'\nd: '{{ a }}'\nm: {x: 1, y: '{{ m.x }}'}\n");
    let scope = scopes.host("h1");
    let error = scope.get("d").unwrap_err();
    assert_eq!(error.message, "recursive: a -> b -> c -> a");
    assert_eq!(error.place.unwrap().to_string(), "globals.yml:1:4");
    // Elements of a mapping may use each other.
    assert_eq!(serde_json::to_value(scope.get("m").unwrap()).unwrap(), json!({"x": 1, "y": 1}));
}

#[test]
fn deep_chains_fail_before_the_stack_does() {
    let link = |text: String, i: usize| text + &format!("v{i}: 'x{{{{ v{} }}}}'\n", i + 1);
    let chain = (0..60).fold(String::new(), link) + "v60: end\n";
    let small = std::thread::Builder::new().stack_size(2 << 20);
    let done = small.spawn(move || {
        assert!(scopes(&chain).host("h1").get("v0").unwrap_err().message.contains("48 deep"));
        assert!(scopes(&chain).host("h1").get("v20").unwrap().to_string().ends_with("xend"));
    });
    done.unwrap().join().unwrap();
}

#[test]
fn a_failed_variable_stands_at_its_own_place() {
    let globals = "vip: 10.0.0.1\nurl: 'http://{{ vpi }}:80'\naddress: '{{ url }}/v3'\n";
    let scopes = scopes(globals);
    let scope = scopes.host("h1");
    let error = scope.render(Path::new("t.j2"), "# top\nurl = {{ address }}\n").unwrap_err();
    assert_eq!(
        show(&error),
        "undefined variable `vpi`\nat globals.yml:2:17\nby `address` is used at t.j2:2:10\n\
         by `url` is used at globals.yml:3:14\nhint `vip` is defined in globals.yml:1"
    );
}

#[test]
fn undefined_is_testable_but_not_printable() {
    let scopes = scopes("indirect: '{{ nowhere }}'\nm: {a: 1}\n");
    let scope = scopes.host("h1");
    for yaml in [
        "'{{ nope is defined }}'",
        "'{{ nope | default(false) }}'",
        "'{{ indirect is defined }}'",
        "'{{ indirect | default(false) }}'",
        "'{{ m.b | default(false) }}'",
    ] {
        assert_eq!(eval(scope, yaml).unwrap(), Value::from(false), "{yaml}");
    }
    for (yaml, expected) in [
        ("'{{ nope }}'", "undefined variable `nope`\nat role.yml:1:5\nhint set `nope` in globals.yml"),
        (
            "'a {{ m.b }}'",
            "`m.b` is undefined\nat role.yml:1:9\nhint test it with `is defined`, or give it a `default`",
        ),
        (
            "'{{ indirect }}'",
            "undefined variable `nowhere`\nat globals.yml:1:15\nby `indirect` is used at role.yml:1:5\n\
             hint set `nowhere` in globals.yml",
        ),
        ("'{{ nope | upper }}'", "undefined variable `nope`\nat role.yml:1:5\nhint set `nope` in globals.yml"),
        ("'{{ nope.x.y }}'", "undefined variable `nope`\nat role.yml:1:5\nhint set `nope` in globals.yml"),
        ("'{{ nope | bool }}'", "undefined variable `nope`\nat role.yml:1:5\nhint set `nope` in globals.yml"),
        ("'{{ 1 if nope else 2 }}'", "undefined variable `nope`\nat role.yml:1:1\nhint set `nope` in globals.yml"),
        ("'{{ nope + 1 }}'", "undefined variable `nope`\nat role.yml:1:5\nhint set `nope` in globals.yml"),
    ] {
        assert_eq!(show(&eval(scope, yaml).unwrap_err()), expected, "{yaml}");
    }
}

#[test]
fn wrong_templates_say_what_and_where() {
    let scopes = scopes("");
    let scope = scopes.host("h1");
    for (source, expected) in [
        ("a\n{{ 'x' | defualt }}", "unknown filter `defualt`\nat t.j2:2:10\nhint did you mean `default`?"),
        ("{{ 1 is oddd }}", "unknown test `oddd`\nat t.j2:1:9\nhint did you mean `odd`?"),
        ("{{ looup('file', 'x') }}", "unknown function `looup`\nat t.j2:1:4\nhint did you mean `lookup`?"),
        ("a\n{% if x %}", "template syntax: unexpected end of input, expected end of block\nat t.j2:2:9"),
        ("{{ 'a' | hash('md9') }}", "unknown hash `md9`: use `sha1` or `sha256`\nat t.j2:1:10"),
        (
            "{% include 'x.j2' %}",
            "a template cannot include other files\nat t.j2:1:4\n\
             hint write the included text into this template, or use a macro",
        ),
    ] {
        let error = scope.render(Path::new("t.j2"), source).unwrap_err();
        assert_eq!(show(&error), expected, "{source}");
    }
}

#[test]
fn places_inside_block_scalars_are_exact() {
    let scopes = scopes("text: |\n  one\n  two {{ nope }}\nfolded: >-\n  {{ nope }}\n");
    let scope = scopes.host("h1");
    assert_eq!(scope.get("text").unwrap_err().place.unwrap().to_string(), "globals.yml:3:10");
    assert_eq!(scope.get("folded").unwrap_err().place.unwrap().to_string(), "globals.yml:5:6");
}

#[test]
fn hosts_share_what_is_the_same_and_nothing_else() {
    let scopes = scopes(
        "here: one\nshared: 'x{{ 1 + 1 }}'\nmine: 'at {{ here }}'\nname: '{{ inventory_hostname }}'\nboth: '{{ shared }} {{ mine }}'\nabsent: '{{ only | default(0) }}'\n",
    );
    let (one, two) = (scopes.host("h1"), scopes.host("h2"));
    for (name, first, second) in
        [("mine", "at one", "at two"), ("name", "h1", "h2"), ("both", "x2 at one", "x2 at two")]
    {
        assert_eq!(one.get(name).unwrap().to_string(), first);
        assert_eq!(two.get(name).unwrap().to_string(), second);
    }
    let text = eval(one, "\"{{ hostvars['h2'].both }} {{ hostvars.h2['here'] }}\"").unwrap();
    assert_eq!(text.to_string(), "x2 at two two");
    assert_eq!(
        eval(one, "\"{{ ['h1', 'h2'] | map('extract', hostvars, 'here') | join(',') }}\"").unwrap().to_string(),
        "one,two"
    );
}

#[test]
fn a_text_that_was_rendered_for_one_host_is_not_taken_for_another_that_it_differs_on() {
    let scopes =
        scopes("own: 'of {{ inventory_hostname }}'\nhere: one\nall: '{{ hostvars.h1.own }}, {{ hostvars.h2.own }}'\n");
    let (one, two) = (scopes.host("h1"), scopes.host("h2"));
    for (text, on_one, on_two) in [
        ("{{ all }}!", "of h1, of h2!", "of h1, of h2!"),
        ("{{ hostvars.h2.own }} {{ own }}", "of h2 of h1", "of h2 of h2"),
        ("{{ hostvars[inventory_hostname].own }}!", "of h1!", "of h2!"),
        ("{{ hostvars['h1'].here }} {{ here }}", "one one", "one two"),
        ("{{ group_names | length }}!", "1!", "0!"),
        ("{{ late is defined }}!", "False!", "False!"),
    ] {
        let rendered = [one, two, one].map(|scope| scope.render(Path::new("x.j2"), text).unwrap());
        assert_eq!(rendered, [on_one, on_two, on_one], "{text}");
        let evaluated = [one, two, one].map(|scope| eval(scope, &format!("\"{text}\"")).unwrap().to_string());
        assert_eq!(evaluated, [on_one, on_two, on_one], "{text}");
    }
    let further = one.with(vec![("late".into(), Value::from(1))]);
    assert_eq!(further.render(Path::new("x.j2"), "{{ late is defined }}!").unwrap(), "True!");
}

#[test]
fn a_further_layer_reaches_the_variables_that_use_it() {
    let scopes = scopes("label: '{{ item.name }}!'\ntwice: '{{ label }}{{ label }}'\nother: '{{ 1 + 1 }}'\n");
    let scope = scopes.host("h1");
    assert_eq!(scope.get("label").unwrap_err().message, "undefined variable `item`");
    for name in ["a", "b"] {
        let inner = scope.with(vec![("item".into(), Value::from(Serde(json!({"name": name}))))]);
        assert_eq!(inner.get("twice").unwrap().to_string(), format!("{name}!{name}!"));
        assert_eq!(inner.get("other").unwrap(), Value::from(2));
    }
    let inner = scope.with(vec![("other".into(), Value::from(7))]);
    assert_eq!(inner.get("other").unwrap(), Value::from(7));
    assert!(scope.get("label").is_err());
}

#[test]
fn flags_numbers_texts_and_lists_by_ansibles_rules() {
    let scopes = scopes("");
    let scope = scopes.host("h1");
    let node = |yaml: &str| Document::parse("role.yml", yaml).unwrap();
    for (yaml, expected) in [
        ("yes", true),
        ("'no'", false),
        ("'On'", true),
        ("1", true),
        ("'0'", false),
        ("'{{ 1 == 1 }}'", true),
        ("~", false),
    ] {
        let document = node(&format!("x: {yaml}\n"));
        let value = &document.entries().unwrap()["x"].value;
        assert_eq!(scope.eval_flag(&document, value).unwrap(), expected, "{yaml}");
    }
    let flag = node("x: maybe\n");
    let error = scope.eval_flag(&flag, &flag.entries().unwrap()["x"].value).unwrap_err();
    assert_eq!(show(&error), "expected true or false, found `maybe`\nat role.yml:1:4");
    let number = node("['17', 17, '{{ 16 + 1 }}']");
    let crate::source::Data::Seq(items) = &number.root.data else { panic!() };
    assert!(items.iter().all(|item| scope.eval_number(&number, item) == Ok(17)));
    assert_eq!(scope.eval_list(&number, &number.root).unwrap(), ["17", "17", "17"]);
    assert_eq!(scope.eval_text(&number, &number.root).unwrap_err().message, "expected text, found a list");
}

#[test]
fn explain_names_every_layer_and_hides_secrets() {
    let scopes = scopes_with("x: 1\npass: open\n", "pass: hunter2\n", "x: 2\n", None);
    let scope = scopes.host("h1");
    let found: Vec<String> = scope.explain("x").iter().map(|o| format!("{} {} {}", o.layer, o.place, o.text)).collect();
    assert_eq!(found, ["host h1 host h1:1:4 2", "globals.yml globals.yml:1:4 1"]);
    let pass = scope.explain("pass");
    assert_eq!((pass[0].text.as_str(), pass[1].text.as_str()), ("***", "***"));
    assert_eq!(pass[0].place.excerpt, None);
    assert_eq!(scope.get("pass").unwrap().to_string(), "hunter2");
    assert_eq!(scope.names(), ["pass", "x"]);
}

#[test]
fn errors_in_a_secret_file_do_not_show_its_lines() {
    let scopes = scopes_with("", "pass: 'hunter2 {{ nope }}'\n", "", None);
    let place = scopes.host("h1").get("pass").unwrap_err().place.unwrap();
    assert_eq!((place.to_string().as_str(), place.excerpt), ("passwords.yml:1:19", None));
}

#[test]
fn filters() {
    for (expression, expected) in [
        (
            "['no', 'False', 'yes', 'On', '1', 'true', 'maybe', ''] | map('bool') | list",
            json!([false, false, true, true, true, true, false, false]),
        ),
        ("[1, 0, none, true] | map('bool') | list", json!([true, false, false, true])),
        ("{'a': 1, 'b': {'c': 1}} | combine({'b': {'d': 2}})", json!({"a": 1, "b": {"d": 2}})),
        ("{'b': {'c': 1}} | combine({'b': {'d': 2}}, recursive=true)", json!({"b": {"c": 1, "d": 2}})),
        ("[{'a': [1]}, {'a': [2]}] | combine(list_merge='append')", json!({"a": [1, 2]})),
        ("{'a': 1} | dict2items", json!([{"key": "a", "value": 1}])),
        ("{'a': 1} | dict2items(key_name='k')", json!([{"k": "a", "value": 1}])),
        ("[{'key': 'a', 'value': 1}] | items2dict", json!({"a": 1})),
        ("[1, 2, 2, 3] | difference([3])", json!([1, 2])),
        ("[1, 2, 3] | intersect([3, 1])", json!([1, 3])),
        ("[1, 1] | union([2])", json!([1, 2])),
        ("[1, [2, [3, none]]] | flatten", json!([1, 2, 3])),
        ("[1, [2, [3]]] | flatten(levels=1)", json!([1, 2, [3]])),
        ("{'a': [1, none, true], 'b': 'ü\\n'} | to_json", json!("{\"a\": [1, null, true], \"b\": \"\\u00fc\\\\n\"}")),
        ("{'b': [1], 'a': {}} | to_nice_json", json!("{\n    \"a\": {},\n    \"b\": [\n        1\n    ]\n}")),
        ("'{\"a\": 1}' | from_json", json!({"a": 1})),
        ("'a: [yes]' | from_yaml", json!({"a": [true]})),
        ("{'a': [1, 'yes'], 'b': 'x'} | to_nice_yaml | from_yaml", json!({"a": [1, "yes"], "b": "x"})),
        ("'héllo' | b64encode | b64decode", json!("héllo")),
        ("'a' | hash('sha1')", json!("86f7e437faa5a7fce15d1ddcb9eaeaea377667b8")),
        ("'a' | hash('sha256') | length", json!(64)),
        (r"'foo.bar' | regex_replace('^(\w+)\.(?P<x>.*)$', '\g<x>-\1')", json!("bar-foo")),
        ("'a$b' | regex_replace('b', '$1')", json!("a$$1")),
        (r"'eth0.12' | regex_search('\.(\d+)', '\1')", json!(["12"])),
        ("'abc' | regex_search('x')", json!(null)),
        (r"'a1b22' | regex_findall('\d+')", json!(["1", "22"])),
        ("true | ternary('a', 'b')", json!("a")),
        ("'/etc/kolla/x.conf' | basename", json!("x.conf")),
        ("'/etc/kolla/x.conf' | dirname", json!("/etc/kolla")),
        ("['/etc', 'kolla'] | path_join", json!("/etc/kolla")),
        ("\"it's\" | quote", json!("'it'\"'\"'s'")),
        ("'10.0.0.11/24' | ipaddr('address')", json!("10.0.0.11")),
        ("'10.0.0.11/24' | ansible.utils.ipaddr('network')", json!("10.0.0.0")),
        ("'10.0.0.11/24' | ipaddr('prefix')", json!(24)),
        ("'10.0.0.0/24' | ipaddr(5)", json!("10.0.0.5/24")),
        ("'nope' | ipaddr", json!(false)),
        ("'fd00::1' | ipwrap", json!("[fd00::1]")),
        ("'fd00::1' | kolla_url('http', 80, '/v3')", json!("http://[fd00::1]/v3")),
        ("'api.example' | kolla_url('https', 5000, '/v3')", json!("https://api.example:5000/v3")),
        ("'fd00::1' | put_address_in_context('memcache')", json!("inet6:[fd00::1]")),
        ("'10.0.0.1' | put_address_in_context('url')", json!("10.0.0.1")),
        ("'abc' is match('b')", json!(false)),
        ("'abc' is search('b')", json!(true)),
        ("[1] is subset([1, 2])", json!(true)),
        ("'a,b'.split(',') | reverse | list", json!(["b", "a"])),
        ("lookup('vars', 'x', default=1)", json!("secret")),
        ("vars['x']", json!("secret")),
    ] {
        assert_eq!(value(expression), expected, "{expression}");
    }
}

#[test]
fn every_name_offered_exists() {
    for (kind, names) in [("filter", super::vocabulary::FILTERS), ("test", super::vocabulary::TESTS)] {
        for name in names {
            assert_eq!(value(&format!("'{name}' is {kind}")), json!(true), "{kind} {name}");
        }
    }
    for name in super::vocabulary::FUNCTIONS {
        assert_eq!(value(&format!("{name} is defined")), json!(true), "{name}");
    }
}

fn facts() -> serde_json::Value {
    json!({
        "hostname": "control01", "os": "debian", "os_version": "13", "cpus": 4, "memory_mib": 8000,
        "default_interface": "eth0",
        "interfaces": {
            "lo": {"ipv4": ["127.0.0.1/8"], "ipv6": []},
            "eth0": {"up": true, "ipv4": ["10.0.0.250/32", "10.0.0.11/24"], "ipv6": ["fd00::250/128", "fd00::11/64"]},
            "br-ex": {"ipv4": [], "ipv6": []},
        },
    })
}

#[test]
fn kolla_address_is_the_hosts_own_and_never_a_virtual_one() {
    let globals = "network_interface: eth0\napi_interface: '{{ network_interface }}'\n\
                   six_interface: eth0\nsix_address_family: ipv6\nbad_interface: eht0\nbare_interface: br-ex\n\
                   kolla_internal_vip_address: 10.0.0.250\nkolla_external_vip_address: fd00::250\n\
                   api_address: \"{{ 'api' | kolla_address }}\"\n";
    let scopes = scopes_with(globals, "x: 1\n", "", Some(facts()));
    let scope = scopes.host("h1");
    assert_eq!(scope.get("api_address").unwrap().to_string(), "10.0.0.11");
    assert_eq!(eval(scope, "\"{{ 'six' | kolla_address }}\"").unwrap().to_string(), "fd00::11");
    for (network, expected) in [
        (
            "bad",
            "h1 has no interface `eht0` (`bad_interface`)\nat globals.yml:5:16\nby used at role.yml:1:13\nhint did you mean `eth0`? h1 has eth0, br-ex",
        ),
        ("bare", "h1 has no IPv4 address on `br-ex` (`bare_interface`)\nat globals.yml:6:17\nby used at role.yml:1:14"),
        (
            "apo",
            "undefined variable `apo_interface`\nat role.yml:1:13\nhint `api_interface` is defined in globals.yml:2",
        ),
    ] {
        let error = eval(scope, &format!("\"{{{{ '{network}' | kolla_address }}}}\"")).unwrap_err();
        assert_eq!(show(&error), expected, "{network}");
    }
    // h2 was not looked at and has no address in the inventory.
    let error = scopes.host("h2").get("api_address").unwrap_err();
    assert_eq!(error.message, "the `api` address of h2 is not known without its facts");
    assert!(eval(scope, "\"{{ 'api' | kolla_address('h2') }}\"").is_err());
}

#[test]
fn the_inventorys_address_stands_in_only_where_no_host_is_asked() {
    let address = |facts| {
        let scopes = scopes_with("api_interface: eth0\n", "x: 1\n", "ansible_host: 10.1.0.7\n", facts);
        eval(scopes.host("h2"), "\"{{ 'api' | kolla_address('h1') }}\"")
    };
    assert_eq!(address(Some(json!({ "interfaces": {}, "unasked": true }))).unwrap().to_string(), "10.1.0.7");
    let error = address(None).unwrap_err();
    assert_eq!(error.message, "the `api` address of h1 is not known without its facts");
}

#[test]
fn facts_under_their_own_and_ansibles_names() {
    let scopes = scopes_with("", "x: 1\n", "", Some(facts()));
    let text = "{{ facts.hostname }} {{ ansible_facts.distribution }} {{ ansible_facts['processor_vcpus'] }} \
                {{ ansible_facts.default_ipv4.address }} {{ ansible_facts.eth0.ipv4.prefix }} {{ ansible_facts.br_ex.device }}";
    assert_eq!(scopes.host("h1").render(Path::new("t"), text).unwrap(), "control01 Debian 4 10.0.0.250 32 br-ex");
    let error = scopes.host("h2").render(Path::new("t"), "{{ facts.os | default('?') }}{{ facts.os }}").unwrap_err();
    assert_eq!(error.hint.unwrap(), "facts of h2 are not known: run where the host can be reached");
}

#[test]
fn syntax_errors_of_unused_variables_are_found() {
    let scopes = scopes("a: '{{ x'\nb: {c: ['{% if %}']}\n");
    let found: Vec<String> = scopes.errors().iter().map(show).collect();
    assert_eq!(found.len(), 2, "{found:?}");
    assert!(found[0].starts_with("template syntax: ") && found[0].contains("globals.yml:1:"), "{}", found[0]);
}
