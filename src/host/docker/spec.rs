//! What a container is to be, in the engine's words.

use bollard::models::{
    ContainerCreateBody, DeviceMapping, HealthConfig, HostConfig, HostConfigCgroupnsModeEnum, ResourcesUlimits,
    RestartPolicy, RestartPolicyNameEnum,
};

use super::super::{ContainerSpec, Health};

/// The body of the request that creates it. What is empty is left to the image, or to the engine's configuration
/// (the log driver, above all).
pub(super) fn body(spec: &ContainerSpec) -> ContainerCreateBody {
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        cmd: some(&spec.command),
        env: some(&spec.env.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()),
        user: text(&spec.user),
        labels: Some(spec.labels.clone().into_iter().collect()),
        healthcheck: spec.health.as_ref().map(health),
        stop_timeout: Some(i64::from(spec.stop_timeout)).filter(|seconds| *seconds > 0),
        host_config: Some(host(spec)),
        ..ContainerCreateBody::default()
    }
}

fn host(spec: &ContainerSpec) -> HostConfig {
    let restart = if spec.restart { RestartPolicyNameEnum::UNLESS_STOPPED } else { RestartPolicyNameEnum::NO };
    let limit = |(name, (soft, hard)): (&String, &(i64, i64))| ResourcesUlimits {
        name: Some(name.clone()),
        soft: Some(*soft),
        hard: Some(*hard),
    };
    let folder = |entry: &String| {
        let (path, options) = entry.split_once(':').unwrap_or((entry, ""));
        (path.to_owned(), options.to_owned())
    };
    let resources = &spec.resources;
    let number = |number: i64| Some(number).filter(|number| *number != 0);
    HostConfig {
        network_mode: text(&spec.network).or_else(|| Some("host".to_owned())),
        pid_mode: text(&spec.pid),
        ipc_mode: text(&spec.ipc),
        cgroupns_mode: match spec.cgroupns.as_str() {
            "host" => Some(HostConfigCgroupnsModeEnum::HOST),
            "private" => Some(HostConfigCgroupnsModeEnum::PRIVATE),
            _ => None,
        },
        restart_policy: Some(RestartPolicy { name: Some(restart), maximum_retry_count: None }),
        binds: some(&spec.mounts),
        tmpfs: (!spec.tmpfs.is_empty()).then(|| spec.tmpfs.iter().map(folder).collect()),
        devices: (!spec.devices.is_empty()).then(|| spec.devices.iter().map(|device| mapping(device)).collect()),
        privileged: Some(spec.privileged),
        cap_add: some(&spec.cap_add),
        security_opt: some(&spec.security_opt),
        // A service knows how many it needs; Podman's own limit is 2048.
        pids_limit: Some(-1),
        memory: number(spec.memory),
        memory_reservation: number(resources.mem_reservation),
        memory_swap: number(resources.memswap_limit),
        cpu_period: number(resources.cpu_period),
        cpu_quota: number(resources.cpu_quota),
        cpu_shares: number(resources.cpu_shares),
        cpuset_cpus: text(&resources.cpuset_cpus),
        cpuset_mems: text(&resources.cpuset_mems),
        blkio_weight: number(resources.blkio_weight).and_then(|weight| weight.try_into().ok()),
        nano_cpus: (spec.cpus > 0.0).then(|| nanos(spec.cpus)),
        ulimits: (!spec.ulimits.is_empty()).then(|| spec.ulimits.iter().map(limit).collect()),
        ..HostConfig::default()
    }
}

/// The service reads and writes it, and makes no other devices.
fn mapping(device: &str) -> DeviceMapping {
    // Paths on the host may have colons of their own.
    let (host, container) = device.rsplit_once(':').unwrap_or((device, device));
    DeviceMapping {
        path_on_host: text(host),
        path_in_container: text(container),
        cgroup_permissions: Some("rw".to_owned()),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "no machine has 9 billion processors")]
fn nanos(cpus: f64) -> i64 {
    (cpus * 1e9).round() as i64
}

fn health(health: &Health) -> HealthConfig {
    let nanos = |seconds: u32| Some(i64::from(seconds) * 1_000_000_000).filter(|nanos| *nanos > 0);
    HealthConfig {
        test: Some(vec!["CMD-SHELL".to_owned(), health.test.clone()]),
        interval: nanos(health.interval),
        timeout: nanos(health.timeout),
        retries: Some(i64::from(health.retries)).filter(|retries| *retries > 0),
        start_period: nanos(health.start_period),
        ..HealthConfig::default()
    }
}

fn some(list: &[String]) -> Option<Vec<String>> {
    Some(list.to_vec()).filter(|list| !list.is_empty())
}

fn text(word: &str) -> Option<String> {
    Some(word.to_owned()).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::super::super::Resources;
    use super::*;

    #[test]
    fn every_field_reaches_the_engine() {
        let spec = ContainerSpec {
            name: "mariadb".into(),
            image: "sha256:1".into(),
            env: [("A".to_owned(), "b=c".to_owned())].into_iter().collect(),
            mounts: vec!["mariadb:/var/lib/mysql".into()],
            tmpfs: vec!["/run:size=64m".into(), "/tmp".into()],
            devices: vec!["/dev/disk/by-path/pci-0:1:/dev/osd".into()],
            cgroupns: "host".into(),
            cpus: 1.5,
            memory: 1 << 30,
            ulimits: [("nofile".to_owned(), (1024, 2048))].into_iter().collect(),
            resources: Resources {
                mem_reservation: 1 << 29,
                memswap_limit: -1,
                cpu_period: 50_000,
                cpu_quota: 25_000,
                cpu_shares: 512,
                cpuset_cpus: "0-1".into(),
                cpuset_mems: "0".into(),
                blkio_weight: 300,
            },
            health: Some(Health { test: "true".into(), interval: 30, ..Health::default() }),
            restart: true,
            stop_timeout: 60,
            ..ContainerSpec::default()
        };
        let json = serde_json::to_value(body(&spec)).unwrap();
        let expected = serde_json::json!({
            "Env": ["A=b=c"],
            "Healthcheck": {"Test": ["CMD-SHELL", "true"], "Interval": 30_000_000_000_i64},
            "Image": "sha256:1",
            "Labels": {},
            "StopTimeout": 60,
            "HostConfig": {
                "Memory": 1 << 30, "MemoryReservation": 1 << 29, "MemorySwap": -1, "NanoCpus": 1_500_000_000,
                "CpuPeriod": 50_000, "CpuQuota": 25_000, "CpuShares": 512, "CpusetCpus": "0-1", "CpusetMems": "0",
                "BlkioWeight": 300,
                "Ulimits": [{"Name": "nofile", "Soft": 1024, "Hard": 2048}],
                "Devices": [{
                    "PathOnHost": "/dev/disk/by-path/pci-0:1", "PathInContainer": "/dev/osd", "CgroupPermissions": "rw",
                }],
                "Binds": ["mariadb:/var/lib/mysql"], "NetworkMode": "host",
                "RestartPolicy": {"Name": "unless-stopped"}, "CgroupnsMode": "host", "Privileged": false,
                "Tmpfs": {"/run": "size=64m", "/tmp": ""}, "PidsLimit": -1,
            },
        });
        assert_eq!(json, expected);
    }
}
