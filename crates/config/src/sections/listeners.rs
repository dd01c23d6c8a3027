//! Rules about all addresses together, whether from the file, the environment or the command line.

use crate::model::listen::{Listen, Origin};
use crate::model::{Admin, Server, UpstreamUrl};
use crate::parse::mistake::{Location, Mistake, Mistakes};
use crate::sections::overrides::Overrides;

/// Takes the listeners of environment and flags, and checks all of them together.
pub(crate) fn settle(server: &mut Server, admin: &mut Admin, overrides: &Overrides, mistakes: &Mistakes) {
    overrides.apply(server, admin, mistakes);
    let public: Vec<&Listen> = server.addresses().collect();
    check_public(&public, mistakes);
    check_admin(&admin.listen, !admin.tokens.is_empty(), &public, mistakes);
}

fn check_public(listeners: &[&Listen], mistakes: &Mistakes) {
    for (position, listen) in listeners.iter().enumerate() {
        if let Some(first) = listeners[..position].iter().find(|first| first.clashes_with(listen)) {
            let mistake = Mistake::new(format!("`{}` is listed twice", listen.address()));
            mistakes.clash(listen.location(), within(listen, mistake.hint("remove one of them")), first.span(), "first here");
        }
    }
}

/// `guarded`: whether there is a token that a listener could ask for.
fn check_admin(admin: &Listen, guarded: bool, public: &[&Listen], mistakes: &Mistakes) {
    if !admin.is_loopback() && !guarded {
        let what = format!(
            "on the admin listener `{}` only /healthz and /readyz will answer: there is no token to ask others for",
            admin.address()
        );
        let hint = "add [[admin.tokens]] for the rest, or use a loopback address, like \"127.0.0.1:8090\"";
        mistakes.warning(admin.location(), within(admin, Mistake::new(what).hint(hint)));
    }
    if let Some(public) = public.iter().find(|listen| listen.clashes_with(admin)) {
        let mistake = Mistake::new(format!("the admin listener has the public listener's address, `{}`", admin.address()));
        let mistake = within(admin, mistake.hint("give each its own port"));
        match admin.span() {
            Some(span) => mistakes.clash(span, mistake, public.span(), "the public listener"),
            None => mistakes.error(public.location(), mistake),
        }
    }
}

/// An upstream that is one of our own listeners. `place` is its URL's.
pub(crate) fn check_upstream(name: &str, url: &UpstreamUrl, location: Location, server: &Server, mistakes: &Mistakes) {
    if let Some(own) = server.addresses().find(|listen| listen.address().eq_ignore_ascii_case(url.authority().as_str())) {
        let mistake = Mistake::new(format!("upstream `{name}` is Larder's own listener, {}", own.address()));
        mistakes.clash(
            location,
            mistake.hint("requests would go round in circles; give the backend's address"),
            own.span(),
            "the listener",
        );
    }
}

fn within(listen: &Listen, mistake: Mistake) -> Mistake {
    match listen.origin {
        Origin::Environment(name) | Origin::Flag(name) => mistake.within(name),
        Origin::Default | Origin::File(_) => mistake,
    }
}
