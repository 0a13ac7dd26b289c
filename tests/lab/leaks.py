"""Where a secret may end up by mistake. What is found is told by its name, never by its value."""

import os
import re
import subprocess
import threading
import time

SHORTEST = 8


def secret_values(path):
    """Secrets of a passwords.yml to their names: public halves of keys and uuids are none, and what is short is not
    told from other text. A private key counts by its lines."""
    found, name = {}, ""
    with open(path, encoding="utf-8") as file:
        for line in file:
            key, value = re.match(r"\s*(?:(\w+):)?\s*(.*?)\s*$", line).groups()
            name = key if key and not line[0].isspace() else name
            value = value.strip("'\"")
            if key == "public_key" or "uuid" in name or value.startswith(("#", "-----")) or len(value) < SHORTEST:
                continue
            found[value] = name
    return found


def names_in(text, values):
    return {name for value, name in values.items() if value in text}


# Of all logs under the folders that are the arguments: each secret that is in one, after the file's name.
SEARCH = r"""
umask 077
patterns=$(mktemp -p /run)
trap 'rm -f "$patterns"' EXIT
cat >"$patterns"
find "$@" -type f -name '*.log*' ! -name '*.gz' -exec grep -aHoFf "$patterns" {} + 2>/dev/null | sort -u
find "$@" -type f -name '*.log*.gz' 2>/dev/null | while read -r file; do
    zcat "$file" | grep -aoFf "$patterns" | sort -u | sed "s|^|$file:|"
done
"""


def in_logs(lab, host, values):
    """What a host's containers said: what the engine keeps of it, and the files they write themselves."""
    root = lab.engine(host, "/info")["DockerRootDir"]
    containers = {state[0]: name for name, state in lab.containers(host).items()}
    script = f"set -- {root}/containers {root}/volumes/kolla_logs/_data\n{SEARCH}"
    found = set()
    for line in lab.on(host, script, given="\n".join(values) + "\n").splitlines():
        path, _, value = line.partition(":")
        place = containers.get(os.path.basename(os.path.dirname(path)), path)
        found.add(f"{values.get(value, 'a secret')} in the log of {host}'s {place}")
    return found


def in_files(folder, values):
    """Files of this machine under a folder."""
    found = set()
    for base, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(base, name)
            with open(path, encoding="utf-8", errors="replace") as file:
                found |= {f"{secret} in {path}" for secret in names_in(file.read(), values)}
    return found


class Arguments:
    """Arguments of all processes that this machine sees, from now on. Those in the lab's hosts are among them."""

    def __init__(self):
        self.seen, self.stop = set(), False
        threading.Thread(target=self.run, daemon=True).start()

    def run(self):
        ages = {}
        while not self.stop:
            ages = {pid: ages.get(pid, -1) + 1 for pid in os.listdir("/proc") if pid.isdigit()}
            for pid, age in ages.items():
                # A process may become another program: soon after its start, as a rule.
                if age < 10 or age % 50 == 0:
                    self.look(pid)
            time.sleep(0.03)

    def look(self, pid):
        try:
            with open(f"/proc/{pid}/cmdline", "rb") as file:
                self.seen.add(file.read())
        except OSError:  # it ended
            pass

    def programs(self):
        return {os.path.basename(words.split(b"\0")[0]).decode(errors="replace") for words in set(self.seen)}

    def found(self, values):
        found = set()
        for words in set(self.seen):
            text = words.replace(b"\0", b" ").decode(errors="replace")
            program = os.path.basename(text.split(" ")[0])
            found |= {f"{name} in the arguments of {program}" for name in names_in(text, values)}
        return found


class EngineEvents:
    """What the engines of all hosts tell about themselves meanwhile, as the start of a program in a container."""

    LISTEN = r"""
        $| = 1;
        my $s = IO::Socket::UNIX->new("/var/run/docker.sock") or die "no engine\n";
        print $s "GET $ARGV[0] HTTP/1.0\r\nHost: engine\r\n\r\n";
        print while <$s>"""

    def __init__(self, lab, longest=1800):
        self.lab, self.longest = lab, longest

    def __enter__(self):
        now = int(time.time())
        path = f"/events?since={now}&until={now + self.longest}"
        self.streams = {}
        for host in self.lab.hosts:
            file = open(os.path.join(self.lab.folder, f"events-{host}"), "w+", encoding="utf-8", errors="replace")
            perl = ["perl", "-MIO::Socket::UNIX", "-e", self.LISTEN, path]
            command = ["docker", "exec", self.lab.container(host), *perl]
            self.streams[host] = (subprocess.Popen(command, stdout=file), file)
        return self

    def __exit__(self, *_):
        self.texts = {}
        for host, (process, file) in self.streams.items():
            process.terminate()
            process.wait()
            file.seek(0)
            self.texts[host] = file.read()
            file.close()

    def found(self, values):
        return {f"{name} in the events of {host}'s engine"
                for host, text in self.texts.items() for name in names_in(text, values)}
