//! The look, and the site's lease that comes with it.

use std::io::Read as _;

use super::*;

fn note(command: &str) -> LeaseNote {
    LeaseNote { user: "ops".into(), machine: "deploy".into(), pid: 7, since: "now".into(), command: command.into() }
}

/// Who has the lease, where it was not granted.
fn holder(grant: Grant) -> String {
    match grant {
        Grant::Held(note) => note.to_string(),
        Grant::Granted(_) => panic!("it was granted"),
    }
}

fn lease(grant: Grant) -> Lease {
    match grant {
        Grant::Granted(lease) => lease,
        Grant::Held(note) => panic!("{note}"),
    }
}

/// Only one test at a time may hold this machine's lease.
static LEASE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root, sshd and an engine"]
async fn one_look_tells_all_in_two_requests_and_takes_the_lease() {
    let _one = LEASE.lock().await;
    let server = Sshd::new("");
    let folder = server.at("etc");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("a b\\c'd"), "x").unwrap();
    std::os::unix::fs::symlink("a b", folder.join("link")).unwrap();
    let machine = server.machine("control01").await;
    let ask = LookRequest {
        folders: vec![folder.to_str().unwrap().into(), "/nowhere".into()],
        files: vec![server.at("config").to_str().unwrap().into(), server.at("nothing").to_str().unwrap().into()],
        sysctls: vec!["kernel.pid_max".into(), "no.such".into()],
        packages: vec!["coreutils".into(), "no-such-package".into()],
        units: vec!["no-such-unit".into()],
    };
    let (look, grant) = machine.look_and_lease(&ask, &note("kolla deploy")).await.unwrap();
    let held = lease(grant);
    assert_eq!(machine.requests(), 2);
    let facts = &look.facts;
    assert!(facts.cpus > 0 && facts.memory_mib > 100 && facts.open_files > 100 && facts.disk_free_mib > 0, "{facts:?}");
    assert!(facts.skew_ms.abs() < 1000 && !facts.os.is_empty() && facts.interfaces.contains_key("lo"), "{facts:?}");
    assert_eq!(facts.interfaces["lo"].ipv4[0], "127.0.0.1/8");
    assert!(facts.listening.contains(&format!("127.0.0.1:{}", server.port)), "{:?}", facts.listening);
    assert!(facts.engine && facts.engine_version.contains('.'), "{facts:?}");
    assert_eq!(look.files.len(), 4, "{:?}", look.files);
    let odd = &look.files[folder.join("a b\\c'd").to_str().unwrap()];
    assert!(odd.digest.starts_with("2d711642b726b044") && odd.owner == "root:root" && odd.mode == "0644", "{odd:?}");
    assert_eq!(look.files[folder.join("link").to_str().unwrap()].link.as_deref(), Some("a b"));
    assert!(look.sysctls["kernel.pid_max"].parse::<u64>().is_ok() && look.sysctls.len() == 1);
    assert!(look.packages.contains_key("coreutils") && look.packages.len() == 1);

    let second = server.machine("control01").await;
    let (look, refused) = second.look_and_lease(&LookRequest::default(), &note("kolla stop")).await.unwrap();
    assert_eq!(holder(refused), "`kolla deploy` of ops on deploy, process 7, since now");
    // A look it is all the same.
    assert!(look.facts.cpus > 0);
    // Given back, it goes to who waits, though the first session goes on.
    let stop = note("kolla stop");
    let (waited, ()) = tokio::join!(second.lease(&stop, SOON), async { drop(held) });
    let held = lease(waited.unwrap());
    let refused = machine.lease(&note("kolla deploy"), Duration::ZERO).await.unwrap();
    assert_eq!(holder(refused), "`kolla stop` of ops on deploy, process 7, since now");
    drop(held);
    until(|| fs::read_to_string("/run/kolla.lease").unwrap().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root and sshd"]
async fn a_lease_goes_with_its_session_and_whoever_had_it_knows() {
    let _one = LEASE.lock().await;
    let server = Sshd::new("");
    let (first, second) = (server.machine("control01").await, server.machine("control01").await);
    let here = here::connect(&this_machine(), None).unwrap();
    let held = lease(first.lease(&note("kolla deploy"), SOON).await.unwrap());
    assert!(holder(here.lease(&note("kolla stop"), Duration::ZERO).await.unwrap()).contains("kolla deploy"));
    server.cut();
    tokio::time::timeout(SOON, held.lost()).await.unwrap();
    let held = lease(here.lease(&note("kolla stop"), SOON).await.unwrap());
    assert!(holder(second.lease(&note("kolla deploy"), Duration::ZERO).await.unwrap()).contains("kolla stop"));
    drop(held);
    drop(lease(second.lease(&note("kolla deploy"), SOON).await.unwrap()));
}

/// What holds a lease where the connection hangs: nobody is heard of any more, and nobody says good-bye.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root"]
async fn a_lease_that_nobody_is_heard_of_goes_by_itself() {
    let _one = LEASE.lock().await;
    let here = here::connect(&this_machine(), None).unwrap();
    let script = super::look::lease_script(&note("kolla deploy"), SOON).replace("hold 150\n", "hold 1\n");
    let mut process =
        Command::new("/bin/sh").args(["-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut said = [0; 13];
    process.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
    assert_eq!(&said, b"lease granted");
    drop(lease(here.lease(&note("kolla stop"), SOON).await.unwrap()));
    let input = process.stdin.take();
    assert!(process.wait().unwrap().success());
    drop(input);
}
