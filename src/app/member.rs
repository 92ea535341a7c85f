//! This node's membership in a cluster, from joining to leaving: wires the parts that know nothing
//! of each other.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::broker::Membership;
use crate::clock::Clock;
use crate::cluster::{Cluster, Gap};
use crate::config::ClusterConfig;
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::redis::Redis;

/// How long the first browsers wait for Redis: who is let in before this node listens may miss
/// something, and would have to be closed again. A Redis that is there answers within milliseconds.
const FIRST_PATIENCE: Duration = Duration::from_millis(500);

/// This node as a member of a cluster.
pub(super) struct Member {
    cluster: Arc<Cluster>,
    redis: Arc<Redis>,
    tasks: TaskTracker,
    end: CancellationToken,
}

impl Member {
    /// Begins to join. What browsers have to be told comes out of the receiver.
    ///
    /// # Errors
    ///
    /// The system's, if it has no random numbers.
    pub(super) fn join(
        config: ClusterConfig,
        hub: &Arc<Hub>,
        metrics: &Arc<Metrics>,
        clock: Clock,
    ) -> Result<(Self, mpsc::Receiver<Gap>), getrandom::Error> {
        let server = config.redis.clone();
        let (cluster, gaps) = Cluster::new(config, Arc::clone(hub), Arc::clone(metrics), clock)?;
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        let channels = cluster.channels();
        let redis = Redis::start(server, channels, Arc::clone(metrics), end.clone());
        cluster.join(&redis, &tasks, &end);
        Ok((Self { cluster, redis, tasks, end }, gaps))
    }

    /// What the broker needs of it.
    pub(super) fn membership(&self) -> Membership {
        Membership { cluster: Arc::clone(&self.cluster), redis: Arc::clone(&self.redis) }
    }

    /// Returns when this node listens, or when that takes too long.
    pub(super) async fn ready(&self) {
        let deadline = Instant::now() + FIRST_PATIENCE;
        let failed = async {
            // Away at once: to wait would not help.
            while self.redis.describe().last_error.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = timeout_at(deadline, self.redis.listening(0)) => {}
            () = failed => {}
        }
    }

    /// Sends what waits, and leaves, at most until `deadline`.
    pub(super) async fn leave(self, deadline: Instant) {
        self.cluster.leave(&self.redis, deadline).await;
        self.end.cancel();
        self.tasks.close();
        let _ = timeout_at(deadline, self.tasks.wait()).await;
    }
}
