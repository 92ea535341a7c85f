//! What is logged: little, and never a password.

use std::io;

use tracing_subscriber::fmt::MakeWriter;

use super::*;

/// Where lines are kept.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().clone()).unwrap()
    }
}

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn an_absence_is_two_lines_however_many_attempts_it_takes() {
    let lines = Lines::default();
    // While there is one subscriber, tracing asks only that of the thread that logs first whether
    // anybody wants a line, and that may be another test's, which has none.
    let _other = tracing::Dispatch::new(tracing_subscriber::registry());
    // Everything runs on this thread.
    let _logging = tracing::subscriber::set_default(
        tracing_subscriber::fmt().with_writer(lines.clone()).with_ansi(false).finish(),
    );
    let mut server = Server::start(&["--requirepass", "hunter2"]);
    let config = RedisConfig { password: Some("hunter2".to_owned()), ..server.config() };
    let way = Way::up(config).await;

    server.kill();
    way.is(LinkState::Away).await;
    tokio::time::sleep(Duration::from_millis(1_000)).await; // Some attempts.
    server.restart(&["--requirepass", "hunter2"]);
    way.is(LinkState::Up).await;

    until("it is logged", || lines.text().contains("is back")).await;
    let text = lines.text();
    let told: Vec<&str> = text.lines().collect();
    let redis = format!("redis=redis://127.0.0.1:{}/0", server.port);
    assert_eq!(told.len(), 3, "{text}");
    for (line, words) in told.iter().zip([
        ["INFO", "connected to Redis", ""],
        [
            "WARN",
            "Redis is away: degraded, this node serves alone",
            "reason=\"connection refused\"",
        ],
        ["INFO", "Redis is back", "attempts="],
    ]) {
        assert!(line.contains(&redis), "{line}");
        for word in words {
            assert!(line.contains(word), "{line}");
        }
    }
    assert!(!text.contains("hunter2"));
}
