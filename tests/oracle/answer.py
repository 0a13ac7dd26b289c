"""Asks the installed Ansible and Kolla-Ansible; `record.py` runs this in their virtual environment."""

import copy
import importlib.util
import io
import json
import os
import pathlib
import sys

CASES = pathlib.Path(__file__).resolve().parent.parent / "cases"
TEMPLATES, MERGES = CASES / "templates", CASES / "merges"
KOLLA = pathlib.Path(sys.prefix) / "share/kolla-ansible/ansible"

os.environ["ANSIBLE_COLLECTIONS_PATH"] = sys.argv[1]
os.environ["ANSIBLE_DEPRECATION_WARNINGS"] = "0"
os.environ["KOLLA_ORACLE"] = "of the environment"
os.chdir(TEMPLATES)

import yaml  # noqa: E402
from ansible.inventory.manager import InventoryManager  # noqa: E402
from ansible.module_utils.common.text.converters import to_text  # noqa: E402
from ansible.parsing.dataloader import DataLoader  # noqa: E402
from ansible.plugins.loader import filter_loader, init_plugin_loader  # noqa: E402
from ansible.template import Templar, trust_as_template  # noqa: E402
from ansible.vars.hostvars import HostVars  # noqa: E402
from ansible.vars.manager import VariableManager  # noqa: E402


def variables(loader):
    """What templates see on the first host: facts.json, and vars.yml as extra variables."""
    inventory = InventoryManager(loader=loader, sources=[str(TEMPLATES / "inventory")])
    manager = VariableManager(loader=loader, inventory=inventory)
    for host, facts in json.loads((TEMPLATES / "facts.json").read_text())["ansible"].items():
        manager.set_host_facts(host, facts["ansible_facts"])
    manager._extra_vars = loader.load_from_file(str(TEMPLATES / "vars.yml"), trusted_as_template=True)
    HostVars(inventory, manager, loader)
    return manager.get_vars(host=inventory.get_host("h1"))


def answer(ask, *arguments):
    """The value as JSON, or the first line of the error."""
    try:
        value = ask(*arguments)
        return {"value": json.loads(json.dumps(value))}
    except Exception as error:
        return {"error": str(error).strip().split("\n")[0][:120]}


def record(path, answers):
    """One answer a line."""
    pairs = ([json.dumps(part, ensure_ascii=False) for part in pair] for pair in answers.items())
    lines = [f"{name}: {found}" for name, found in pairs]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    print(f"{path.name}: {len(answers)}, of them {sum('error' in found for found in answers.values())} errors")


def render(templar, text, escape_backslashes, overrides):
    template = templar.copy_with_new_env().template
    return to_text(template(text, escape_backslashes=escape_backslashes, overrides=overrides) or "")


def templates():
    loader = DataLoader()
    loader.set_basedir(str(TEMPLATES))
    known = variables(loader)
    templar = Templar(loader=loader, variables=known)
    answers = {}
    for line in (TEMPLATES / "expressions.txt").read_text().split("\n"):
        if line and not line.startswith("# "):
            # A line with a template in it is one; any other is an expression.
            text = line if "{{" in line or "{%" in line else "{{ " + line + " }}"
            answers[line] = answer(templar.template, trust_as_template(text))
    record(TEMPLATES / "expressions.json", answers)
    answers = {}
    for path in sorted((TEMPLATES / "whole").glob("*.j2")):
        with open(path, newline="") as file:
            text = trust_as_template(file.read())
        # As the module `template` renders a file, and as Kolla-Ansible's merges do.
        as_module = {"trim_blocks": True, "lstrip_blocks": False}
        for name, overrides in [("", as_module), (", merged", {"lstrip_blocks": True})]:
            answers[path.name + name] = answer(render, templar, text, bool(name), overrides)
    record(TEMPLATES / "whole.json", answers)
    # How YAML's own scalars are read.
    scalars = {}
    for line in (TEMPLATES / "scalars.txt").read_text().split("\n"):
        if line and not line.startswith("# "):
            scalars[line] = answer(lambda text: loader.load(text)["v"], "v: " + line)
    record(TEMPLATES / "scalars.json", scalars)


def plugin(name):
    spec = importlib.util.spec_from_file_location(name, KOLLA / "action_plugins" / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def merge_ini(module, sources):
    config = module.OverrideConfigParser()
    for source in sources:
        config.parse(io.StringIO(source))
    out = io.StringIO()
    config.write(out)
    return out.getvalue()


def merge_yaml(module, sources):
    merged = {}
    for source in sources:
        module.Utils.update_nested_conf(merged, yaml.safe_load(source) or {}, False)
    return yaml.dump(merged, default_flow_style=False, width=None)


def merges():
    for kind, name, merge in [("ini", "merge_configs", merge_ini), ("yaml", "merge_yaml", merge_yaml)]:
        module = plugin(name)
        cases = yaml.safe_load((MERGES / f"{kind}.yml").read_text())
        answers = {what: answer(merge, module, copy.deepcopy(sources)) for what, sources in cases.items()}
        record(MERGES / f"{kind}.json", answers)


if __name__ == "__main__":
    init_plugin_loader([sys.argv[1]])
    filter_loader.add_directory(str(KOLLA / "filter_plugins"))
    templates()
    merges()
