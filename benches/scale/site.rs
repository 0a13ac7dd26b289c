//! The site: three controllers and any number of compute hosts, each with twelve services of six roles and about
//! fifty files, which is what such hosts carry.

use std::fmt::Write as _;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use crate::process::Failure;

/// Roles of two services each.
const ROLES: [&str; 6] = ["alpha", "beta", "gamma", "delta", "epsilon", "zeta"];
/// Hosts of the group `control`.
const CONTROLLERS: usize = 3;

/// Writes the config folder of a site whose hosts listen on these ports.
pub(crate) fn write(folder: &Path, ports: &[u16]) -> Result<(), Failure> {
    let mut inventory = String::new();
    for (index, port) in ports.iter().enumerate() {
        match index {
            0 => inventory.push_str("[control]\n"),
            CONTROLLERS => inventory.push_str("\n[compute]\n"),
            _ => {}
        }
        let _ = writeln!(inventory, "host{index:03} ansible_host=127.0.0.1 ansible_port={port}");
    }
    let at = folder.display();
    let _ = write!(
        inventory,
        "\n[network:children]\ncontrol\n\n[all:vars]\nansible_user=root\n\
         ansible_ssh_private_key_file={at}/key\n\
         ansible_ssh_common_args='-o UserKnownHostsFile={at}/known_hosts'\n"
    );
    fs::write(folder.join("inventory"), inventory)?;
    fs::write(folder.join("globals.yml"), GLOBALS)?;
    let passwords = folder.join("passwords.yml");
    fs::write(&passwords, "database_password: x\n")?;
    fs::set_permissions(&passwords, fs::Permissions::from_mode(0o600))?;
    for role in ROLES {
        let templates = folder.join("roles").join(role).join("templates");
        fs::create_dir_all(&templates)?;
        fs::write(templates.join("service.conf.j2"), SERVICE_CONF.replace("ROLE", role))?;
        fs::write(templates.join("service-wsgi.conf.j2"), WSGI_CONF.replace("ROLE", role))?;
        fs::write(templates.join("policy.yaml.j2"), POLICY.replace("ROLE", role))?;
        fs::write(folder.join("roles").join(role).join("role.yml"), role_file(role))?;
    }
    Ok(())
}

fn role_file(role: &str) -> String {
    let mut text = format!(
        "about: Role {role} of the benchmark.\n\
         vars:\n\
         \x20 {role}_debug: false\n\
         \x20 {role}_port: 8774\n\
         \x20 {role}_workers: \"{{{{ [facts.cpus, 5] | min }}}}\"\n\
         \x20 {role}_url: \"http://{{{{ kolla_internal_fqdn | put_address_in_context('url') }}}}:{{{{ {role}_port }}}}\"\n\
         services:\n"
    );
    for service in ["api", "agent"] {
        let _ = write!(
            text,
            "\x20 {role}-{service}:\n\
             \x20   group: baremetal\n\
             \x20   command: {role}-{service} --config-file /etc/{role}/{role}.conf\n\
             \x20   files:\n\
             \x20     - {{ template: service.conf.j2, to: /etc/{role}/{role}.conf, owner: {role}, merge: ini }}\n\
             \x20     - {{ template: service-wsgi.conf.j2, to: /etc/{role}/wsgi.conf, owner: {role} }}\n\
             \x20     - {{ template: policy.yaml.j2, to: /etc/{role}/policy.yaml, owner: {role} }}\n\
             \x20   permissions:\n\
             \x20     - {{ path: /var/log/kolla/{role}, owner: \"{role}:{role}\", recurse: true }}\n\
             \x20   volumes:\n\
             \x20     - kolla_logs:/var/log/kolla/\n\
             \x20     - /etc/localtime:/etc/localtime:ro\n\
             \x20   env: {{ WORKERS: \"{{{{ {role}_workers }}}}\", ADDRESS: \"{{{{ api_address }}}}\" }}\n"
        );
    }
    text
}

/// The port of the registry, which hosts answer for.
pub(crate) const REGISTRY_PORT: u32 = 5000;
pub(crate) const REGISTRY: &str = "registry.example:5000";
const GLOBALS: &str = "\
kolla_internal_vip_address: 10.0.255.254
docker_registry: registry.example:5000
enable_haproxy: false
enable_mariadb: false
enable_rabbitmq: false
enable_cron: false
enable_openstack_core: false
";

const SERVICE_CONF: &str = "\
[DEFAULT]
debug = {{ ROLE_debug }}
log_dir = /var/log/kolla/ROLE
my_ip = {{ api_address }}
host = {{ facts.hostname }}
state_path = /var/lib/ROLE
{% if inventory_hostname in groups['control'] %}
api_workers = {{ ROLE_workers }}
listen = {{ api_address | put_address_in_context('url') }}:{{ ROLE_port }}
{% endif %}
transport_url = rabbit://{% for host in groups['control'] %}openstack:{{ database_password }}@{{ hostvars[host].api_address | put_address_in_context('url') }}:5672{% if not loop.last %},{% endif %}{% endfor %}//

[database]
connection = mysql+pymysql://ROLE:{{ database_password }}@{{ database_address | put_address_in_context('url') }}:{{ database_port }}/ROLE
connection_recycle_time = 10
max_pool_size = {{ [facts.cpus * 2, 10] | max }}
max_retries = -1

[cache]
backend = oslo_cache.memcache_pool
enabled = True
memcache_servers = {% for host in groups['memcached'] %}{{ hostvars[host].api_address | put_address_in_context('memcache') }}:{{ memcached_port }}{% if not loop.last %},{% endif %}{% endfor %}

[keystone_authtoken]
www_authenticate_uri = {{ ROLE_url }}
auth_url = {{ ROLE_url }}
auth_type = password
project_domain_id = default
username = ROLE
password = {{ database_password }}
region_name = RegionOne

[oslo_concurrency]
lock_path = /var/lib/ROLE/tmp

[oslo_messaging_rabbit]
rabbit_quorum_queue = true
heartbeat_in_pthread = {{ ROLE_debug | bool }}
";

const WSGI_CONF: &str = "\
{% set address = api_address | put_address_in_context('url') %}
Listen {{ address }}:{{ ROLE_port }}
ServerSignature Off
ServerTokens Prod
TraceEnable off
<VirtualHost *:{{ ROLE_port }}>
    WSGIDaemonProcess ROLE processes={{ ROLE_workers }} threads=1 user=ROLE group=ROLE
    WSGIProcessGroup ROLE
    ErrorLog /var/log/kolla/ROLE/apache-error.log
    CustomLog /var/log/kolla/ROLE/apache-access.log combined
</VirtualHost>
";

const POLICY: &str = "\
{% for act in ['list', 'show', 'create', 'update', 'delete'] %}
\"ROLE:{{ act }}\": \"role:admin or project_id:%(project_id)s\"
{% endfor %}
";
