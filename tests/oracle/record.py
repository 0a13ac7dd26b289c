#!/usr/bin/env python3
"""Records what Ansible and Kolla-Ansible make of the inputs in tests/cases/templates and tests/cases/merges.

Needs Python 3.11 or newer and a configured pip. The answers are data of the tests in tests/suite/oracle.rs, which
need none of this: run it again only when inputs or releases change.
"""

import os
import pathlib
import subprocess
import sys
import tempfile
import zipfile

# The release of Ansible's collections that belongs to this core; of it only `ansible.utils` is taken.
RELEASES = ["ansible-core==2.19.*", "kolla-ansible==22.2.0", "passlib==1.7.4"]
COLLECTIONS = "ansible==12.3.0"


def main():
    here = pathlib.Path(__file__).resolve().parent
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(temporary)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        python = folder / "venv/bin/python"
        pip = [python, "-m", "pip", "--disable-pip-version-check", "-q"]
        subprocess.run([*pip, "install", *RELEASES], check=True)
        # Passlib cannot use the newer one that Kolla-Ansible asks for.
        subprocess.run([*pip, "install", "--no-deps", "bcrypt==4.0.1"], check=True)
        subprocess.run([*pip, "download", "--no-deps", "-d", folder, COLLECTIONS], check=True)
        for wheel in folder.glob("ansible-*.whl"):
            with zipfile.ZipFile(wheel) as archive:
                wanted = [name for name in archive.namelist() if name.startswith("ansible_collections/ansible/utils/")]
                archive.extractall(folder / "collections", wanted)
        # Sets keep their order from run to run.
        environment = {**os.environ, "PYTHONHASHSEED": "0"}
        subprocess.run([python, here / "answer.py", folder / "collections"], check=True, env=environment)


if __name__ == "__main__":
    main()
