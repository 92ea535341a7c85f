//! Shows on a terminal that an answer is waited for, once that takes longer than a second.

use std::pin::pin;
use std::time::Duration;

use indicatif::ProgressBar;
use tokio::time::timeout;

use crate::client::address::Address;

/// Time after which it is shown.
const PATIENCE: Duration = Duration::from_secs(1);

/// Time between two pictures.
const TICK: Duration = Duration::from_millis(120);

/// What `answer` of `address` comes to. Who looks at a terminal sees that it is waited for.
pub(super) async fn shown<T>(address: &Address, answer: impl Future<Output = T>) -> T {
    let mut answer = pin!(answer);
    if let Ok(answer) = timeout(PATIENCE, answer.as_mut()).await {
        return answer;
    }
    // It goes to standard error, and nowhere if that is no terminal.
    let bar = ProgressBar::new_spinner().with_message(format!("waiting for {address}"));
    bar.enable_steady_tick(TICK);
    let answer = answer.await;
    bar.finish_and_clear();
    answer
}
