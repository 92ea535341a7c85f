//! The end of the node: who has to stop when, and who is waited for.
//!
//! Everything that lives longer than a request is spawned on one of the trackers here. The order
//! of the end stands in `app`.

use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Signals of the end, and the tasks it waits for. Clones are handles to the same.
#[derive(Debug, Clone, Default)]
pub struct Shutdown {
    /// Stop accepting connections and answer no new requests.
    pub stopping: CancellationToken,
    /// Connections of the internal API, and requests for pages.
    pub requests: TaskTracker,
}
