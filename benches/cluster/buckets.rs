//! How many nodes would have to hear an event if there were several channels, each for a share of
//! the topics by their hash, and a node subscribed only to those of which it has a topic.
//!
//! Nothing is measured here: nodes and topics are drawn by a fixed generator, and the cost of
//! Redis is what `fanout` measured for so many nodes.

use std::fmt::Write;

use super::fanout::Fanout;

/// Nodes of the cluster.
const NODES: u32 = 32;

/// Channels; without a number one for each topic.
const CHANNELS: [Option<usize>; 5] = [Some(1), Some(16), Some(64), Some(1_024), None];

/// Topics that a node has subscribers of.
const TOPICS: [usize; 4] = [10, 100, 1_000, 10_000];

/// Nodes that have subscribers of the same topic.
const SHARED_BY: u32 = 2;

/// The table.
pub fn table(fanout: &Fanout) -> String {
    let mut text =
        format!("{NODES} nodes, each topic with subscribers on {SHARED_BY} of them.\n\n");
    text += "| topics on a node |";
    for channels in CHANNELS {
        let _ = match channels {
            Some(1) => write!(text, " one channel |"),
            Some(channels) => write!(text, " {channels} channels |"),
            None => write!(text, " one for each topic |"),
        };
    }
    text += "\n|---:|---:|---:|---:|---:|---:|";
    for topics in TOPICS {
        let _ = write!(text, "\n| {topics} |");
        for channels in CHANNELS {
            let heard = hearing(topics, channels);
            let _ = write!(text, " {heard:.1} nodes, {:.1} µs |", fanout.full_us(heard));
        }
    }
    text
}

/// The mean number of nodes that hear an event on one of the topics.
fn hearing(topics_of_node: usize, channels: Option<usize>) -> f64 {
    let mut random = Random(0x9E37_79B9_7F4A_7C15);
    let topics = NODES as usize * topics_of_node / SHARED_BY as usize;
    // The nodes that have joined a channel, as bits.
    let mut joined = vec![0_u32; channels.unwrap_or(topics)];
    let mut channel_of = Vec::with_capacity(topics);
    for topic in 0..topics {
        let channel = channels.map_or(topic, |channels| random.below(channels));
        let mut nodes = 0_u32;
        while nodes.count_ones() < SHARED_BY {
            nodes |= 1 << random.below(NODES as usize);
        }
        joined[channel] |= nodes;
        channel_of.push(channel);
    }
    let heard: u32 = channel_of.iter().map(|channel| joined[*channel].count_ones()).sum();
    f64::from(heard) / topics as f64
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) as usize % limit
    }
}
