//! This node's membership in a cluster, from joining to leaving: wires the parts that know nothing
//! of each other.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Builder;
use tokio::time::{Instant, timeout_at};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::RunError;
use crate::broker::Membership;
use crate::clock::Clock;
use crate::cluster::{Cluster, Gaps};
use crate::config::{ClusterConfig, RedisTarget, RegistryConfig};
use crate::hub::Hub;
use crate::metrics::Metrics;
use crate::redis::{Hear, Redis};
use crate::registry::{Registry, Sharing};

/// How long the first browsers wait for Redis: who is let in before this node listens may miss
/// something, and would have to be closed again. A Redis that is there answers within milliseconds.
const FIRST_PATIENCE: Duration = Duration::from_millis(500);

/// This node as a member of a cluster.
pub(super) struct Member {
    registry: Registry,
    cluster: Arc<Cluster>,
    redis: Arc<Redis>,
    tasks: TaskTracker,
    end: CancellationToken,
}

/// What there is before a node joins.
pub(super) struct Joining<'a> {
    pub(super) topics: RegistryConfig,
    pub(super) hub: &'a Arc<Hub>,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) clock: Clock,
}

impl Joining<'_> {
    /// Begins to join. The registry is shared with the other nodes; what browsers have to be told
    /// comes out of the receiver.
    ///
    /// Everything between Redis and the hub has a thread of its own. On a runtime that steals work,
    /// a lone publish woke threads three or four times.
    ///
    /// # Errors
    ///
    /// The system's, if it has no random numbers or no more threads.
    pub(super) fn join(
        self,
        config: ClusterConfig,
    ) -> Result<(Registry, Member, Arc<Gaps>), RunError> {
        let Self { topics, hub, metrics, clock } = self;
        let sharing = Sharing {
            prefix: config.prefix.clone(),
            is_redis_cluster: matches!(config.redis.target, RedisTarget::Cluster(_)),
            clock,
            metrics: Arc::clone(metrics),
        };
        let registry = Registry::shared(topics, sharing);
        let server = config.redis.clone();
        let (cluster, gaps) = Cluster::new(config, Arc::clone(hub), Arc::clone(metrics), clock)
            .map_err(RunError::Random)?;
        let mut channels = cluster.channels();
        if let Some(channel) = registry.channel() {
            let registry = registry.clone();
            let channel = channel.to_owned();
            let hear: Hear = Box::new(move |message| registry.hear_change(message));
            channels.push((channel, hear));
        }
        let (tasks, end) = (TaskTracker::new(), CancellationToken::new());
        let runtime =
            Builder::new_current_thread().enable_all().build().map_err(RunError::Thread)?;
        let entered = runtime.enter();
        let redis = Redis::start(server, channels, Arc::clone(metrics), end.clone());
        registry.join(Arc::clone(&redis), end.clone());
        cluster.join(&redis, &tasks, &end);
        drop(entered);
        let (ending, ended) = (end.clone(), tasks.clone());
        let serve = async move {
            ending.cancelled().await;
            ended.wait().await;
        };
        let runtime = Arc::new(runtime);
        let served = Arc::clone(&runtime);
        let thread = thread::Builder::new().name("cluster".to_owned());
        if let Err(error) = thread.spawn(move || served.block_on(serve)) {
            // Dropped here it would wait, which a task must not.
            if let Some(runtime) = Arc::into_inner(runtime) {
                runtime.shutdown_background();
            }
            return Err(RunError::Thread(error));
        }
        let member = Member { registry: registry.clone(), cluster, redis, tasks, end };
        Ok((registry, member, gaps))
    }
}

impl Member {
    /// What the broker needs of it.
    pub(super) fn membership(&self) -> Membership {
        Membership { cluster: Arc::clone(&self.cluster), redis: Arc::clone(&self.redis) }
    }

    /// Returns when this node listens and can ask, or when that takes too long.
    pub(super) async fn ready(&self) {
        let deadline = Instant::now() + FIRST_PATIENCE;
        let failed = async {
            // Away at once: to wait would not help.
            while self.redis.describe().last_error.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            _ = timeout_at(deadline, async {
                tokio::join!(self.redis.listening(0), self.registry.reached())
            }) => {}
            () = failed => {}
        }
        if self.redis.listening(0).now_or_never().is_none() {
            self.cluster.begins_deaf();
        }
    }

    /// Sends what waits, and leaves, at most until `deadline`.
    pub(super) async fn leave(self, deadline: Instant) {
        let _ = tokio::join!(
            self.cluster.leave(&self.redis, deadline),
            timeout_at(deadline, self.registry.written()),
        );
        self.end.cancel();
        self.tasks.close();
        let _ = timeout_at(deadline, self.tasks.wait()).await;
    }
}
