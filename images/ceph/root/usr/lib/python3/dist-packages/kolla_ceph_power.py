"""How hard the cluster works to have data where they should be: one number from 0 to 11, as operators of ASM know it.

Ceph 18.2 schedules by mClock: the profile says which part of a disk's operations is for moving data and which for
clients. It ignores the limits of moves at a time unless `osd_mclock_override_recovery_settings` is true, and it ignores
`osd_recovery_sleep` always. So each power is a profile with two limits. They are in the cluster's own configuration,
which is where `power` reads them again.
"""

OVERRIDE, BACKFILLS, ACTIVE, PROFILE = (
    "osd_mclock_override_recovery_settings", "osd_max_backfills", "osd_recovery_max_active", "osd_mclock_profile",
)
# By power: the profile, placement groups that an OSD moves at a time, and objects that it restores at a time. Of 0,
# the flag `norebalance` is all: copies that are missing are still made. 3 is what Ceph does by itself, with 3 objects
# for a hard disk and 10 for another.
POWERS = {
    1: ("high_client_ops", 1, 1),
    2: ("high_client_ops", 1, 3),
    3: ("balanced", None, None),
    4: ("balanced", 2, 5),
    5: ("balanced", 3, 6),
    6: ("balanced", 4, 8),
    7: ("high_recovery_ops", 4, 8),
    8: ("high_recovery_ops", 5, 10),
    9: ("high_recovery_ops", 6, 12),
    10: ("high_recovery_ops", 8, 16),
    11: ("high_recovery_ops", 10, 20),
}
# What an OSD without these options has.
UNSET = {PROFILE: "balanced", OVERRIDE: "false", BACKFILLS: None, ACTIVE: None}


def stored(cluster):
    """What the cluster's configuration says to all OSDs."""
    found = {entry["name"]: entry["value"] for entry in cluster.mon("config dump")
             if entry["section"] == "osd" and not entry["mask"]}
    return {name: found.get(name, default) for name, default in UNSET.items()}


def options(level):
    """Options of a power, as the configuration has them."""
    profile, backfills, active = POWERS[level]
    if backfills is None:
        return {**UNSET, PROFILE: profile}
    return {PROFILE: profile, OVERRIDE: "true", BACKFILLS: str(backfills), ACTIVE: str(active)}


def power(cluster, dump=None):
    """The power that the cluster has; `custom` if somebody has set something else."""
    if "norebalance" in (dump or cluster.mon("osd dump"))["flags"].split(","):
        return 0
    found = stored(cluster)
    return next((level for level in POWERS if options(level) == found), "custom")


def set_power(cluster, level):
    if level == 0:
        cluster.mon("osd set", key="norebalance")
        return
    wanted, found = options(level), stored(cluster)
    # An OSD that does not see that limits are allowed takes them out of the configuration again: that they are comes
    # first, and goes last.
    order = [OVERRIDE, PROFILE, BACKFILLS, ACTIVE]
    for name in order if wanted[OVERRIDE] == "true" else reversed(order):
        if wanted[name] == found[name]:
            continue
        if wanted[name] == UNSET[name]:
            cluster.mon("config rm", who="osd", name=name)
        else:
            cluster.mon("config set", who="osd", name=name, value=wanted[name])
    cluster.mon("osd unset", key="norebalance")


def differs(cluster, level):
    """What is not yet as this power wants it; none if all is, also in the OSDs that run."""
    dump = cluster.mon("osd dump")
    found = power(cluster, dump)
    if found != level:
        return f"the cluster's power is {found}, not {level}"
    wanted = {} if level == 0 else {name: value for name, value in options(level).items() if value is not None}
    for osd in dump["osds"]:
        for name, value in wanted.items() if osd["up"] else ():
            answer = cluster.tell_osd(osd["osd"], "config get", var=name) or {}
            if str(answer.get(name)) != value:
                return f"osd.{osd['osd']} still has {name} {answer.get(name)}, not {value}"
    return None
