"""Flat YAML files of `name: value` lines, as passwords.yml and the lab's globals.yml are."""

import re


def read(path):
    found = {}
    with open(path, encoding="utf-8") as file:
        for line in file:
            match = re.match(r"(\w+):\s*(.*?)\s*$", line)
            if match:
                found[match.group(1)] = match.group(2).strip("'\"")
    return found
