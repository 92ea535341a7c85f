//! What each command's help and man page say beside its options: examples, notes, exit codes.
//!
//! One table for both, so that every command has them, in one form. Start reading at [`PAGES`].

use clap::Command;
use clap::builder::StyledStr;
use clap::builder::styling::Style;

/// What is said of one command.
#[derive(Debug)]
pub(super) struct Page {
    /// Its name; empty for the program itself.
    pub(super) name: &'static str,
    /// What it is for, for the man page: sentences, a paragraph each.
    pub(super) description: &'static [&'static str],
    /// A line for a shell, and what it does where that does not go without saying.
    pub(super) examples: &'static [(&'static str, &'static str)],
    /// What one has to know beside that, in lines of at most 90 columns.
    pub(super) notes: &'static str,
    /// When the exit code is 1, if it is not just that it failed.
    pub(super) exit_1: &'static str,
}

/// Every command that is shown, the program itself first.
pub(super) const PAGES: &[Page] = &[
    Page {
        name: "",
        description: &[
            "A server that lets a PHP application push events to browsers. PHP posts an event to a topic on the internal port, 9001, with a secret; every browser that is subscribed to the topic over WebSocket, on port 9000, has it at once.",
            "Without a command it runs the worker, as serve does, until SIGTERM or SIGINT. The option of the Go worker that it replaces, -config FILE with one dash, is understood as well. Secrets and tokens are never arguments, where other users of the machine could read them.",
        ],
        examples: &[
            ("wavelog_worker demo", "see it work"),
            ("wavelog_worker init", "write config.yaml"),
            ("wavelog_worker -config /etc/wavelog_worker/config.yaml", "run it"),
        ],
        notes: "The configuration is config.yaml in the working directory. Where there is none,\ntools such as status and doctor read /etc/wavelog_worker/config.yaml.\n\nExit codes: 0 done, 1 failed (one line says why), 2 wrong arguments.",
        exit_1: "",
    },
    Page {
        name: "serve",
        description: &[
            "Runs the worker in the foreground and logs to standard error. It ends within two seconds of SIGTERM or SIGINT, with exit code 0: requests under way are answered, what was accepted is delivered, and every browser is told to come back.",
        ],
        examples: &[
            ("wavelog_worker serve --config /etc/wavelog_worker/config.yaml", ""),
            ("WORKER_LOG_FORMAT=json wavelog_worker serve", "logs for programs"),
        ],
        notes: "Every key of the configuration has an environment variable, such as WORKER_WS_PORT.",
        exit_1: "The configuration cannot be used, or a port is taken.",
    },
    Page {
        name: "demo",
        description: &[
            "Starts a worker in memory, on this machine only and with a fresh secret, plays an application that publishes, and serves a page that subscribes. Nothing stays behind.",
        ],
        examples: &[
            ("wavelog_worker demo", ""),
            ("wavelog_worker demo --ws-port 9100 --internal-port 9101", ""),
        ],
        notes: "Without ports it takes 9000 and 9001, or free ones if those are taken. It needs no\nconfiguration and reads none.",
        exit_1: "",
    },
    Page {
        name: "init",
        description: &[
            "Writes the sample of the configuration, with every key, its default and what it means, and with a secret of 32 random bytes. Only its owner may read the file. A file that is there is left as it is.",
        ],
        examples: &[
            ("wavelog_worker init", "writes config.yaml"),
            ("wavelog_worker init --config /etc/wavelog_worker/config.yaml", ""),
        ],
        notes: "Give PHP the same worker_secret.",
        exit_1: "",
    },
    Page {
        name: "check",
        description: &[
            "Reads configuration and environment as serve does, starts nothing, and prints every problem with its line and what to do, every risk, and each key with its value and who set it. Secrets are not shown.",
        ],
        examples: &[
            ("wavelog_worker check --config config.yaml", ""),
            ("wavelog_worker check && systemctl restart wavelog_worker", "only if it would start"),
        ],
        notes: "Whether the worker can be reached, and Redis, is what `doctor` finds out.",
        exit_1: "The worker would not start with this configuration.",
    },
    Page {
        name: "token",
        description: &[
            "Makes a token as PHP makes them: it lets one user in to one topic for a time. With --decode it explains the token on standard input instead, and says whether a worker with the configured secret takes it.",
        ],
        examples: &[
            ("wavelog_worker token --topic session.42 --ttl 1h", ""),
            ("wavelog_worker token --session 42 --user-id 7", "the older form"),
            ("wavelog_worker token --decode < token.txt", "why is it refused?"),
        ],
        notes: "The secret is that of the configuration or of WORKER_SECRET.",
        exit_1: "With --decode also: the token would not be accepted.",
    },
    Page {
        name: "publish",
        description: &[
            "Posts one event to the internal port of a running worker, as PHP does. The payload is any JSON, as an argument or on standard input.",
        ],
        examples: &[
            ("wavelog_worker publish session.42 '{\"call\":\"DL1ABC\"}'", ""),
            ("wavelog_worker publish --register session.42 '\"a text has quotes of its own\"'", ""),
            ("wavelog_worker publish session.42 < event.json", ""),
        ],
        notes: "",
        exit_1: "The worker is not there, or refuses: the topic is not registered, the secret is another.",
    },
    Page {
        name: "listen",
        description: &[
            "Subscribes to a topic as a browser does and prints the payload of every push, a line each. It comes back after every end of the connection, until SIGINT or SIGTERM.",
        ],
        examples: &[
            ("wavelog_worker listen --register session.42", ""),
            ("wavelog_worker listen --open --url ws://127.0.0.1:9000/ws news | jq .", ""),
        ],
        notes: "The token is the one of --token-file, else the one in WORKER_TOKEN, else it is made with\nthe configured secret. Notes go to standard error, pushes to standard output.",
        exit_1: "Coming back would not help: the topic is not registered, or the token is refused.",
    },
    Page {
        name: "status",
        description: &[
            "Asks a running worker how it is: version, uptime, users, sockets and topics, and counts since its start that are not zero. Those that ask for action are yellow on a terminal; docs/operations.md says what to do.",
        ],
        examples: &[
            ("wavelog_worker status", ""),
            ("wavelog_worker status --topics --internal http://127.0.0.1:9001", ""),
            ("wavelog_worker status --json | jq .counters", ""),
            ("wavelog_worker status --cluster", "all nodes, and the way to Redis"),
        ],
        notes: "",
        exit_1: "The worker is not there, or does not take the secret.",
    },
    Page {
        name: "doctor",
        description: &[
            "Tests the whole path of an event as PHP and a browser take it, step by step: configuration, clock, ports, secret, Redis, and then the public address with its proxy. Under a fault stand what was expected, what was found, and the lines to change. Secrets and tokens are never shown.",
        ],
        examples: &[
            ("wavelog_worker doctor --url wss://log.example.org/ws", ""),
            ("wavelog_worker doctor --php /var/www/html/application/config/worker.php --quick", ""),
            ("wavelog_worker doctor --url https://log.example.org", "from any machine"),
        ],
        notes: "Each step is ok, warn or FAIL. Exit code 1 if something does not work.",
        exit_1: "Something does not work.",
    },
    Page {
        name: "health",
        description: &[
            "Asks the worker of this machine whether it is well, within two seconds and without a secret: for the health check of a container, or a script. It finds the worker by the configured addresses and ports.",
        ],
        examples: &[
            ("wavelog_worker health", "is it ready, with Redis if it has one?"),
            ("wavelog_worker health --live", "does it answer at all?"),
            ("wavelog_worker health --ws", "does it take browsers?"),
        ],
        notes: "Exit code 0 if so, else 1. One line says how it is.",
        exit_1: "The answer is no, or there is none.",
    },
    Page {
        name: "bench",
        description: &[
            "Starts a worker of its own on loopback, connects browsers, publishes, and checks every byte of every frame: what was lost, doubled, altered or out of order is counted. Beside it runs a floor, a program that does nothing but one send per socket, as the yardstick; `bench floor` runs that alone.",
        ],
        examples: &[
            ("wavelog_worker bench --quick", "a look, 15 seconds"),
            ("wavelog_worker bench fanout --sockets 5000 --rate 20", ""),
            ("wavelog_worker bench all --report bench.html", "everything, five minutes"),
        ],
        notes: "",
        exit_1: "Something was lost or wrong, or nothing could be measured.",
    },
    Page {
        name: "completions",
        description: &["Prints a script that completes commands and options in a shell."],
        examples: &[
            ("source <(wavelog_worker completions bash)", "for this shell"),
            (
                "wavelog_worker completions fish > ~/.config/fish/completions/wavelog_worker.fish",
                "",
            ),
        ],
        notes: "Packages install them already.",
        exit_1: "",
    },
    Page {
        name: "man",
        description: &[
            "Prints the manual page of the program, or writes the pages of the program and of every command into a directory.",
        ],
        examples: &[
            ("wavelog_worker man | man -l -", "read it"),
            ("wavelog_worker man /usr/local/share/man/man1", "then: man wavelog_worker-status"),
        ],
        notes: "Packages install them already.",
        exit_1: "",
    },
];

/// The page of the command `name`, which every command has.
pub(super) fn page(name: &str) -> Option<&'static Page> {
    PAGES.iter().find(|page| page.name == name)
}

/// Gives `command` and its subcommands what stands behind their options: examples and notes, or if
/// it shall be `brief`, where to find them.
pub(super) fn dress(command: Command, brief: bool) -> Command {
    PAGES.iter().fold(command, |command, page| match page.name {
        "" => command.after_help(behind(page, brief)),
        name => {
            command.mut_subcommand(name, |subcommand| subcommand.after_help(behind(page, brief)))
        }
    })
}

fn behind(page: &Page, brief: bool) -> StyledStr {
    if brief {
        let separator = if page.name.is_empty() { "" } else { " " };
        return format!("Examples: wavelog_worker{separator}{} --help", page.name).into();
    }
    let heading = Style::new().bold().underline();
    let mut text = format!("{heading}Examples:{heading:#}");
    // Longer lines have their remark close behind them.
    const ALIGNED: usize = 56;
    let lengths = page.examples.iter().filter(|(_, remark)| !remark.is_empty());
    let lengths = lengths.map(|(line, _)| line.len()).filter(|length| *length <= ALIGNED);
    let width = lengths.max().unwrap_or(0);
    for (line, remark) in page.examples {
        text += &match remark.is_empty() {
            true => format!("\n  {line}"),
            false => format!("\n  {line:width$}  # {remark}"),
        };
    }
    if !page.notes.is_empty() {
        text += &format!("\n\n{}", page.notes);
    }
    text.into()
}
