//! A registry that is away stops only what needs an image that is not there, and is told once.

use kolla::host::ContainerSpec;
use kolla::op::container::Container;
use kolla::op::image::Image;
use kolla::op::probe::Probe;

use super::cloud::Cloud;

const IMAGES: [&str; 2] = ["10.0.0.1:4000/kolla/web:1", "10.0.0.1:4000/kolla/new:1"];

/// An image with the container that is made of it.
fn service(cloud: &mut Cloud, host: &str, reference: &str) {
    let image = cloud.add(host, Image { reference: reference.into() }, &[]);
    let name = reference.rsplit(['/', ':']).nth(1).unwrap();
    let container = Container {
        spec: ContainerSpec { name: name.into(), image: reference.into(), ..ContainerSpec::default() },
        service: name.into(),
        ready: Probe { within: 5, ..Probe::default() },
        ..Container::default()
    };
    cloud.add(host, container, &[image]);
}

#[tokio::test(start_paused = true)]
async fn only_what_lacks_an_image_fails_and_nothing_is_done_again_afterwards() {
    let mut cloud = Cloud::new(&["a", "b"]);
    for host in ["a", "b"] {
        for reference in IMAGES {
            cloud.fakes[host].world().publish(reference, reference);
        }
        service(&mut cloud, host, IMAGES[0]);
    }
    assert_eq!(cloud.deploy().await.0.changed, 4);
    // Before the registry goes away one of the hosts has got the image of what is new.
    cloud.fakes["a"].machine().pull(IMAGES[1], None, &|_, _| {}).await.unwrap();
    for (host, fake) in cloud.fakes.clone() {
        fake.world().registry_fails = Some((500, "dial tcp 10.0.0.1:4000: connect: connection refused".into()));
        service(&mut cloud, &host, IMAGES[1]);
    }
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.changed, summary.same, summary.failed, summary.skipped), (1, 5, 1, 1), "{lines:#?}");
    let registry = "registry 10.0.0.1:4000 cannot be asked: dial tcp 10.0.0.1:4000: connect: connection refused";
    let failed = format!("b/image {}: failed b: ", IMAGES[1]);
    assert!(lines.iter().any(|line| line.starts_with(&failed) && line.ends_with(registry)), "{lines:#?}");
    let warnings: Vec<&String> = lines.iter().filter(|line| line.starts_with("warning: ")).collect();
    let hint = "see that it runs, as by `curl http://10.0.0.1:4000/v2/` on the host";
    assert_eq!(warnings, [&format!("warning: {registry}; images are taken as the hosts have them ({hint})")]);

    for fake in cloud.fakes.values() {
        fake.world().registry_fails = None;
    }
    let (summary, lines) = cloud.deploy().await;
    assert_eq!((summary.changed, summary.same, summary.failed), (2, 6, 0), "{lines:#?}");
    assert!(lines.iter().any(|line| line == "b/container new: created"), "{lines:#?}");
    assert_eq!(cloud.deploy().await.0.changed, 0);
}
