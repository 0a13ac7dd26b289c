#!/usr/bin/env python3
"""Asks a whole validator whether the schemas are ones, and what it says of the files that they are for.

    tests/oracle/schemas.py target/debug/kolla

Needs Python's jsonschema and yaml (Debian: python3-jsonschema, python3-yaml).
"""
import json
import pathlib
import subprocess
import sys

import jsonschema
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]


def schema(kolla, name):
    value = json.loads(subprocess.run([kolla, "docs", "schema", name], check=True, capture_output=True).stdout)
    jsonschema.Draft7Validator.check_schema(value)
    return jsonschema.Draft7Validator(value)


def main():
    kolla = sys.argv[1]
    role, variables = schema(kolla, "role"), schema(kolla, "globals")
    files = [(role, path) for path in [*ROOT.glob("roles/*/role.yml"), ROOT / "docs/role.yml"]]
    files.append((variables, ROOT / "etc/globals.yml"))
    wrong = []
    for validator, path in files:
        errors = validator.iter_errors(yaml.safe_load(path.read_text()))
        wrong += [f"{path.relative_to(ROOT)}: {error.json_path}: {error.message[:200]}" for error in errors]
    for validator, text in [
        (role, "servcies: {}"),
        (role, "steps: [{database: {user: a}}]"),
        (role, "services: {a: {files: [{to: /a}]}}"),
        (role, "services: {a: {ready: {tcp: 'a:1', http: 'http://a'}}}"),
        (variables, "enable_mariadb: perhaps"),
        (variables, "memcached_port: eleven"),
        (variables, "a-b: 1"),
    ]:
        if validator.is_valid(yaml.safe_load(text)):
            wrong.append(f"taken: {text}")
    print("\n".join(wrong) or f"{len(files)} files are as the schemas say, the broken ones are not")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
