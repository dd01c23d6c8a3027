//! Settings that win over the file: the environment's, and over those the command line's.

use std::fmt;
use std::time::Duration;

use crate::model::listen::{Listen, Origin};
use crate::model::{Admin, Server};
use crate::parse::mistake::{Location, Mistake, Mistakes};

const LISTEN: &str = "LARDER_LISTEN";
const ADMIN_LISTEN: &str = "LARDER_ADMIN_LISTEN";
pub(crate) const REDIS_URL: &str = "REDIS_URL";
/// Kubernetes sets it in every container.
pub(crate) const KUBERNETES: &str = "KUBERNETES_SERVICE_HOST";
/// Its proxies hear of a stopping pod when the pod does, and act on it seconds later: until then they send new connections.
const KUBERNETES_DRAIN_DELAY: Duration = Duration::from_secs(5);

/// Settings from outside the file. Several public listeners are separated by commas.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    listen: Option<Setting>,
    admin_listen: Option<Setting>,
    redis_url: Option<Secret>,
    in_kubernetes: bool,
}

/// May hold a password, and so shows nothing.
#[derive(Clone)]
struct Secret(String);

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("***")
    }
}

#[derive(Clone, Debug)]
struct Setting {
    text: String,
    name: &'static str,
    origin: Origin,
}

impl Overrides {
    /// From the variables of this process.
    pub fn from_env() -> Self {
        Self::from_variables(|name| std::env::var_os(name).map(|value| value.to_string_lossy().into_owned()))
    }

    /// From the variables that `variable` knows. An empty one counts as not set.
    pub fn from_variables(variable: impl Fn(&str) -> Option<String>) -> Self {
        let variable = |name| variable(name).filter(|value| !value.is_empty());
        let setting = |name| variable(name).map(|text| Setting { text, name, origin: Origin::Environment(name) });
        Self {
            listen: setting(LISTEN),
            admin_listen: setting(ADMIN_LISTEN),
            redis_url: variable(REDIS_URL).map(Secret),
            in_kubernetes: variable(KUBERNETES).is_some(),
        }
    }

    /// Lays the values of `--listen` and `--admin-listen` over them.
    #[must_use]
    pub fn with_flags(self, listen: Option<&str>, admin_listen: Option<&str>) -> Self {
        let flag = |text: Option<&str>, name| text.map(|text| Setting { text: text.to_owned(), name, origin: Origin::Flag(name) });
        Self {
            listen: flag(listen, "--listen").or(self.listen),
            admin_listen: flag(admin_listen, "--admin-listen").or(self.admin_listen),
            ..self
        }
    }

    /// The value of `REDIS_URL`.
    pub(crate) fn redis_url(&self) -> Option<&str> {
        self.redis_url.as_ref().map(|Secret(url)| url.as_str())
    }

    /// The defaults of `[server]` where this process runs.
    pub(crate) fn usual_server(&self) -> Server {
        let server = Server::default();
        Server { drain_delay: if self.in_kubernetes { KUBERNETES_DRAIN_DELAY } else { server.drain_delay }, ..server }
    }

    pub(crate) fn apply(&self, server: &mut Server, admin: &mut Admin, mistakes: &Mistakes) {
        if let Some(setting) = self.listen.as_ref().filter(|setting| setting.counts_for(server, mistakes)) {
            server.listen = setting.text.split(',').filter_map(|text| setting.read(text.trim(), mistakes)).collect();
        }
        if let Some(setting) = &self.admin_listen
            && let Some(listen) = setting.read(&setting.text, mistakes)
        {
            admin.listen = listen;
        }
    }
}

impl Setting {
    /// Addresses from outside stand in for `[server] listen`. They are in clear text, so they replace no `[[listeners]]`, and are not added to
    /// them: a container's image that sets the variable would open a port that the file does not name.
    fn counts_for(&self, server: &Server, mistakes: &Mistakes) -> bool {
        if server.listeners.is_empty() || !server.listen.is_empty() {
            return true;
        }
        let mistake = Mistake::new("it is not used, for [[listeners]] say where clients connect").within(self.name);
        let hint = "it stands in for `listen` in [server] only: write that key beside [[listeners]], or leave it out here";
        match self.origin {
            Origin::Flag(_) => mistakes.error(Location::Elsewhere, mistake.hint(hint)),
            _ => mistakes.warning(Location::Elsewhere, mistake.hint(hint)),
        }
        false
    }

    fn read(&self, text: &str, mistakes: &Mistakes) -> Option<Listen> {
        match Listen::parse(text) {
            Ok(listen) => Some(listen.with_origin(self.origin.clone())),
            Err(mistake) => {
                mistakes.error(Location::Elsewhere, mistake.within(self.name));
                None
            }
        }
    }
}
