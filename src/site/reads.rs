//! Which variables the program reads itself, beside those that roles and templates name.

/// Variables that the program reads itself: a test holds it against the names in its code.
pub const READ_HERE: &[&str] = &[
    "api_address",
    "docker_image_name_prefix",
    "docker_namespace",
    "docker_registry",
    "docker_registry_insecure",
    "docker_registry_password",
    "docker_registry_username",
    "keystone_admin_password",
    "keystone_admin_project",
    "keystone_admin_user",
    "keystone_internal_url",
    "keystone_public_url",
    "kolla_admin_openrc_cacert",
    "kolla_container_engine",
    "kolla_engine_socket",
    "kolla_external_vip_address",
    "kolla_internal_vip_address",
    "kolla_site_name",
    "kolla_ssh_jump",
    "node_config",
    "node_custom_config",
    "openstack_region_name",
    "openstack_tag",
];
