//! The scripts: what has to be one step is one.

use std::sync::LazyLock;

use redis::Script;

pub(crate) static LOAD: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/load.lua")));
pub(crate) static COMMIT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/commit.lua")));
pub(crate) static FRESHEN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/freshen.lua")));
pub(crate) static REMOVE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/remove.lua")));
pub(crate) static RELEASE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/release.lua")));
pub(crate) static PUBLISH: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/publish.lua")));
pub(crate) static BEGIN: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/begin.lua")));
pub(crate) static REPORT: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/report.lua")));
pub(crate) static APPLIED: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/applied.lua")));
