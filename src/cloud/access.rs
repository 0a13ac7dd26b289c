//! Files with which the administrator's clients find the cloud: openrc scripts and clouds.yaml, under the names and
//! with the clouds that Kolla-Ansible's `post-deploy` has.

use std::fmt::Write as _;
use std::path::Path;

use crate::error::{Error, Result};
use crate::op::api::{self, Identity};
use crate::shell::{Secret, quote};
use crate::template::Scope;

/// The group whose hosts hold the addresses of the cloud.
pub const HOLDERS: &str = "loadbalancer";
/// Who lets the administrator in.
pub const SERVICE: &str = "keystone";

/// How the administrator gets in.
#[derive(Debug, Clone, Default)]
pub struct Access {
    /// Keystone on the internal network, as `http://10.0.0.250:5000`.
    pub internal_url: String,
    /// Keystone for everybody.
    pub public_url: String,
    /// The user.
    pub user: String,
    /// Its project.
    pub project: String,
    /// Its password.
    pub password: Secret,
    /// The region.
    pub region: String,
    /// File of the authority that the cloud's certificates are to be checked with; empty for the client's own.
    pub ca_file: String,
}

/// The openrc scripts, and the clouds of clouds.yaml: name, inside, and for the system instead of the project.
const SCRIPTS: [(&str, bool, bool); 4] = [
    ("admin-openrc.sh", true, false),
    ("admin-openrc-system.sh", true, true),
    ("public-openrc.sh", false, false),
    ("public-openrc-system.sh", false, true),
];
const CLOUDS: [(&str, bool, bool); 4] = [
    ("kolla-admin", false, false),
    ("kolla-admin-system", false, true),
    ("kolla-admin-internal", true, false),
    ("kolla-admin-system-internal", true, true),
];

impl Access {
    /// How the administrator gets in, by the site's variables.
    ///
    /// # Errors
    /// One that is empty; a cloud without Keystone.
    pub fn of(scope: &Scope) -> Result<Self> {
        enabled(scope, SERVICE)?;
        let text = |name: &str| -> Result<String> {
            let value = scope.get(name)?;
            if value.is_none() || value.as_str() == Some("") {
                let hint =
                    if name.ends_with("_password") { "`kolla genpwd` fills it" } else { "set it in globals.yml" };
                return Err(Error::input(format!("`{name}` is empty")).with_hint(hint));
            }
            Ok(value.to_string())
        };
        let ca_file = "kolla_admin_openrc_cacert";
        Ok(Self {
            internal_url: text("keystone_internal_url")?,
            public_url: text("keystone_public_url")?,
            user: text("keystone_admin_user")?,
            project: text("keystone_admin_project")?,
            password: Secret::new(text("keystone_admin_password")?),
            region: text("openstack_region_name")?,
            ca_file: if scope.has(ca_file) { text(ca_file).unwrap_or_default() } else { String::new() },
        })
    }

    /// As whom the APIs are asked.
    ///
    /// # Errors
    /// An address that is none.
    pub fn identity(&self) -> Result<Identity> {
        let (address, port, _) = api::place(&self.internal_url)?;
        let Self { user, project, password, region, .. } = self.clone();
        Ok(Identity { address, port, user, project, region, password })
    }

    /// The files by name, with their contents. They hold the password.
    pub fn files(&self) -> Vec<(&'static str, String)> {
        let scripts = SCRIPTS.iter().map(|(name, inside, system)| (*name, self.script(*inside, *system)));
        scripts.chain([("clouds.yaml", self.clouds())]).collect()
    }

    fn url(&self, inside: bool) -> &str {
        if inside { &self.internal_url } else { &self.public_url }
    }

    fn script(&self, inside: bool, system: bool) -> String {
        let interface = if inside { "internal" } else { "public" };
        let endpoint = format!("{interface}URL");
        let mut values = vec![("USERNAME", self.user.as_str()), ("USER_DOMAIN_NAME", "Default")];
        values.push(("PASSWORD", self.password.reveal()));
        if system {
            values.push(("SYSTEM_SCOPE", "all"));
        } else {
            values.extend([("PROJECT_NAME", &*self.project), ("TENANT_NAME", &self.project)]);
            values.push(("PROJECT_DOMAIN_NAME", "Default"));
        }
        values.extend([("AUTH_URL", self.url(inside)), ("AUTH_PLUGIN", "password"), ("IDENTITY_API_VERSION", "3")]);
        values.extend([("REGION_NAME", &*self.region), ("INTERFACE", interface)]);
        values
            .extend(["ENDPOINT_TYPE", "MANILA_ENDPOINT_TYPE", "MISTRAL_ENDPOINT_TYPE"].map(|name| (name, &*endpoint)));
        values.extend((!self.ca_file.is_empty()).then_some(("CACERT", &*self.ca_file)));
        let mut text = String::from(
            "# Written by `kolla post-deploy`. What is set already must not mix with it.\n\
             for name in $(env | sed -n 's/^\\(OS_[A-Z0-9_]*\\)=.*/\\1/p'); do unset \"$name\"; done\n",
        );
        for (name, value) in values {
            let _ = writeln!(text, "export OS_{name}={}", quote(value));
        }
        text
    }

    fn clouds(&self) -> String {
        // A JSON string is one of YAML.
        let quoted = |value: &str| serde_json::Value::from(value).to_string();
        let mut text = String::from("# Written by `kolla post-deploy`.\nclouds:\n");
        for (name, inside, system) in CLOUDS {
            let _ = write!(
                text,
                "  {name}:\n    auth:\n      auth_url: {}\n      username: {}\n      user_domain_name: Default\n      password: {}\n",
                quoted(self.url(inside)),
                quoted(&self.user),
                quoted(self.password.reveal()),
            );
            if system {
                text.push_str("      system_scope: all\n");
            } else {
                let _ =
                    write!(text, "      project_name: {}\n      project_domain_name: Default\n", quoted(&self.project));
            }
            let _ = writeln!(text, "    region_name: {}", quoted(&self.region));
            if inside {
                text.push_str("    interface: internal\n");
            }
            if !self.ca_file.is_empty() {
                let _ = writeln!(text, "    cacert: {}", quoted(&self.ca_file));
            }
        }
        text
    }
}

/// Refuses where a role is not there, or is left out.
pub(super) fn enabled(scope: &Scope, role: &str) -> Result<()> {
    let name = format!("enable_{role}");
    let text = format!("{{{{ {name} | default(false) | bool }}}}");
    if scope.render(Path::new("globals.yml"), &text)?.eq_ignore_ascii_case("true") {
        return Ok(());
    }
    Err(Error::input(format!("{role} is not enabled")).with_hint(format!("set `{name}: true` and run `kolla deploy`")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::local::Local;

    fn access() -> Access {
        Access {
            internal_url: "http://10.0.0.250:5000".into(),
            public_url: "http://192.0.2.250:5000".into(),
            user: "admin".into(),
            project: "admin".into(),
            password: Secret::new("it's $HOME \"\\n\" #1: {}"),
            region: "RegionOne".into(),
            ca_file: String::new(),
        }
    }

    fn file(name: &str) -> String {
        access().files().into_iter().find(|(other, _)| *other == name).unwrap().1
    }

    #[tokio::test]
    async fn a_shell_reads_what_was_meant_and_nothing_from_before() {
        let script =
            format!("OS_SYSTEM_SCOPE=all; export OS_SYSTEM_SCOPE\n{}env | grep ^OS_ | sort", file("admin-openrc.sh"));
        let read = Local::new(["/bin/sh", "-c", &script]).run().await.unwrap();
        insta::assert_snapshot!(read, @r#"
        OS_AUTH_PLUGIN=password
        OS_AUTH_URL=http://10.0.0.250:5000
        OS_ENDPOINT_TYPE=internalURL
        OS_IDENTITY_API_VERSION=3
        OS_INTERFACE=internal
        OS_MANILA_ENDPOINT_TYPE=internalURL
        OS_MISTRAL_ENDPOINT_TYPE=internalURL
        OS_PASSWORD=it's $HOME "\n" #1: {}
        OS_PROJECT_DOMAIN_NAME=Default
        OS_PROJECT_NAME=admin
        OS_REGION_NAME=RegionOne
        OS_TENANT_NAME=admin
        OS_USERNAME=admin
        OS_USER_DOMAIN_NAME=Default
        "#);
    }

    #[test]
    fn yaml_reads_what_was_meant() {
        let clouds: serde_json::Value = serde_yaml::from_str(&file("clouds.yaml")).unwrap();
        assert_eq!(clouds["clouds"]["kolla-admin"]["auth"]["password"], access().password.reveal());
        let system = &clouds["clouds"]["kolla-admin-system-internal"];
        assert_eq!((&system["interface"], &system["auth"]["system_scope"]), (&"internal".into(), &"all".into()));
        assert_eq!(system["auth"].get("project_name"), None);
    }
}
