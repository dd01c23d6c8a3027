//! Asks the servers now and then what they are.

use std::sync::Weak;
use std::time::Duration;

use super::server_info::Inspection;
use super::state::Log;
use crate::link::Connection;

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(10);

/// Between two attempts to connect.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// The longest that one answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Looks at the servers now and then, until the log's owner is gone. On a connection of its own: many small questions would hold up what
/// the log has to tell.
pub(crate) async fn keep_looking(log: Weak<Log>) {
    let mut connection = None;
    loop {
        let Some(log) = log.upgrade() else { return };
        let looked = look(&log, &mut connection).await;
        drop(log);
        tokio::time::sleep(if looked.is_ok() { PAUSE } else { RETRY_PAUSE }).await;
        if looked.is_err() {
            connection = None;
        }
    }
}

async fn look(log: &Log, connection: &mut Option<Connection>) -> Result<(), ()> {
    let options = log.link.options();
    let connection = match connection {
        Some(connection) => connection,
        None => {
            let found = log.link.find().await.map_err(drop)?;
            connection.insert(found.connect(options, options.timeout.max(ANSWER_TIMEOUT)).await.map_err(drop)?)
        }
    };
    log.set_inspected(Inspection::of(connection, options).await.map_err(drop)?);
    Ok(())
}
