//! Checks the private redis-server that `run` would start, by starting one in a temporary folder.

use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use ddrs_common::queue::{ClaimToken, PrivateServer, ServerSettings};

use super::{Finding, server};
use crate::stop::StopRequests;

/// Starts and checks a server. Returns `None` if a request to stop arrived. The temporary folder is
/// removed in either case.
pub(super) async fn check(stop: &mut StopRequests) -> Option<Vec<Finding>> {
    // The name is random and the folder must be new: in a shared folder for temporary files,
    // another user could have placed a link where Redis writes.
    let dir = std::env::temp_dir().join(format!("ddrs-doctor-{}", ClaimToken::random()));
    if let Err(error) = DirBuilder::new().mode(0o700).create(&dir) {
        let text = format!("cannot create {}: {error}", dir.display());
        return Some(vec![Finding::bad("redis", text)]);
    }
    let findings = stop.unless(check_in(&dir)).await;
    // If the folder cannot be removed, the system removes it with the other temporary files.
    std::fs::remove_dir_all(&dir).ok();
    findings
}

/// May be dropped at any time: the server ends with it.
async fn check_in(dir: &Path) -> Vec<Finding> {
    let server = match PrivateServer::start(dir).await {
        Ok(server) => server,
        Err(error) => return vec![Finding::bad("redis", error.to_string())],
    };
    let settings = ServerSettings {
        url: server.url(),
        ..ServerSettings::default()
    };
    let findings = server::check(&settings).await;
    // Its data is not needed, so it is killed instead of stopped.
    server.kill().ok();
    findings
}
