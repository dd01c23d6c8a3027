//! `[alerts]`.

use std::sync::Arc;

use http::Uri;

use crate::model::{AlertKind, Alerts, Purge, Webhook};
use crate::parse::mistake::Mistake;
use crate::parse::reader::{Table, choose};
use crate::sections::cache::items;
use crate::sections::purging::purge::channel;
use crate::sections::secret::read as read_secret;

const SECRET_FORM: &str = "where the secret is, in quotes: \"env:LARDER_ALERT_SECRET\" or \"file:/run/secrets/alerts\"";
const URL_FORM: &str = "a URL in quotes, like \"https://hooks.example.com/larder\"";

/// Shorter ones can be guessed.
const MIN_SECRET: usize = 16;

/// Reads the section. Alerts on the channel of purges would be read as purges.
pub(crate) fn read(root: &mut Table<'_>, purge: &Purge) -> Alerts {
    let mut alerts = Alerts::default();
    let Some(mut table) = root.table("alerts") else { return alerts };
    let mistakes = table.mistakes();
    if let Some(on) =
        table.list("on", "\"breaker\", \"hit-ratio\", \"limit\", \"replica\" or \"reload\"", |text| choose("`on`", text, &AlertKind::ALL))
    {
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
    alerts.webhook = url.map(|url| Webhook { url: url.into_inner(), secret: secret.map(toml::Spanned::into_inner) });
    if let Some(name) = table.parse("channel", "a name in quotes, like \"system:health_check\"", channel) {
        if name.get_ref().is_some() && *name.get_ref() == purge.channel {
            let mistake = Mistake::new("alerts on the channel of [purge] would be read as purges");
            mistakes.error(name.span(), mistake.hint("give it another name, or \"\" for none"));
        }
        alerts.channel = name.into_inner();
    }
    table.finish();
    alerts
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
