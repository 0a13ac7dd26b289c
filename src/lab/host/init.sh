#!/bin/sh
# First process of a lab host: makes a container look like a bare machine at each of its boots, then becomes systemd.
# Nothing of this survives a stop of the container, so nothing of it can be done once at creation.
set -u
PATH=/usr/sbin:/usr/bin:/sbin:/bin

# Containers of the host's own engine mount /run and others as shared.
mount --make-rshared /

# Without --privileged the engine mounts the cgroup trees read-only (one on v2, one a controller on v1).
# A bind remount changes this mount only; a plain one would be refused as busy.
while read -r _ _ _ _ point _; do
    case $point in
    /sys/fs/cgroup | /sys/fs/cgroup/*) mount -o remount,rw,bind "$point" ;;
    esac
done </proc/self/mountinfo

# Tunnels and virtual machines want tun, an engine without overlay wants fuse.
mkdir -p /dev/net
[ -c /dev/net/tun ] || mknod -m 666 /dev/net/tun c 10 200
if grep -q ' fuse$' /proc/misc && [ ! -c /dev/fuse ]; then mknod -m 666 /dev/fuse c 10 229; fi

# The engine binds its own files here; a bound file cannot be replaced by a rename, as configuration is written.
# /etc/hosts keeps what was written at an earlier boot; the resolver may have changed and is taken anew.
for file in /etc/hosts /etc/hostname /etc/resolv.conf; do
    cat "$file" >/run/lab-copy
    umount "$file" || continue
    if [ "$file" = /etc/resolv.conf ] || [ ! -s "$file" ]; then cat /run/lab-copy >"$file"; fi
done
rm -f /run/lab-copy
# The engine names the host by all its addresses; a server's own name means its internal one.
sed -i "/^[0-9.]*[[:space:]]*$(uname -n)\$/{/^${KOLLA_LAB_ADDRESS}[[:space:]]/!d}" /etc/hosts

# eth0 is the internal network whatever order the engine attached them in; addresses survive `down`, routes do not.
have=$(ip -o -4 address show | awk -v want="$KOLLA_LAB_ADDRESS" '{ split($4, a, "/"); if (a[1] == want) print $2 }')
if [ -n "$have" ] && [ "$have" != eth0 ]; then
    ip link set eth0 down
    ip link set "$have" down
    ip link set eth0 name lab-swap
    ip link set "$have" name eth0
    ip link set lab-swap name "$have"
    ip link set eth0 up
    ip link set "$have" up
fi
ip route replace default via "$KOLLA_LAB_GATEWAY" dev eth0

# Two cables lead outside: eth1 is the host's own, with its address; eth2 is for routers of guests. And their tunnels
# end on an address of their own, on the bridge that has eth2: a switch in user space sends them by that.
if [ -d /sys/class/net/eth1 ]; then
    outside=$(ip -o -4 address show dev eth1 | awk '{ print $4 }')
    ip link set eth1 down
    ip address flush dev eth1
    ip link set eth1 name lab-outside
    ip link add eth1 type bridge forward_delay 0
    ip link add eth2 type veth peer name lab-eth2
    for link in lab-outside lab-eth2; do
        ip link set "$link" master eth1
        ip link set "$link" up
    done
    ip address add "$outside" dev eth1
    ip link set eth1 up
    ip link set eth2 up
    mkdir -p /run/systemd/network
    printf '[Match]\nName=br-ex\n[Network]\nAddress=%s/16\nLinkLocalAddressing=no\nConfigureWithoutCarrier=yes\n' \
        "$KOLLA_LAB_TUNNEL" >/run/systemd/network/br-ex.network
fi

[ -s /etc/machine-id ] || systemd-machine-id-setup >/dev/null 2>&1
[ -f /etc/ssh/ssh_host_ed25519_key ] || ssh-keygen -q -t ed25519 -N '' -C '' -f /etc/ssh/ssh_host_ed25519_key

unset KOLLA_LAB_ADDRESS KOLLA_LAB_GATEWAY KOLLA_LAB_TUNNEL have file link outside point
exec /lib/systemd/systemd
