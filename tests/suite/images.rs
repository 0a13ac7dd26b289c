//! What dpkg leaves out of images, by its own rules: of those that fit a path the last one counts, and `*` fits slashes, too.

use kolla::role::Roles;
use kolla::source::Node;
use regex::Regex;

use super::folder::repository;

fn kept(rules: &str, path: &str) -> bool {
    let fits = |pattern: &str| {
        let pattern = pattern.split('*').map(regex::escape).collect::<Vec<_>>().join(".*");
        Regex::new(&format!("^{pattern}$")).unwrap().is_match(path)
    };
    let rule = |line: &str| match line.split_once('=')? {
        ("path-include", pattern) => fits(pattern).then_some(true),
        ("path-exclude", pattern) => fits(pattern).then_some(false),
        _ => None,
    };
    rules.lines().rev().find_map(rule).unwrap_or(true)
}

#[test]
fn unit_tests_are_left_out_and_what_is_needed_at_work_is_not() {
    let folder = "images/openstack-base/root/etc/dpkg/dpkg.cfg.d/kolla-openstack";
    let rules = std::fs::read_to_string(repository(folder)).unwrap();
    let kept = |path: &str| kept(&rules, &format!("/usr/lib/python3/dist-packages/{path}"));
    for path in [
        "nova/compute/manager.py",
        "heat_tempest_plugin/tests/functional/test_conditions.py",
        "octavia_tempest_plugin/tests/scenario/v2/test_traffic_ops.py",
        "manila_tempest_tests/tests/api/test_shares.py",
        "octavia/tests/common/sample_certs.py",
        "cinder/tests/__init__.py",
        "cinder/tests/fake_driver.py",
        "cinder/tests/unit/__init__.py",
        "cinder/tests/unit/utils.py",
        "cinder/tests/unit/fake_constants.py",
        "cinder/tests/unit/brick/fake_lvm.py",
        "manila/tests/share/drivers/dummy.py",
        "glance_store/tests/fakes.py",
    ] {
        assert!(kept(path), "{path} is left out");
    }
    for path in [
        "nova/tests/unit/compute/test_compute.py",
        "cinder/tests/unit/test_volume.py",
        "octavia/tests/functional/api/v2/test_pool.py",
        "manila/tests/share/test_manager.py",
        "tempest/tests/base.py",
        "sqlalchemy/testing/tests/x.py",
    ] {
        assert!(!kept(path), "{path} is not left out");
    }
}

/// What a built-in role names can be built, with its default variables.
#[test]
fn every_service_has_an_image() {
    let mut missing = Vec::new();
    for role in Roles::load(&[]).unwrap().0.values() {
        for service in role.services.values() {
            let image = service.image.as_ref().and_then(Node::as_str).unwrap_or(&service.name);
            if !image.contains("{{") && !repository("images").join(image).join("Dockerfile").is_file() {
                missing.push(format!("{} of role {}: images/{image}", service.name, role.name));
            }
        }
    }
    assert!(missing.is_empty(), "\n{}", missing.join("\n"));
}
