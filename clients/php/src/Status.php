<?php
declare(strict_types=1);

namespace WavelogWorker;

/**
 * What a node says about itself: docs/protocol.md, "Status". What a Go worker does not say is null
 * or empty.
 */
final class Status
{
    /** `ok` */
    public string $status;
    /** Of the worker. */
    public string $version;
    /** `wavelog_worker (Rust)`; null is the Go worker. */
    public ?string $implementation;
    /** Since the start, for people: `27h0m5s`. */
    public string $uptime;
    public ?int $uptimeSeconds;
    /** Topics that may be used; in a cluster those of all nodes. */
    public int $registeredTopics;
    /** Topics with a subscriber. */
    public int $activeTopics;
    /** Different users. */
    public int $connectedClients;
    public int $connectedSockets;
    /** @var string[] the registered topics, if they were asked for */
    public array $topicList;
    /** @var string[] the topics with a subscriber, if they were asked for */
    public array $activeTopicList;
    /** Subscribers of the cluster's channel; -1 on a single node, and while Redis is away. */
    public int $clusterNodes;
    /** In a cluster: whether the node serves alone because Redis is away; null on a single node. */
    public ?bool $degraded;
    /** @var array<string, mixed>|null in a cluster: `state`, `address`, `away_ms`, `reconnects`, `error` */
    public ?array $redis;
    public ?int $waitingForRedisBytes;
    /** @var array<string, int|float> counts since the start; a float where an int of PHP is too small */
    public array $counters;
    /** @var array<string, mixed> the document as it came, with what is new since this was written */
    public array $raw;

    /** @param array<string, mixed> $document decoded */
    public function __construct(array $document)
    {
        $this->status = self::text($document, 'status');
        $this->version = self::text($document, 'version');
        $implementation = self::text($document, 'implementation');
        $this->implementation = $implementation === '' ? null : $implementation;
        $this->uptime = self::text($document, 'uptime');
        $this->uptimeSeconds = self::number($document, 'uptime_seconds');
        $this->registeredTopics = self::number($document, 'registered_topics') ?? 0;
        $this->activeTopics = self::number($document, 'active_topics') ?? 0;
        $this->connectedClients = self::number($document, 'connected_clients') ?? 0;
        $this->connectedSockets = self::number($document, 'connected_sockets') ?? 0;
        $this->topicList = array_filter(self::map($document, 'topic_list') ?? [], 'is_string');
        $this->activeTopicList = array_filter(self::map($document, 'active_topic_list') ?? [], 'is_string');
        $this->clusterNodes = self::number($document, 'cluster_nodes') ?? -1;
        $this->degraded = is_bool($document['degraded'] ?? null) ? $document['degraded'] : null;
        $this->redis = self::map($document, 'redis');
        $this->waitingForRedisBytes = self::number($document, 'waiting_for_redis_bytes');
        $this->counters = array_filter(
            self::map($document, 'counters') ?? [],
            static fn ($count): bool => is_int($count) || is_float($count)
        );
        $this->raw = $document;
    }

    /** @param array<string, mixed> $document */
    private static function text(array $document, string $key): string
    {
        return is_string($document[$key] ?? null) ? $document[$key] : '';
    }

    /** @param array<string, mixed> $document */
    private static function number(array $document, string $key): ?int
    {
        return is_int($document[$key] ?? null) ? $document[$key] : null;
    }

    /**
     * @param array<string, mixed> $document
     *
     * @return array<mixed>|null
     */
    private static function map(array $document, string $key): ?array
    {
        return is_array($document[$key] ?? null) ? $document[$key] : null;
    }
}
