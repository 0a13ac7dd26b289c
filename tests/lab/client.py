"""The real `openstack` command, in a container of its image beside the cloud."""

import json
import os
import shlex
import subprocess

from lab import NAME, Failed

# The client takes seconds to begin. This one has begun already when a command comes, and gives each its own process.
ONE = r"""
import json, os, sys, tempfile
import openstack, openstackclient.shell
import openstackclient.compute.v2.server, openstackclient.identity.v3.token
import openstackclient.image.v2.image, openstackclient.network.v2.network
for line in sys.stdin:
    out, err = tempfile.TemporaryFile(), tempfile.TemporaryFile()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            code = openstackclient.shell.main(json.loads(line))
        except SystemExit as end:
            code = end.code if isinstance(end.code, int) else 1
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    texts = []
    for file in out, err:
        file.seek(0)
        texts.append(file.read().decode(errors="replace"))
    print(json.dumps([code, *texts]), flush=True)
"""


class Client:
    """Called with a command line without its first word, it answers with what the client says."""

    def __init__(self, lab):
        self.image, self.clouds = lab.image("client"), os.path.join(lab.site, "clouds.yaml")
        self.container = f"kolla-test-{NAME}-client"

    def __enter__(self):
        self.remove()
        subprocess.run(
            ["docker", "run", "--detach", "--rm", "--network", "host", "--name", self.container,
             "--env", "no_proxy=*", "--env", "NO_PROXY=*", self.image, "sleep", "infinity"],
            check=True, stdout=subprocess.DEVNULL)
        # Only the container's user may read it there, as only its owner here.
        with open(self.clouds, "rb") as file:
            subprocess.run(
                ["docker", "exec", "-i", "-u", "0", self.container, "sh", "-c",
                 "umask 077 && cat > /etc/openstack/clouds.yaml && chown 42400 /etc/openstack/clouds.yaml"],
                check=True, stdin=file)
        self.process = subprocess.Popen(
            ["docker", "exec", "-i", self.container, "python3", "-c", ONE], text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        return self

    def __exit__(self, *_):
        self.process.stdin.close()
        self.process.wait()
        self.remove()

    def remove(self):
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run(["docker", "rm", "-f", self.container], check=False, **quiet)

    def __call__(self, command, code=0):
        """What it says: what it prints, or its complaint where it is expected to fail."""
        words = ["--os-cloud", "kolla-admin", *shlex.split(command)]
        self.process.stdin.write(json.dumps(words) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise Failed("the client's container ended")
        ended, out, err = json.loads(answer)
        if code is not None and ended != code:
            raise Failed(f"openstack {command}: exit {ended}, expected {code}: {err.strip() or out.strip()}")
        return err if code else out

    def json(self, command):
        return json.loads(self(f"{command} -f json"))

    def shell(self, script):
        """Something beside it in the container."""
        done = subprocess.run(["docker", "exec", self.container, "sh", "-ec", script], text=True, check=True,
                              stdout=subprocess.PIPE)
        return done.stdout
