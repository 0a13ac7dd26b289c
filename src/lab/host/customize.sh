# shellcheck shell=sh
set -eu
rm -f "$1"/etc/ssh/ssh_host_* "$1"/etc/resolv.conf "$1"/etc/hostname "$1"/etc/apt/apt.conf.d/99mmdebstrap
: >"$1"/etc/machine-id
printf 'LAST_SYSTEM_UID=59999\nLAST_SYSTEM_GID=59999\n' >>"$1"/etc/adduser.conf
