#!/usr/bin/python3
"""OpenStack's own tests, the smoke set, against a cloud that stands.

Usage: KOLLA_TEST_SITE=SITE tempest.py PROGRAM [REGEX]. Builds the image `tempest`, runs, and writes docs/tempest.md,
unless another REGEX says which tests to run. KOLLA_TEST_REGISTRY is the port of the lab's registry.
"""

import configparser
import contextlib
import io
import os
import re
import subprocess
import sys
from collections import defaultdict

from api import Api

from lab import NAME, REGISTRY_PORT, Lab, expect, say

# Its own tests only: a plugin for Heat comes with the package.
SMOKE = r"^tempest\..*\[.*\bsmoke\b.*\]"
PAGE = os.path.join(os.path.dirname(__file__), "../../docs/tempest.md")
CONTAINER = f"kolla-test-{NAME}-tempest"

# Why a test of the page fails, by a part of its name.
WHY = {
    "test_network_basic_ops": "it logs in to the server by SSH, which the small guest image does not offer",
    "test_credentials_create_get_update_delete": "it changes the project of a credential, and since a security fix "
    "(OpenDev review 1002330) Keystone lets nothing but `blob` be changed, also Debian's",
}

FLAVORS = {"m1.nano": 128, "m1.micro": 192}


@contextlib.contextmanager
def flavors(api, image):
    """Two small ones, the second larger than the first, as long as they are needed."""
    there = {each["name"]: each["id"] for each in api.get("compute", "/v2.1/flavors")["flavors"]}
    least = image.get("min_ram", 0)
    made = []
    for name, memory in FLAVORS.items():
        if name not in there:
            flavor = {"name": name, "ram": max(memory, least), "vcpus": 1, "disk": max(1, image.get("min_disk", 0))}
            there[name] = api.post("compute", "/v2.1/flavors", {"flavor": flavor})["flavor"]["id"]
            made.append(there[name])
    try:
        yield [there[name] for name in FLAVORS]
    finally:
        for flavor in made:
            api.delete("compute", f"/v2.1/flavors/{flavor}")


def settings(lab, api, image, refs):
    """What Tempest has to know of the cloud."""
    public = api.get("network", "/v2.0/networks", **{"router:external": "true"})["networks"]
    expect(public, "there is no external network")
    extensions = api.get("network", "/v2.0/extensions")["extensions"]
    hypervisors = api.get("compute", "/v2.1/os-hypervisors")["hypervisors"]
    login = "cirros" in image["name"].lower()
    minutes = {"build_timeout": 900, "build_interval": 2}
    sections = {
        "DEFAULT": {"log_file": "tempest.log"},
        "auth": {"admin_username": "admin", "admin_password": api.password, "admin_project_name": "admin",
                 "admin_domain_name": "Default", "use_dynamic_credentials": True},
        "identity": {"uri_v3": api.url, "v3_endpoint_type": "internal"},
        "compute": {"image_ref": image["id"], "image_ref_alt": image["id"], "flavor_ref": refs[0],
                    "flavor_ref_alt": refs[1], "endpoint_type": "internal", "min_compute_nodes": len(hypervisors),
                    **minutes},
        "image": {"endpoint_type": "internal", **minutes},
        "placement": {"endpoint_type": "internal"},
        "network": {"endpoint_type": "internal", "public_network_id": public[0]["id"],
                    "floating_network_name": public[0]["name"], **minutes},
        "network-feature-enabled": {"api_extensions": ",".join(sorted(each["alias"] for each in extensions)),
                                    "ipv6_subnet_attributes": True, "port_security": True},
        # Not every image lets somebody log in.
        "validation": {"run_validation": login, "connect_method": "floating", "image_ssh_user": "cirros",
                       "ping_timeout": 300, "ssh_timeout": 600 if login else 30},
        "dashboard": {"dashboard_url": f"http://{lab.vip}/"},
        "volume": {"endpoint_type": "internal", "catalog_type": "volumev3", **minutes},
        "object-storage": {"endpoint_type": "internal", "operator_role": "member",
                           "reseller_admin_role": "ResellerAdmin"},
        "service_available": {"cinder": "volumev3" in api.ends, "swift": "object-store" in api.ends,
                              "horizon": "horizon" in lab.containers("control01")},
        "oslo_concurrency": {"lock_path": "locks"},
    }
    config = configparser.RawConfigParser()
    config.read_dict(sections)
    file = io.StringIO()
    config.write(file)
    return file.getvalue()


# As root, who may send a ping on the machine's own network. The settings hold a password, so they come by stdin.
RUN = """umask 077
mkdir /tmp/tempest && cd /tmp/tempest && cat >tempest.conf && stestr init
run() { tempest run --config-file tempest.conf --regex "$REGEX" "$@"; }
run --list-tests </dev/null && echo '== run' && run --concurrency 1 </dev/null"""


def tempest(lab, config, regex):
    """Runs it; the names of the tests, and the lines that it said."""
    command = ["docker", "run", "--rm", "-i", "--network", "host", "--user", "0", "--name", CONTAINER,
               "--env", f"REGEX={regex}", "--env", "no_proxy=*", "--env", "NO_PROXY=*", lab.image("tempest"),
               "sh", "-c", RUN]
    process = subprocess.Popen(command, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, errors="replace")
    process.stdin.write(config)
    process.stdin.close()
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip())
        if line.startswith("{"):
            print(line, end="", flush=True)
    process.wait()
    path = os.path.join(lab.folder, "tempest.txt")
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    say(f"all that it said: {path}")
    expect("== run" in lines, "\n".join(lines[-30:]))
    begin = lines.index("== run")
    names = [line.split("[")[0] for line in lines[:begin] if re.match(r"[\w.]+\[id-", line)]
    return names, lines[begin + 1:]


ENDED = re.compile(r"\{\d+\} (?:(\w+) \()?([\w.]+)\)?.* \.\.\. (ok|FAILED|SKIPPED)(?:: (.*))?$")
# The line of a trace that names what was raised; it may be followed by one of details.
RAISED = re.compile(r"    ((?:\w+\.)*[A-Z]\w+(?:: .*)?)$")


class Results:
    """What became of each test."""

    def __init__(self, names, lines):
        self.passed, self.failed, self.skipped = [], {}, {}
        # A class that is left out, or cannot be set up, is told once, without its tests.
        out, broken, said, name = {}, {}, {}, ""
        for line in lines:
            ended, raised = ENDED.match(line), RAISED.match(line)
            if ended:
                step, name, outcome, reason = ended.groups()
                # What is raised after it is another's, told again at the end.
                said = {}
                if outcome == "ok":
                    self.passed.append(name)
                elif outcome == "SKIPPED":
                    # Most reasons begin with the name of the class.
                    reason = re.sub(r"^\w+ skipped as ", "", reason or "no reason given")
                    (out if step else self.skipped)[name] = reason.rstrip(".")
                else:
                    said = broken if step == "setUpClass" else self.failed
                    said[name] = ""
            elif raised:
                said[name] = raised[1]
            elif line.startswith("Details: ") and said.get(name):
                said[name] += f" {line}"
        for name in set(names) - {*self.passed, *self.failed, *self.skipped}:
            above = name.rpartition(".")[0]
            if above in out:
                self.skipped[name] = out[above]
            else:
                self.failed[name] = broken.get(above, "nothing was heard of it")

    def summary(self):
        return f"{len(self.passed)} passed, {len(self.failed)} failed, {len(self.skipped)} skipped"

    def page(self, version):
        text = ["# Tempest", "",
                f"The smoke set of Debian's Tempest {version} against the lab of the README, three controllers and a",
                f"compute host: {self.summary()}. Written by tests/lab/tempest.py.", ""]
        if self.failed:
            text += ["## Failed", ""]
            for name, said in sorted(self.failed.items()):
                why = next((why for part, why in WHY.items() if part in name), "not explained yet")
                text += [f"- `{name}`: {why}." + (f" It says `{said[:300]}`." if said else "")]
            text += [""]
        if self.skipped:
            reasons = defaultdict(list)
            for name, reason in self.skipped.items():
                reasons[reason].append(name)
            text += ["## Skipped", ""]
            for reason, names in sorted(reasons.items()):
                text += [f"- {reason}:", *(f"    - `{name}`" for name in sorted(names))]
            text += [""]
        text += ["## Passed", "", *(f"- `{name}`" for name in sorted(self.passed)), ""]
        return "\n".join(text)


def main():
    lab = Lab(sys.argv[1])
    regex = sys.argv[2] if len(sys.argv) > 2 else SMOKE
    expect(lab.stands, "KOLLA_TEST_SITE does not name a site")
    lab.kolla("build", "tempest", "--registry", f"127.0.0.1:{REGISTRY_PORT}")
    api = Api(lab)
    image = api.get("image", f"/v2/images/{api.demo()['image']['id']}")
    with flavors(api, image) as refs:
        names, lines = tempest(lab, settings(lab, api, image, refs), regex)
        api.login()
    results = Results(names, lines)
    if regex == SMOKE:
        version = subprocess.run(["docker", "run", "--rm", lab.image("tempest"), "dpkg-query", "-W", "-f", "${Version}",
                                  "python3-tempest"], check=True, text=True, stdout=subprocess.PIPE).stdout
        with open(PAGE, "w", encoding="utf-8") as file:
            file.write(results.page(version))
    for name, said in results.failed.items():
        say(f"failed: {name}: {said}")
    print(f"\n{results.summary()}", flush=True)
    sys.exit(1 if results.failed or not results.passed else 0)


if __name__ == "__main__":
    main()
