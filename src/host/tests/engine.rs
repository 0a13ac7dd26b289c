//! The container engine, over both wires.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};

use indexmap::IndexMap;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::*;

/// An engine that starts a program in a container, and never says that it ended.
async fn engine_with_a_program_that_hangs(socket: PathBuf, pid: u32) {
    let listener = tokio::net::UnixListener::bind(socket).unwrap();
    while let Ok((mut stream, _)) = listener.accept().await {
        tokio::spawn(async move {
            let (mut asked, mut piece) = (String::new(), [0; 4096]);
            // Each request comes in one piece with its end in it; bodies may be a piece of their own.
            while let Ok(some @ 1..) = stream.read(&mut piece).await {
                asked += &String::from_utf8_lossy(&piece[..some]);
                let length =
                    asked.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
                let Some((head, body)) = asked.split_once("\r\n\r\n") else { continue };
                if body.len() < length.unwrap_or(0) {
                    continue;
                }
                let json = |status: &str, body: &str| {
                    format!(
                        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len()
                    )
                };
                let answer = match head.split(' ').nth(1).unwrap().rsplit('/').next().unwrap() {
                    "exec" => json("201 Created", r#"{"Id":"e"}"#),
                    "start" => "HTTP/1.1 101 UPGRADED\r\nconnection: Upgrade\r\nupgrade: tcp\r\n\r\n".to_owned(),
                    "json" => json("200 OK", &format!(r#"{{"ID":"e","Running":true,"Pid":{pid}}}"#)),
                    other => panic!("{other}"),
                };
                stream.write_all(answer.as_bytes()).await.unwrap();
                if answer.contains("UPGRADED") {
                    std::future::pending::<()>().await;
                }
                asked.clear();
            }
        });
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_hangs_in_a_container_is_given_up_and_ended() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("engine.sock");
    let mut program = Command::new("sleep").arg("60").stdout(Stdio::null()).process_group(0).spawn().unwrap();
    let engine = tokio::spawn(engine_with_a_program_that_hangs(socket.clone(), program.id()));
    until(|| socket.exists()).await;
    let machine =
        here::connect(&HostSpec { engine_socket: socket.to_str().unwrap().into(), ..this_machine() }, None).unwrap();
    let argv = ["mariadb".to_owned()];
    let late = machine.exec_within("mariadb", "", &argv, b"GRANT", Duration::from_secs(1)).await.unwrap_err();
    assert_eq!(late.to_string(), "localhost: in mariadb: mariadb: no answer within 1 s");
    let began = Instant::now();
    let ended = loop {
        match program.try_wait().unwrap() {
            Some(ended) => break ended,
            None => assert!(began.elapsed() < SOON),
        }
        tokio::task::yield_now().await;
    };
    assert_eq!(ended.signal(), Some(15));
    engine.abort();
}

/// An image with a shell and a few programs of this machine, imported under a name that only this test uses.
async fn image(machine: &dyn Machine, name: &str) -> String {
    let script = format!(
        "set -e; files=$(for p in /bin/sh /bin/cat /bin/sleep /usr/bin/id; do echo $p; ldd $p | grep -o '/[^ ]*'; done | sort -u)\n\
         tar -chP $files /etc/passwd /etc/group | docker import --change 'LABEL {name}=1' - {name} >/dev/null"
    );
    let made = machine.run(&script, b"").await.unwrap();
    assert_eq!(made.code, 0, "{}", made.stderr);
    machine.image(name).await.unwrap().unwrap().id
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, sshd and an engine"]
async fn the_engine_through_both_wires() {
    let server = Sshd::new("");
    let over_ssh = server.machine("control01").await;
    let here = here::connect(&this_machine(), None).unwrap();
    let tag = format!("kolla-test-{}", std::process::id());
    let id = image(&*over_ssh, &tag).await;
    for (machine, wire) in [(over_ssh.clone(), "ssh"), (here, "here")] {
        let (name, volume) = (format!("{tag}-{wire}"), format!("{tag}-{wire}-v"));
        machine.volume_create(&volume, &[("kolla.site".into(), "x".into())].into()).await.unwrap();
        assert!(machine.volumes("kolla.site=x").await.unwrap().contains(&volume));
        let mut spec = ContainerSpec {
            name: name.clone(),
            image: id.clone(),
            command: ["/bin/sh", "-c", "trap 'exit 7' TERM; echo out $A; echo err >&2; sleep 60 & wait"]
                .map(String::from)
                .to_vec(),
            env: IndexMap::from([("A".into(), "b c".into())]),
            mounts: vec![format!("{volume}:/data")],
            tmpfs: vec!["/run:size=1m".into()],
            labels: [("kolla.site".into(), "x".into())].into(),
            ..ContainerSpec::default()
        };
        machine.create(&spec).await.unwrap();
        let again = cause(machine.create(&spec).await);
        assert!(matches!(again, HostCause::Engine { status: 409, .. }), "{again}");
        machine.start(&name).await.unwrap();
        machine.start(&name).await.unwrap();
        let seen = machine.containers().await.unwrap()[&name].clone();
        assert_eq!(
            (seen.state.as_str(), seen.image_id.as_str(), seen.labels["kolla.site"].as_str()),
            ("running", &*id, "x")
        );
        let look = machine.look(&LookRequest::default()).await.unwrap();
        assert!(look.containers.contains_key(&name) && look.volumes.contains(&volume), "{:?}", look.volumes);

        let argv = |words: &str| ["/bin/sh", "-c", words].map(String::from).to_vec();
        let bytes = "line\n".repeat(100_000).into_bytes();
        let output = machine.exec(&name, "daemon", &argv("cat; id -un >&2; exit 5"), &bytes).await.unwrap();
        assert_eq!((output.code, output.stdout == bytes, output.stderr.as_str()), (5, true, "daemon\n"));
        assert_eq!(machine.exec(&name, "", &argv("echo no input; exit 0"), b"").await.unwrap().text(), "no input\n");
        let began = Instant::now();
        loop {
            let mut log = machine.logs(&name, 10).await.unwrap();
            log.sort();
            if log == ["err", "out b c"] {
                break;
            }
            assert!(began.elapsed() < SOON, "{log:?}");
        }
        let (ended, stopped) = tokio::join!(machine.wait(&name), machine.stop(&name, 10));
        stopped.unwrap();
        assert_eq!(ended.unwrap(), 7);
        machine.stop(&name, 10).await.unwrap();
        assert!(matches!(cause(machine.kill(&name, "SIGUSR2").await), HostCause::Engine { status: 409 | 500, .. }));
        let old = format!("{name}_previous");
        machine.rename(&name, &old).await.unwrap();
        assert!(matches!(cause(machine.volume_remove(&volume).await), HostCause::Engine { status: 409, .. }));
        machine.remove(&old).await.unwrap();
        machine.remove(&old).await.unwrap();
        machine.volume_remove(&volume).await.unwrap();
        machine.volume_remove(&volume).await.unwrap();
        assert!(!machine.volumes("kolla.site=x").await.unwrap().contains(&volume));
        spec.image = format!("{tag}:missing");
        assert!(matches!(cause(machine.create(&spec).await), HostCause::Engine { status: 404, .. }));
        assert!(matches!(cause(machine.start("no-such").await), HostCause::Engine { status: 404, .. }));
        // Nothing listens there: the error is the engine's own.
        let pulled = machine.pull("127.0.0.1:1/kolla/none:1", None, &|_, _| {}).await;
        assert!(matches!(cause(pulled), HostCause::Engine { .. }));
    }
    let listed = over_ssh.images(&tag).await.unwrap();
    let [found] = &listed[..] else { panic!("{listed:?}") };
    assert_eq!((&found.id, &found.names[..]), (&id, &[format!("{tag}:latest")][..]));
    assert!(found.size > 0, "{found:?}");
    over_ssh.image_remove(&tag).await.unwrap();
    over_ssh.image_remove(&tag).await.unwrap();
    assert_eq!(over_ssh.images(&tag).await.unwrap(), []);
    assert_eq!(over_ssh.image(&tag).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, sshd and an engine"]
async fn a_container_gets_its_limits_or_is_refused() {
    let machine = here::connect(&this_machine(), None).unwrap();
    let tag = format!("kolla-test-limits-{}", std::process::id());
    let mut spec = ContainerSpec {
        name: tag.clone(),
        image: image(&*machine, &tag).await,
        command: ["/bin/sleep", "60"].map(String::from).to_vec(),
        memory: 64 << 20,
        ulimits: IndexMap::from([("nofile".into(), (100, 200))]),
        resources: Resources {
            mem_reservation: 32 << 20,
            memswap_limit: -1,
            cpu_period: 50_000,
            cpu_quota: 25_000,
            cpu_shares: 256,
            cpuset_cpus: "0".into(),
            cpuset_mems: "0".into(),
            blkio_weight: 0,
        },
        ..ContainerSpec::default()
    };
    machine.create(&spec).await.unwrap();
    machine.start(&tag).await.unwrap();
    // What the kernel says, in either version of its groups.
    let script = "cat /proc/1/limits; cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes; echo -; \
                  cat cpu.max cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us; echo -; cat cpuset.cpus cpuset/cpuset.cpus; true";
    let argv = ["/bin/sh", "-c", script].map(String::from);
    let said = machine.exec(&tag, "", &argv, b"").await.unwrap().text();
    let files = said.lines().find(|line| line.starts_with("Max open files")).unwrap().to_owned();
    assert_eq!(files.split_whitespace().skip(3).take(2).collect::<Vec<_>>(), ["100", "200"]);
    let groups: Vec<String> = said[said.find("Max realtime timeout").unwrap()..]
        .split_once('\n')
        .map(|(_, rest)| rest.split('-').map(|part| part.split_whitespace().collect::<Vec<_>>().join(" ")).collect())
        .unwrap();
    assert_eq!(groups, ["67108864", "25000 50000", "0"], "{said}");
    machine.remove(&tag).await.unwrap();
    // Not every kernel has it: then there is no container without it.
    spec.resources.blkio_weight = 300;
    let there = match machine.create(&spec).await {
        Ok(_) => true,
        Err(error) => {
            assert!(error.to_string().contains("discarded"), "{error}");
            false
        }
    };
    assert_eq!(machine.containers().await.unwrap().contains_key(&tag), there);
    machine.remove(&tag).await.unwrap();
    machine.image_remove(&tag).await.unwrap();
}
