# shellcheck shell=dash
# Looks at a host. Every answer is a record `word value`, ended by a NUL; the last one is `end`.
LC_ALL=C PATH=$PATH:/usr/sbin:/sbin:/usr/bin:/bin
export LC_ALL PATH
say() { printf '%s %s\0' "$1" "$2"; }
# The whole of a file, the first line of a file: the latter without a process.
whole() { [ -r "$2" ] && { printf '%s ' "$1"; cat "$2"; printf '\0'; }; }
first() { v=; [ -r "$1" ] && { IFS= read -r v <"$1"; } 2>/dev/null; printf '%s' "$v"; }
field() { v=; [ -r "$2" ] && { IFS= read -r v <"$2"; } 2>/dev/null; [ -z "$v" ] || printf '%s %s\0' "$1" "$v"; }

leased=
lease() { # note seconds: takes the site's lease at this host, or says who has it
    # Where `exec` cannot open a file, it ends the shell.
    true >>/run/kolla.lease || return 0
    exec 9>>/run/kolla.lease
    if flock -w "$2" 9; then
        leased=1
        printf '%s\n' "$1" >/run/kolla.lease
        say lease granted
    else
        exec 9>&-
        printf 'holder '; cat /run/kolla.lease; printf '\0'
    fi
}

hold() { # seconds: until the session ends, or nobody was heard of for so long
    printf 'end \0'
    [ -n "$leased" ] || return 0
    while [ -n "$(exec 9>&-; timeout "$1" head -c 1)" ]; do :; done
    : >/run/kolla.lease
}

facts() { # engine socket
    say time "$(date +%s%N)"
    say uname "$(uname -nrm)"
    whole os /etc/os-release
    say cpus "$(nproc)"
    field meminfo /proc/meminfo
    field limit /sys/fs/cgroup/memory.max
    field limit /sys/fs/cgroup/memory/memory.limit_in_bytes
    say disk "$(df -Pk /var/lib)"
    say open_files "$(ulimit -Hn)"
    if [ -e /sys/fs/cgroup/cgroup.controllers ]; then say cgroup 2; else say cgroup 1; fi
    [ -d /run/systemd/system ] && say systemd 1
    [ -c /dev/kvm ] && say kvm 1
    { [ -d /sys/module/openvswitch ] || modprobe -nq openvswitch; } && say openvswitch 1
    # In most containers systemd says which kind; asking for virtual machines, too, takes as long as all the rest of this.
    v=; read -r v </run/systemd/container
    case $v in docker | lxc | podman | systemd-nspawn) ;; *) v=$(systemd-detect-virt) ;; esac
    say virt "$v"
    for v in chrony:/run/chrony/chronyd.pid ntp:/run/ntpd.pid openntpd:/run/openntpd.pid; do
        pid=; [ -r "${v#*:}" ] && read -r pid <"${v#*:}"
        [ -n "$pid" ] && [ -d "/proc/$pid" ] && say time_service "${v%%:*}"
    done
    [ -d /run/systemd/timesync ] && say time_service systemd-timesyncd
    for d in /sys/class/net/*/; do
        d=${d%/}
        [ -e "$d/mtu" ] || continue
        printf 'interface %s ' "${d##*/}"; first "$d/flags"; printf ' '; first "$d/mtu"; printf ' '; first "$d/address"
        printf '\0'
    done
    say addresses "$(ip -o addr show)"
    whole routes /proc/net/route
    say listening "$(ss -Hltn)"
    whole hosts /etc/hosts
    if grep -q " 00010000 .*/${1##*/}\$" /proc/net/unix; then say engine 1; fi
    case $1 in
    *podman*) root=/var/lib/containers/storage ;;
    *) root=$(sed -n 's/.*"data-root"[^"]*"\([^"]*\)".*/\1/p' /etc/docker/daemon.json) ;;
    esac
    say root "${root:=/var/lib/docker}"
    for v in "$root"/volumes/*/; do
        v=${v%/}
        [ -d "$v" ] && say volume "${v##*/}"
    done
}

# Names are looked up file by file, which takes longer than all the rest: not for root's, which are most.
listed() {
    find "$@" -printf 'file %y %m %U:%G %p\0' \
        \( -uid 0 -gid 0 -printf 'owner root:root\0' -o -printf 'owner %u:%g\0' \) -printf 'link %l\0'
}
folders() { listed "$@"; find "$@" -type f -exec sha256sum -z -- {} +; }
files() { listed "$@" -maxdepth 0; find "$@" -maxdepth 0 -type f -exec sha256sum -z -- {} +; }
# Not by `read`: it takes byte after byte, and these files answer only the first.
sysctls() { say sysctls "$(cd /proc/sys && grep -sH '' "$@")"; }
units() { for u; do say unit "$u $(systemctl show --property=ActiveState --value -- "$u")"; done; }
packages() {
    if command -v dpkg-query >/dev/null; then
        say packages "$(dpkg-query -W -f '${db:Status-Status} ${Package} ${Version}\n' "$@")"
    else
        say packages "$(rpm -q --qf 'installed %{NAME} %{VERSION}-%{RELEASE}\n' "$@")"
    fi
}
