"""Secrets of every character, through the files that the program writes into the programs that read them."""

import base64
import contextlib
import glob
import json
import pathlib
import random
import re
import subprocess
import urllib.error
import urllib.parse
import urllib.request

import yaml
from oslo_config import cfg

from lab import expect, wait_until

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))
PRINTABLE = [chr(code) for code in range(32, 127)]
OTHERS = list("éß€漢😀\u00a0")
# Signs that mean something to one reader or another; two of them may mean something together.
SIGNS = "$\\'\"#;%{=:/@! `"

# A password with all that anybody has: no reader is spared.
NASTY = "it's $HOME $$(id) `x` \"a\\b\\n\" #1;2 %d%% {{x}} {%y%} $(NAME) ${z} <&|*?~^[]+=,.:/@!-_'"

# A name that means something else in a URL, as it stands.
USER = "open@stack/1:2"

INVENTORY = "[control]\nc1 ansible_host=127.0.0.1\n[network]\nc1\n[compute]\nc1\n[storage]\nc1\n[monitoring]\nc1\n"
GLOBALS = {
    # The one host's own address, which nothing moves.
    "kolla_internal_vip_address": "127.0.0.1", "enable_keepalived": False,
    "network_interface": "lo", "neutron_external_interface": "eth1",
    "openstack_service_workers": 1, "openstack_service_rpc_workers": 1,
}

ROLE = """
about: Files of all syntaxes.
vars: { toy_names: [] }
services:
  toy:
    group: control
    image: toy
    command: "true"
    files:
      - { template: oslo.j2, to: /etc/toy/oslo.conf, merge: ini, syntax: oslo }
      - { template: options.j2, to: /etc/toy/options.cnf, merge: ini, syntax: mariadb }
      - { template: haproxy.j2, to: /etc/toy/haproxy.cfg, syntax: haproxy }
      - { template: json.j2, to: /etc/toy/toy.json }
      - { template: python.j2, to: /etc/toy/toy.py }
      - { template: shell.j2, to: /etc/toy/toy.sh, syntax: shell }
      - { template: yaml.j2, to: /etc/toy/toy.yml, syntax: yaml }
"""

# Each has `@` where the value stands: alone, beside other text, in quotes.
TEMPLATES = {
    "oslo.j2": ("[DEFAULT]\nown = 1\n", "a_NAME = @\nb_NAME = x@\nc_NAME = \"@\"\nd_NAME = @y\n", ""),
    "options.j2": ("[toy]\nown=1\n", "a_NAME = @\nb_NAME = x:@\nc_NAME = \"x@\"\nd_NAME = @y # comment\n", ""),
    "haproxy.j2": (
        "defaults\n  mode http\n  timeout client 5s\n  timeout http-request 5s\nfrontend toy\n  bind 127.0.0.1:PORT\n",
        "".join(f"  http-request return status 200 content-type text/plain string {form} if {{ path /{kind}_NAME }}\n"
                for kind, form in (("a", "@"), ("b", "x@"), ("c", '"@"'), ("d", "'@'y"))),
        "",
    ),
    "json.j2": ("{\"own\": 1", ",\n\"a_NAME\": @, \"b_NAME\": \"x@\", \"c_NAME\": {{ SECRET | to_json }}", "}\n"),
    "python.j2": ("own = 1\n", "a_NAME = @\nb_NAME = \"x@\"\nc_NAME = '@'\nd_NAME = {{ [SECRET] }}[0] + \"y\"\n", ""),
    "yaml.j2": ("own: 1\n", "a_NAME: @\nb_NAME: \"x@\"\nc_NAME: '@'\nd_NAME: @y\n", ""),
    "shell.j2": ("own=1  # it's\n", "a_NAME=@\nb_NAME=x\"@\"\nc_NAME='@'\n", ""),
}
# What stands beside the value in each of these.
BESIDE = {"a": ("", ""), "b": ("x", ""), "c": ("", ""), "d": ("", "y")}

OPERATORS = {
    "oslo.conf": "[DEFAULT]\nown = $a_0\n[theirs]\nx = a$b\n",
    "options.cnf": "[toy]\nown=2\n",
}


def some_values():
    """Every printable character alone, first, last, doubled and inside; pairs of signs; some of all."""
    chance = random.Random(15)
    forms = ("c", "cAB", "ABc", "cc", "AcB", "cAc")
    values = [form.replace("c", char) for char in PRINTABLE + OTHERS for form in forms]
    values += [one + other + tail for one in SIGNS for other in SIGNS for tail in ("", "own")]
    values += ["".join(chance.choices(PRINTABLE + OTHERS, k=chance.randint(1, 20))) for _ in range(150)]
    return [NASTY, *dict.fromkeys(values)]


def unsafe(value):
    """A text of YAML that is no template."""
    return "!unsafe " + json.dumps(value, ensure_ascii=False)


class Files:
    """What the program writes for a site of one host, which nobody connects to."""

    def __init__(self, program, folder):
        self.program, self.folder = program, pathlib.Path(folder)

    def write(self, path, text):
        path = self.folder / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")

    def site(self, secrets, **variables):
        self.write("inventory", INVENTORY)
        self.write("globals.yml", "".join(f"{name}: {json.dumps(value)}\n" for name, value in variables.items()))
        self.write("passwords.yml", "".join(f"{name}: {unsafe(value)}\n" for name, value in secrets.items()))
        (self.folder / "passwords.yml").chmod(0o600)

    def make(self):
        words = [self.program, "--configdir", self.folder, "genconfig", "--dir", self.folder / "out"]
        done = subprocess.run(words, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        expect(done.returncode == 0, f"genconfig: exit {done.returncode}\n{done.stdout[-3000:]}")

    def at(self, service, name):
        return self.folder / "out" / "c1" / service / name


def toys(program, folder, values, port):
    """A role of a file for each syntax, with all values in it."""
    files = Files(program, folder)
    names = {f"toy_secret_{index}": value for index, value in enumerate(values)}
    off = {f"enable_{role}": False
           for role in ("haproxy", "mariadb", "rabbitmq", "memcached", "openstack_core", "cron")}
    files.site(names, **GLOBALS, **off, toy_names=list(range(len(values))))
    files.write("roles/toy/role.yml", ROLE)
    secret = "vars['toy_secret_' ~ name]"
    for name, (begin, lines, end) in TEMPLATES.items():
        each = lines.replace("@", f"{{{{ {secret} }}}}").replace("SECRET", secret).replace("NAME", "{{ name }}")
        loop = f"{{% for name in toy_names %}}{each}{{% endfor %}}"
        files.write(f"roles/toy/templates/{name}", begin.replace("PORT", str(port)) + loop + end)
    for name, text in OPERATORS.items():
        files.write(f"config/{name}", text)
    files.make()
    return files


def compare(reader, values, read, kinds="abcd"):
    """What a reader says of each value, in each place."""
    wrong = []
    for index, value in enumerate(values):
        for kind in kinds:
            before, after = ("x:", "") if reader == "options" and kind == "b" else BESIDE[kind]
            before = "x" if reader == "options" and kind == "c" else before
            found = read(f"{kind}_{index}")
            if found != before + value + after:
                wrong.append(f"{kind}: {value!r} is read as {found!r}")
    expect(not wrong, f"{reader}: {len(wrong)} are something else\n" + "\n".join(wrong[:20]))


# Readers


def oslo(path):
    """Options of oslo.config, by section and name."""
    path = pathlib.Path(path)
    found, section = {}, "DEFAULT"
    options = cfg.ConfigOpts()
    for line in path.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif "=" in line and not line.startswith((" ", "#")):
            name = line.split("=")[0].strip()
            if (section, name) not in found:
                group = None if section == "DEFAULT" else section
                options.register_opt(cfg.StrOpt(name, dest=name.replace("-", "_")), group=group)
                found[section, name] = group
    options(["--config-file", str(path)], project="kolla", default_config_files=[])
    return lambda section, name: options[name] if section == "DEFAULT" else options[section][name]


def in_image(image, script, *words, check=True, **more):
    """What a script says in an image, as root; `words` are those of `docker run`."""
    command = ["docker", "run", "--rm", "-i", "--network", "none", "--user", "0", *words, "--entrypoint", "sh", image]
    command += ["-euc", script]
    return subprocess.run(command, check=check, text=True, stdout=subprocess.PIPE, timeout=120, **more)


def option_file(image, path, *groups):
    """Options by name, as MariaDB's programs print them."""
    said = in_image(image, f"my_print_defaults --defaults-file=/x.cnf {' '.join(groups)}", "-v", f"{path}:/x.cnf:ro")
    return dict(line.removeprefix("--").split("=", 1) for line in said.stdout.splitlines() if "=" in line)


@contextlib.contextmanager
def running(image, name, *words, mounts=()):
    """A container in the network of this machine."""
    subprocess.run(["docker", "rm", "-f", name], check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    mounts = [word for mount in mounts for word in ("-v", mount)]
    subprocess.run(["docker", "run", "-d", "--name", name, "--network", "host", "--user", "0", *mounts, "--entrypoint",
                    words[0], image, *words[1:]], check=True, stdout=subprocess.DEVNULL)
    try:
        yield lambda *words: subprocess.run(["docker", "exec", name, *words], check=False, text=True, timeout=120,
                                            stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    except BaseException:
        print(subprocess.run(["docker", "logs", "--tail", "20", name], check=False, text=True, stdout=subprocess.PIPE,
                             stderr=subprocess.STDOUT).stdout, flush=True)
        raise
    finally:
        subprocess.run(["docker", "rm", "-f", "-v", name], check=False, stdout=subprocess.DEVNULL)


def answer(url, user="", password=""):
    """Status and text that a server answers."""
    request = urllib.request.Request(url)
    if user:
        login = base64.b64encode(f"{user}:{password}".encode()).decode()
        request.add_header("Authorization", f"Basic {login}")
    try:
        with DIRECT.open(request, timeout=10) as reply:
            return reply.status, reply.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ""


# RabbitMQ's own reader of rabbitmq-env.conf, for many files in one machine of Erlang.
ENVIRONMENTS = r"""
-module(environments).
-export([main/0]).
main() ->
    os:putenv("RABBITMQ_CONF_ENV_FILE", "/tmp/env.conf"),
    {ok, Bin} = file:read_file("/work/files.json"),
    Read = fun(File) ->
        [os:unsetenv(Name) || Name <- ["DEFAULT_PASS", "RABBITMQ_DEFAULT_PASS"]],
        ok = file:write_file("/tmp/env.conf", File),
        maps:get(default_pass, rabbit_env:get_context())
    end,
    ok = file:write_file("/work/read.json", json:encode([Read(File) || File <- json:decode(Bin)])),
    halt().
"""


def environments(image, folder, files):
    """The password in each of these files, as RabbitMQ reads it."""
    folder = pathlib.Path(folder)
    (folder / "environments.erl").write_text(ENVIRONMENTS, encoding="utf-8")
    (folder / "files.json").write_text(json.dumps(files), encoding="utf-8")
    paths = "$(printf -- '-pa %s ' /usr/lib/rabbitmq/lib/*/plugins/*/ebin)"
    script = f"cd /tmp; erlc /work/environments.erl; exec erl -noinput -pa /tmp {paths} -s environments main"
    in_image(image, script, "-v", f"{folder}:/work")
    return json.loads((folder / "read.json").read_text(encoding="utf-8"))


# What must hold


def every_syntax(program, folder, images, port):
    """Every value in every place of every syntax is read as it is; the operator's own text stays."""
    values = some_values()
    files = toys(program, folder, values, port)

    option = oslo(files.at("toy", "oslo.conf"))
    compare("oslo", values, lambda name: option("DEFAULT", name))
    text = files.at("toy", "oslo.conf").read_text(encoding="utf-8")
    expect("\nown = $a_0\n" in text and "\nx = a$b\n" in text, "the operator's text is not as it was")

    options = option_file(images["mariadb-server"], files.at("toy", "options.cnf"), "toy")
    expect(options["own"] == "2", f"own is {options['own']}")
    compare("options", values, options.get)

    made = json.loads(files.at("toy", "toy.json").read_text(encoding="utf-8"))
    compare("json", values, made.get, "abc")

    made = yaml.safe_load(files.at("toy", "toy.yml").read_text(encoding="utf-8"))
    compare("yaml", values, made.get)

    made = {}
    exec(files.at("toy", "toy.py").read_text(encoding="utf-8"), made)
    compare("python", values, made.get)

    script = f"set -a; . {files.at('toy', 'toy.sh')}; env -0"
    said = subprocess.run(["env", "-i", "/bin/sh", "-euc", script], check=True, stdout=subprocess.PIPE).stdout
    made = dict(entry.split("=", 1) for entry in said.decode().split("\0") if entry)
    compare("shell", values, made.get, "abc")

    lines = dict(line.split("=", 1) for line in files.at("toy", "toy.sh").read_text(encoding="utf-8").splitlines())
    ascii_only = {index: value for index, value in enumerate(values) if value.isascii()}
    read = environments(images["rabbitmq"], folder, [f"DEFAULT_PASS={lines[f'a_{index}']}\n" for index in ascii_only])
    wrong = [(value, found) for value, found in zip(ascii_only.values(), read, strict=True) if value != found]
    expect(not wrong, f"RabbitMQ: {len(wrong)} are something else: {wrong[:20]}")

    config = files.at("toy", "haproxy.cfg")
    words = ["haproxy", "-db", "-f", "/x.cfg"]
    with running(images["haproxy"], "kolla-test-exact", *words, mounts=[f"{config}:/x.cfg:ro"]):
        url = f"http://127.0.0.1:{port}"
        wait_until("HAProxy", 20, lambda: answer(f"{url}/a_0")[0] == 200)
        compare("haproxy", values, lambda name: answer(f"{url}/{name}")[1])


def every_role(program, folder, images):
    """One password with all signs for everything, through the built-in roles to those that log in with it."""
    files = Files(program, folder)
    text = pathlib.Path(__file__).parents[2].joinpath("etc/passwords.yml").read_text(encoding="utf-8")
    # Beside whatever else this machine runs.
    ports = {"rabbitmq_port": 15673, "rabbitmq_management_port": 15674, "rabbitmq_epmd_port": 14369,
             "rabbitmq_cluster_port": 15675, "haproxy_stats_port": 11984}
    secrets = dict.fromkeys(re.findall(r"^([a-z]\w*):", text, re.MULTILINE), NASTY)
    services = ("keystone", "glance", "placement", "nova", "nova_api", "neutron")
    users = {f"{name}_database_user": USER for name in services}
    files.site(secrets, **GLOBALS, **ports, **users, haproxy_max_connections=1000)
    files.make()

    plain, urls = 0, 0
    for path in glob.glob(f"{folder}/out/c1/*/*.conf"):
        if not re.search(r"^\[DEFAULT\]$", pathlib.Path(path).read_text(encoding="utf-8"), re.MULTILINE):
            continue
        option, section = oslo(path), "DEFAULT"
        for line in pathlib.Path(path).read_text(encoding="utf-8").splitlines():
            section = line.strip("[]") if line.startswith("[") else section
            name = line.split("=")[0].strip()
            if name in ("password", "metadata_proxy_shared_secret", "memcache_secret_key"):
                expect(option(section, name) == NASTY, f"{path}: [{section}] {name} is {option(section, name)!r}")
                plain += 1
            if name in ("connection", "transport_url"):
                url = urllib.parse.urlsplit(option(section, name))
                found = urllib.parse.unquote(url.password)
                expect(found == NASTY and url.hostname == "127.0.0.1", f"{path}: [{section}] {name} has {found!r}")
                user = urllib.parse.unquote(url.username)
                expected = USER if name == "connection" else "openstack"
                expect(user == expected, f"{path}: [{section}] {name} has {user!r}")
                urls += 1
    expect(plain > 20 and urls > 10, f"only {plain} passwords and {urls} URLs were found")

    found = {}
    exec(files.at("horizon", "_9998-kolla-settings.py").read_text(encoding="utf-8"), found)
    expect(found["SECRET_KEY"] == NASTY, f"Horizon: {found['SECRET_KEY']!r}")
    found = json.loads(files.at("keystone-fernet", "keystone-keys.json").read_text(encoding="utf-8"))["secret"]
    expect(found == NASTY, f"keys of Keystone: {found!r}")

    galera = option_file(images["mariadb-server"], files.at("mariadb", "my.cnf"), "mariadbd", "mariabackup")
    expect(galera["wsrep_sst_auth"] == f"root:{NASTY}" and galera["password"] == NASTY, f"my.cnf: {galera}")
    database(files, images["mariadb-server"])
    queue(files, images["rabbitmq"])
    balancer(files, images["haproxy"])


def database(files, image):
    """The image's own program makes a server with the password, and its client logs in with its file."""
    words = ["-e", f"DB_ROOT_PASSWORD={NASTY}", "-v", f"{files.at('mariadb', 'client.cnf')}:/client.cnf:ro",
             "-v", f"{files.at('mariadb-clustercheck', 'client.cnf')}:/check.cnf:ro"]
    script = r"""
        export KOLLA_BOOTSTRAP= HOME=/tmp
        install -d -o mysql /run/mysqld /var/log/kolla/mariadb
        chown mysql: /var/lib/mysql
        as() { setpriv --reuid mysql --regid mysql --clear-groups "$@"; }
        as kolla_extend_start mariadbd >&2
        as mariadbd --datadir=/var/lib/mysql --socket=/run/mysqld/mysqld.sock --skip-networking >&2 &
        ask() { mariadb --defaults-file=/client.cnf --batch --skip-column-names "$@"; }
        try=0
        until ask -e 'SELECT CURRENT_USER()'; do try=$((try + 1)); [ $try -lt 60 ]; sleep 0.5; done
        { printf 'CREATE USER monitor@localhost IDENTIFIED BY '; cat /dev/stdin; } | ask
        sed -e '/^host/d' -e '/^protocol/d' -e '/^port/d' /check.cnf > /tmp/check.cnf
        mariadb --defaults-file=/tmp/check.cnf --socket=/run/mysqld/mysqld.sock -BN -e 'SELECT CURRENT_USER()'
        ask -e SHUTDOWN
        wait
    """
    literal = "'" + NASTY.replace("\\", "\\\\").replace("'", "''") + "';\n"
    done = in_image(image, script, *words, check=False, input=literal, stderr=subprocess.PIPE)
    said = f"{done.stdout}\n{done.stderr[-3000:]}"
    expect(done.stdout.split() == ["root@localhost", "monitor@localhost"], f"MariaDB: {said}")


def queue(files, image):
    """The server makes its user with the password, and its programs know its cookie."""
    folder = files.at("rabbitmq", "")
    user = ["setpriv", "--reuid", "rabbitmq", "--regid", "rabbitmq", "--clear-groups", "env", "HOME=/var/lib/rabbitmq"]
    script = f"""
        cp /files/rabbitmq* /files/enabled_plugins /etc/rabbitmq/
        cp /files/.erlang.cookie /var/lib/rabbitmq/
        chown -R rabbitmq: /etc/rabbitmq /var/lib/rabbitmq
        chmod 0400 /var/lib/rabbitmq/.erlang.cookie
        sed -i 's/^NODENAME=.*/NODENAME=rabbit@localhost/' /etc/rabbitmq/rabbitmq-env.conf
        sed -i '/^cluster_formation/d' /etc/rabbitmq/rabbitmq.conf
        exec {' '.join(user)} rabbitmq-server
    """
    with running(image, "kolla-test-exact", "sh", "-euc", script, mounts=[f"{folder}:/files:ro"]) as run:
        def ask(*words):
            return run(*user, "rabbitmqctl", *words)

        wait_until("RabbitMQ", 90, lambda: ask("await_startup", "--timeout", "10").returncode == 0, every=1)
        said = ask("authenticate_user", "openstack", NASTY)
        expect(said.returncode == 0, f"RabbitMQ: {said.stdout}")
        status, _ = answer("http://127.0.0.1:15674/api/whoami", "openstack", NASTY)
        expect(status == 200, f"RabbitMQ's API answers {status}")


def balancer(files, image):
    """The load balancer takes its file, and lets in who has the password."""
    config = files.at("haproxy", "haproxy.cfg").read_text(encoding="utf-8")
    # The page alone: other ports may be in use here.
    config = re.sub(r"^frontend (?!stats$)[\s\S]*?(?=^frontend stats$)", "", config, flags=re.MULTILINE)
    config = config[:config.index("\n", config.index("stats auth")) + 1]
    config = re.sub(r"^ +stats socket.*\n", "", config, flags=re.MULTILINE)
    files.write("stats.cfg", config)
    parts = {name: files.at("haproxy", name) for name in ("haproxy.cfg", "kolla.cfg")}
    mounts = [f"{files.folder / 'stats.cfg'}:/x.cfg:ro", *(f"{path}:/parts/{name}:ro" for name, path in parts.items())]
    with running(image, "kolla-test-exact", "haproxy", "-db", "-f", "/x.cfg", mounts=mounts) as run:
        said = run("haproxy", "-c", "-f", "/parts")
        expect(said.returncode == 0, f"HAProxy: {said.stdout}")
        url = "http://127.0.0.1:11984/"
        wait_until("HAProxy", 20, lambda: answer(url)[0] == 401)
        found = [answer(url, "openstack", password)[0] for password in (NASTY, NASTY[:-1])]
        expect(found == [200, 401], f"HAProxy answers {found}")
