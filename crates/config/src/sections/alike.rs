//! Routes that cannot be told apart.

use std::ops::Range;

use crate::model::Route;
use crate::parse::mistake::{Mistake, Mistakes};
use crate::sections::routes::METHODS;

/// Reports routes with the same requests, with paths that the router cannot order, or with the same name: `fallback` has one, too.
/// `paths` and `names` say where each route's path and name stand.
pub(crate) fn check(routes: &[Route], fallback: Option<&Route>, paths: &[Range<usize>], names: &[Range<usize>], mistakes: &Mistakes) {
    const TOLD_APART: &str = "metrics and logs tell routes apart by name; leave `name` out to derive one from the path";
    for (later, route) in routes.iter().enumerate() {
        let earlier = |alike: fn(&Route, &Route) -> bool| routes[..later].iter().position(|other| alike(other, route));
        let clash = |places: &[Range<usize>], first: usize, message: String, hint: &str| {
            let mistake = Mistake::new(message).hint(hint);
            mistakes.clash(places[later].clone(), mistake, Some(places[first].clone()), "the earlier route");
        };
        if let Some(first) = earlier(same_requests) {
            let message = format!("route `{}` matches the same requests as an earlier one", route.path.text());
            clash(paths, first, message, "give them different methods, hosts or conditions in `match`, or remove one");
        } else if let Some(first) = earlier(unordered) {
            let message = format!("neither `{}` nor `{}` is more specific", route.path.text(), routes[first].path.text());
            clash(paths, first, message, "a path that both match would go to either; make one of them longer");
        } else if let Some(first) = earlier(|one, other| one.name == other.name) {
            let message = format!("two routes are named `{}`", route.name);
            clash(names, first, message, TOLD_APART);
        } else if fallback.is_some_and(|fallback| fallback.name == route.name) {
            let mistake = Mistake::new(format!("`{}` is the name of what takes no route", route.name));
            mistakes.error(names[later].clone(), mistake.hint(TOLD_APART));
        } else if is_hidden(route, routes) {
            let mistake = Mistake::new(format!("no request takes route `{}`: others with its path take every method", route.path.text()));
            mistakes.warning(paths[later].clone(), mistake.hint("remove it, or take a method out of the others"));
        }
    }
}

/// Whether a route for all methods has none left: routes with its path that list methods come before it.
fn is_hidden(route: &Route, all: &[Route]) -> bool {
    let same_path = |other: &&Route| other.host == route.host && other.path.shape() == route.path.shape();
    let listed: Vec<_> =
        all.iter().filter(same_path).filter(|other| other.matches.is_none()).filter_map(|other| other.methods.as_ref()).flatten().collect();
    route.methods.is_none()
        && route.matches.is_none()
        && METHODS.iter().all(|method| listed.iter().any(|listed| listed.as_str() == *method))
}

fn same_requests(one: &Route, other: &Route) -> bool {
    one.host == other.host && one.path.shape() == other.path.shape() && methods_overlap(one, other) && one.matches == other.matches
}

fn methods_overlap(one: &Route, other: &Route) -> bool {
    match (&one.methods, &other.methods) {
        (Some(one), Some(other)) => one.iter().any(|method| other.contains(method)),
        // A route for some methods is more specific than one for all.
        (None, None) => true,
        _ => false,
    }
}

/// Whether the router refuses to hold the paths of both, and those without their rests (see `PathTemplate::without_rest`).
fn unordered(one: &Route, other: &Route) -> bool {
    if one.host != other.host {
        return false;
    }
    let paths = [one, other].map(|route| &route.path);
    let named = paths.into_iter().map(|path| Some(path.shape()));
    let implied = paths.into_iter().map(|path| path.without_rest());
    let mut shapes: Vec<&str> = Vec::new();
    for shape in named.chain(implied).flatten() {
        if !shapes.contains(&shape) {
            shapes.push(shape);
        }
    }
    let mut router = matchit::Router::new();
    shapes.into_iter().any(|shape| router.insert(shape, ()).is_err())
}

#[cfg(test)]
mod tests {
    use crate::tests::load;

    /// matchit takes both, but not the third path that the router adds for the empty rest.
    #[test]
    fn an_empty_rest_counts_among_the_paths_of_a_route() {
        let text = "[upstreams.api]\nurl = \"http://h\"\n[[routes]]\npath = \"/a{x}b\"\n[[routes]]\npath = \"/a{x}/{*r}\"\n";
        let lines: Vec<String> = load(text).unwrap_err().lines().collect();
        assert!(lines[0].starts_with("config.toml:6:8: error: neither `/a{x}/{*r}` nor `/a{x}b` is more specific"), "{lines:?}");
    }
}
