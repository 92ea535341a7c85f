//! Asks sentinels who the master is.
//!
//! All are asked at once, so that a dead one costs no time. What most of them say counts, so that
//! one that was cut off does not lead us to a master of yesterday. Start reading at [`master`].

use std::collections::HashMap;

use ::redis::{AsyncConnectionConfig, cmd};
use tokio::task::JoinSet;
use tokio::time::{Duration, timeout};

use super::SILENT;
use super::connect::{client, info, tcp};
use super::error::not_connected;
use crate::config::{RedisAddress, RedisTls, SentinelConfig};

/// Time that a sentinel has to answer.
const PATIENCE: Duration = Duration::from_secs(1);

/// The master that most sentinels name; or why none does.
pub async fn master(
    sentinels: &SentinelConfig,
    tls: Option<&RedisTls>,
) -> Result<RedisAddress, String> {
    let mut asked = JoinSet::new();
    for sentinel in &sentinels.sentinels {
        let (sentinel, all, tls) = (sentinel.clone(), sentinels.clone(), tls.cloned());
        asked.spawn(async move {
            let answer = timeout(PATIENCE, ask(&sentinel, &all, tls.as_ref())).await;
            answer
                .unwrap_or_else(|_| Err(SILENT.to_owned()))
                .map_err(|why| format!("sentinel {sentinel}: {why}"))
        });
    }
    let mut votes: HashMap<(String, u16), usize> = HashMap::new();
    let mut why = "no sentinel is configured".to_owned();
    while let Some(answer) = asked.join_next().await {
        match answer {
            Ok(Ok(address)) => {
                let count = votes.entry(address.clone()).or_default();
                *count += 1;
                if *count * 2 > sentinels.sentinels.len() {
                    return Ok(named(address));
                }
            }
            Ok(Err(reason)) => why = reason,
            Err(_) => {}
        }
    }
    let most = votes.into_iter().max_by_key(|(_, count)| *count);
    most.map(|(address, _)| named(address)).ok_or(why)
}

fn named((host, port): (String, u16)) -> RedisAddress {
    RedisAddress { host, port }
}

/// What one sentinel says.
async fn ask(
    sentinel: &RedisAddress,
    all: &SentinelConfig,
    tls: Option<&RedisTls>,
) -> Result<(String, u16), String> {
    let password = all.password.as_deref();
    let explain = |error: ::redis::RedisError| not_connected(&error, password.as_slice());
    let info = info(tcp(sentinel, tls), all.username.as_deref(), password, 0).map_err(explain)?;
    let config =
        AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
    let client = client(info, tls)?;
    let mut connection =
        client.get_multiplexed_async_connection_with_config(&config).await.map_err(explain)?;
    let answer: Option<(String, u16)> = cmd("SENTINEL")
        .arg("get-master-addr-by-name")
        .arg(&all.master)
        .query_async(&mut connection)
        .await
        .map_err(explain)?;
    answer.ok_or_else(|| format!("knows no master called {}", all.master))
}
