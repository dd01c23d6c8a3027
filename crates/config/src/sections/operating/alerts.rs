//! `[alerts]`.

use std::path::PathBuf;
use std::sync::Arc;

use http::Uri;
use larder_tls::Authorities;
use toml::Spanned;

use crate::model::{AlertKind, Alerts, Purge, ReadFile, Webhook};
use crate::parse::mistake::Mistake;
use crate::parse::reader::{Table, choose};
use crate::sections::cache::items;
use crate::sections::purging::purge::{channel, needs_redis};
use crate::sections::secret::read as read_secret;

const SECRET_FORM: &str = "where the secret is, in quotes: \"env:LARDER_ALERT_SECRET\" or \"file:/run/secrets/alerts\"";
const PATH_FORM: &str = "the path of a PEM file in quotes";
const URL_FORM: &str = "a URL in quotes, like \"https://hooks.example.com/larder\"";

/// Shorter ones can be guessed.
const MIN_SECRET: usize = 16;

/// Reads the section. Alerts on the channel of purges would be read as purges; there are channels where there `is_redis`.
pub(crate) fn read(root: &mut Table<'_>, purge: &Purge, is_redis: bool) -> Alerts {
    let mut alerts = Alerts::default();
    let Some(mut table) = root.table("alerts") else { return alerts };
    let mistakes = table.mistakes();
    if let Some(on) = table.list("on", "\"breaker\", \"hit-ratio\", \"keys\", \"limit\", \"quota\", \"replica\" or \"reload\"", |text| {
        choose("`on`", text, &AlertKind::ALL)
    }) {
        alerts.on = items(on);
    }
    let url = table.parse("webhook", URL_FORM, webhook);
    let secret = table.parse("secret", SECRET_FORM, secret);
    if let Some(secret) = secret.as_ref().filter(|_| !table.has("webhook")) {
        mistakes.error(
            secret.span(),
            Mistake::new("`secret` signs what goes to `webhook`, and there is none").hint("add webhook, or leave it out"),
        );
    }
    let (authorities, files) = authorities(&mut table, url.as_ref().map(Spanned::get_ref));
    alerts.webhook = url.map(|url| Webhook { url: url.into_inner(), secret: secret.map(Spanned::into_inner), authorities, files });
    let mut channel_of = |key, to: &mut Option<String>| {
        let Some(name) = table.parse(key, "a name in quotes, like \"system:health_check\"", channel) else { return };
        if name.get_ref().is_some() && *name.get_ref() == purge.channel {
            let mistake = Mistake::new("alerts on the channel of [purge] would be read as purges");
            mistakes.error(name.span(), mistake.hint("give it another name, or \"\" for none"));
        } else if !is_redis && name.get_ref().is_some() && name.get_ref() != to {
            needs_redis(&table, key, name.span());
        }
        *to = name.into_inner();
    };
    channel_of("channel", &mut alerts.channel);
    channel_of("quota_channel", &mut alerts.quota_channel);
    table.finish();
    alerts
}

/// `ca_file`: who issues the certificate of the receiver.
fn authorities(table: &mut Table<'_>, url: Option<&Uri>) -> (Option<Authorities>, Vec<ReadFile>) {
    let Some(file) = table.parse("ca_file", PATH_FORM, |text| Ok(PathBuf::from(text))) else { return (None, Vec::new()) };
    let mistakes = table.mistakes();
    if url.is_none() && !table.has("webhook") {
        mistakes.error(file.span(), Mistake::new("`ca_file` is for `webhook`, and there is none").hint("add webhook, or leave it out"));
    }
    if url.is_some_and(|url| url.scheme_str() != Some("https")) {
        let mistake = Mistake::new("`ca_file` has no effect: the URL of `webhook` is not https");
        mistakes.warning(file.span(), mistake.hint("leave it out, or begin the URL with https://"));
    }
    let files = vec![ReadFile::now(file.get_ref())];
    match Authorities::load(file.get_ref()) {
        Ok(authorities) => (Some(authorities), files),
        Err(error) => {
            mistakes.error(file.span(), Mistake::new(error.to_string()).hint("a PEM file with the authorities that issue its certificate"));
            (None, files)
        }
    }
}

fn webhook(text: &str) -> Result<Uri, Mistake> {
    // The text itself may be a secret.
    let wrong = || Mistake::new("this is not the URL of a webhook").hint("like https://hooks.example.com/larder");
    let uri: Uri = text.parse().map_err(|_| wrong())?;
    let known = matches!(uri.scheme_str(), Some("http" | "https"));
    match uri.authority() {
        Some(authority) if authority.as_str().contains('@') => {
            Err(Mistake::new("a webhook's URL cannot have a user")
                .hint("`secret` signs each alert, so that the receiver knows who sent it"))
        }
        Some(authority) if known && !authority.host().is_empty() => Ok(uri),
        _ => Err(wrong()),
    }
}

/// It stands in a variable or a file, so that no configuration has to be kept secret.
fn secret(text: &str) -> Result<Arc<[u8]>, Mistake> {
    let found = read_secret(text, "set it to the secret")?
        .ok_or_else(|| Mistake::new("a secret does not stand in the configuration itself").hint(format!("say {SECRET_FORM}")))?;
    if found.len() < MIN_SECRET {
        let mistake = Mistake::new("the secret of `webhook` is too short");
        return Err(mistake.hint(format!("at least {MIN_SECRET} characters: openssl rand -hex 32")));
    }
    Ok(found.as_bytes().into())
}
