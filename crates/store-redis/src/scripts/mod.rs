//! The scripts: what has to be one step is one.

use std::sync::LazyLock;

use redis::aio::ConnectionLike;
use redis::{Cmd, ErrorKind, FromRedisValue, RedisResult, Script, ServerErrorKind, ToRedisArgs};

/// A script's text and the name that servers know it by.
pub(crate) struct Source {
    text: &'static str,
    script: LazyLock<Script>,
}

/// A script may begin with files that it shares with others.
macro_rules! source {
    ($name:ident, $($file:literal),+) => {
        pub(crate) static $name: Source = {
            const TEXT: &str = concat!($(include_str!($file)),+);
            Source { text: TEXT, script: LazyLock::new(|| Script::new(TEXT)) }
        };
    };
}

source!(LOAD, "load.lua");
source!(COMMIT, "commit.lua");
source!(FRESHEN, "freshen.lua");
source!(REMOVE, "remove.lua");
source!(RENEW, "renew.lua");
source!(RELEASE, "release.lua");
source!(RELAY_BEGIN, "relay_begin.lua");
source!(RELAY_OPEN, "relay_open.lua");
source!(RELAY_PIECE, "relay_piece.lua");
source!(UNLOCK, "unlock.lua");
source!(LIMIT, "limit.lua");
source!(PUBLISH, "whole.lua", "publish.lua");
source!(CATCH_UP, "whole.lua", "clock.lua", "catch_up.lua");
source!(APPLIED, "clock.lua", "applied.lua");

/// A call under way. All keys of one lie in one slot.
pub(crate) struct Call {
    source: &'static Source,
    keys: Vec<Vec<u8>>,
    arguments: Vec<Vec<u8>>,
}

impl Source {
    pub(crate) fn call(&'static self) -> Call {
        Call { source: self, keys: Vec::new(), arguments: Vec::new() }
    }
}

impl Call {
    pub(crate) fn key(mut self, key: impl Into<String>) -> Self {
        self.keys.push(key.into().into_bytes());
        self
    }

    pub(crate) fn arg(mut self, argument: impl ToRedisArgs) -> Self {
        argument.write_redis_args(&mut self.arguments);
        self
    }

    /// By its name, and by its text where the name is not known: so it reaches the very server that lacks it, whatever stands of a Cluster.
    pub(crate) async fn invoke<T: FromRedisValue>(&self, connection: &mut impl ConnectionLike) -> RedisResult<T> {
        match self.command("EVALSHA", self.source.script.get_hash()).query_async(connection).await {
            Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                self.command("EVAL", self.source.text).query_async(connection).await
            }
            answer => answer,
        }
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = redis::cmd(name);
        command.arg(script).arg(self.keys.len()).arg(&self.keys).arg(&self.arguments);
        command
    }
}
