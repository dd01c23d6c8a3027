//! Routes that cannot be told apart.

use std::ops::Range;

use super::mistake::{Mistake, Mistakes};
use super::model::Route;

/// Reports routes with the same requests, with paths that the router cannot order, or with the same name. `paths` and `names` say where
/// each route's path and name stand.
pub(super) fn check(routes: &[Route], paths: &[Range<usize>], names: &[Range<usize>], mistakes: &Mistakes) {
    for (later, route) in routes.iter().enumerate() {
        let earlier = &routes[..later];
        if let Some(first) = earlier.iter().position(|other| same_requests(other, route)) {
            let mistake = Mistake::new(format!("route `{}` matches the same requests as an earlier one", route.path.text()));
            let hint = "give them different methods or hosts, or remove one";
            mistakes.clash(paths[later].clone(), mistake.hint(hint), Some(paths[first].clone()), "the earlier route");
        } else if let Some(first) = earlier.iter().position(|other| unordered(other, route)) {
            let mistake = Mistake::new(format!("neither `{}` nor `{}` is more specific", route.path.text(), routes[first].path.text()));
            let hint = "a path that both match would go to either; make one of them longer";
            mistakes.clash(paths[later].clone(), mistake.hint(hint), Some(paths[first].clone()), "the earlier route");
        } else if let Some(first) = earlier.iter().position(|other| other.name == route.name) {
            let mistake = Mistake::new(format!("two routes are named `{}`", route.name));
            let hint = "metrics and logs tell routes apart by name; leave `name` out to derive one from the path";
            mistakes.clash(names[later].clone(), mistake.hint(hint), Some(names[first].clone()), "the first of that name");
        }
    }
}

fn same_requests(one: &Route, other: &Route) -> bool {
    one.host == other.host && one.path.shape() == other.path.shape() && methods_overlap(one, other)
}

fn methods_overlap(one: &Route, other: &Route) -> bool {
    match (&one.methods, &other.methods) {
        (Some(one), Some(other)) => one.iter().any(|method| other.contains(method)),
        // A route for some methods is more specific than one for all.
        (None, None) => true,
        _ => false,
    }
}

/// Whether the router refuses to hold both paths.
fn unordered(one: &Route, other: &Route) -> bool {
    if one.host != other.host || one.path.shape() == other.path.shape() {
        return false;
    }
    let mut router = matchit::Router::new();
    router.insert(one.path.shape(), ()).is_ok() && router.insert(other.path.shape(), ()).is_err()
}
