#!/usr/bin/env python3
"""Asks the real Ansible what inventories and host patterns mean, and records its answers for tests/suite/inventory.rs.

    tests/oracle/inventory.py [--venv FOLDER] [--kolla PROGRAM]

Without --venv, a virtual environment with ansible-core and kolla-ansible is made in a temporary folder (Python 3.11 or
newer, and pip, are needed). Recorded are

- tests/cases/inventory/NAME/expected.json: what `ansible-inventory --list` and `--graph` print for the sources of the
  case, one a line in `sources` (default: hosts), and its warnings;
- tests/cases/patterns/expected.json: what `ansible PATTERN --list-hosts` and `ansible all --limit PATTERN --list-hosts`
  print for each line of `patterns`.

The programs' own functions are called, each time in a fork of one that has started: a start takes a second.

Then Kolla-Ansible's own inventories, which are not in this repository, are read from its package by Ansible and by
`kolla inventory --list` and `--graph`, whose answers have to be equal.
"""

import argparse
import io
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import venv

ANSIBLE = "ansible-core==2.19.*"
KOLLA_ANSIBLE = "kolla-ansible==22.2.0"
REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
CASES = REPOSITORY / "tests/cases/inventory"
PATTERNS = REPOSITORY / "tests/cases/patterns"

# What Ansible says of every group with a dash in its name, as most of Kolla's have.
DASHES = "Invalid characters were found in group names"


def outside(options):
    """Makes the virtual environment, and goes on inside of it."""
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(options.venv or f"{temporary}/venv")
        if not options.venv:
            venv.create(folder, with_pip=True)
            pip = [folder / "bin/python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            subprocess.run([*pip, ANSIBLE], check=True)
            subprocess.run([*pip, "--no-deps", KOLLA_ANSIBLE], check=True)
        home = pathlib.Path(temporary, "home")
        home.mkdir()
        (home / "ansible.cfg").touch()
        environment = {
            "HOME": str(home),
            "PATH": os.environ["PATH"],
            "LC_ALL": "C.UTF-8",
            "COLUMNS": "1000",
            "ANSIBLE_CONFIG": str(home / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "ANSIBLE_DEPRECATION_WARNINGS": "0",
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        words = [folder / "bin/python", __file__, "--inside", "--kolla", options.kolla]
        return subprocess.run(words, check=False, env=environment).returncode


def fork(folder, work, *arguments):
    """Runs `work` in a fork that starts in a folder: what it returns, or None where it failed, and its stderr."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        child = os.fork()
        if child == 0:
            os.chdir(folder)
            os.dup2(err.fileno(), 2)
            code = 1
            try:
                out.write(json.dumps(work(*arguments)).encode())
                out.flush()
                code = 0
            except BaseException as error:  # Whatever stops the program is its answer.
                print(f"[ERROR]: {error}", file=sys.stderr)
            finally:
                sys.stderr.flush()
                os._exit(code)
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        answer = json.loads(out.read()) if os.waitstatus_to_exitcode(status) == 0 else None
        return answer, err.read().decode()


class Ansible:
    """Ansible's programs after their start, which is paid for once: what they do with inventories, and no more."""

    def __init__(self):
        from ansible.cli.inventory import InventoryCLI
        from ansible.inventory.manager import InventoryManager
        from ansible.parsing.dataloader import DataLoader
        from ansible.release import __version__
        from ansible.vars.manager import VariableManager

        self.version = __version__
        self.loader, self.manager, self.variables = DataLoader, InventoryManager, VariableManager
        self.program = InventoryCLI(["ansible-inventory", "-i", "localhost,", "--list"])
        stdout, sys.stdout = sys.stdout, io.StringIO()
        try:
            self.program.run()
        except SystemExit:
            pass
        finally:
            sys.stdout = stdout

    def read(self, sources):
        """The inventory of sources, named as the programs name them once their options are parsed."""
        loader = self.loader()
        loader.set_vault_secrets([])
        absolute = [source if "," in source else os.path.abspath(source) for source in sources]
        return loader, self.manager(loader=loader, sources=absolute)

    def show(self, sources):
        """What `ansible-inventory` prints with `--list` and `--graph`."""
        program = self.program
        program.loader, program.inventory = self.read(sources)
        program.vm = self.variables(loader=program.loader, inventory=program.inventory)
        listed = program.dump(program.json_inventory(program._get_group("all")))
        return {"list": json.loads(listed), "graph": program.inventory_graph().splitlines()}

    def hosts(self, sources, pattern, limit=None):
        """What `ansible PATTERN --list-hosts` prints, maybe with `--limit`."""
        _, inventory = self.read(sources)
        return [str(host) for host in self.program.get_host_list(inventory, limit, pattern)]


def complaints(text, folder):
    """The first lines of warnings and errors, without the folder's name."""
    lines = [line for line in text.splitlines() if line.startswith(("[WARNING]", "[ERROR]")) and DASHES not in line]
    return [line.replace(f"{folder}/", "").replace(str(folder), ".").strip() for line in lines]


def case(ansible, folder):
    """Records Ansible's answer for one case."""
    with tempfile.TemporaryDirectory() as temporary:
        copy = pathlib.Path(temporary).resolve() / folder.name
        shutil.copytree(folder, copy)
        listed = copy / "sources"
        sources = listed.read_text().splitlines() if listed.exists() else ["hosts"]
        answer, err = fork(copy, ansible.show, sources)
        answer = answer or {"list": None, "graph": None}
        said = complaints(err, copy)
        if said:
            answer["said"] = said
    (folder / "expected.json").write_text(json.dumps(answer, indent=1, ensure_ascii=False, sort_keys=True) + "\n")


def patterns(ansible):
    """Records Ansible's answers for all host patterns."""
    answers = []
    for line in (PATTERNS / "patterns").read_text().splitlines():
        pattern = line.split("\t")[0]
        direct, _ = fork(PATTERNS, ansible.hosts, ["hosts"], pattern)
        limited, err = fork(PATTERNS, ansible.hosts, ["hosts"], "all", pattern)
        answer = {"pattern": pattern, "hosts": direct, "limited": limited}
        said = complaints(err, PATTERNS)
        if said:
            answer["said"] = said
        answers.append(answer)
    lines = ",\n".join(json.dumps(answer, ensure_ascii=False) for answer in answers)
    (PATTERNS / "expected.json").write_text(f"[\n{lines}\n]\n")
    return len(answers)


def upstream(ansible, kolla):
    """Compares Ansible's and our reading of Kolla-Ansible's own inventories; how many differ."""
    differ = 0
    for name in ("all-in-one", "multinode"):
        file = next(path for path in pathlib.Path(sys.prefix).rglob(f"inventory/{name}") if path.is_file())
        expected, err = fork(file.parent, ansible.show, [str(file)])
        assert expected, err
        for form in ("list", "graph"):
            words = [kolla, "inventory", "-i", str(file), f"--{form}"]
            found = subprocess.run(words, capture_output=True, text=True, check=True).stdout
            found = json.loads(found) if form == "list" else found.splitlines()
            same = expected[form] == found
            differ += not same
            print(f"{name} --{form}: {'equal' if same else 'DIFFERENT'}")
        hosts = len({host for group in expected["list"].values() for host in group.get("hosts", [])})
        print(f"{name}: {len(expected['list']) - 1} groups that are not empty, {hosts} hosts")
    return differ


def inside(options):
    """Asks and records."""
    ansible = Ansible()
    print(f"ansible-core {ansible.version}", flush=True)
    folders = sorted(path for path in CASES.iterdir() if path.is_dir())
    for folder in folders:
        case(ansible, folder)
    print(f"{len(folders)} inventories recorded", flush=True)
    print(f"{patterns(ansible)} patterns recorded", flush=True)
    return 1 if upstream(ansible, options.kolla) else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--venv", help="a virtual environment with both packages")
    parser.add_argument("--kolla", default=str(REPOSITORY / "target/debug/kolla"), help="the program to compare")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    sys.exit(inside(options) if options.inside else outside(options))


if __name__ == "__main__":
    main()
