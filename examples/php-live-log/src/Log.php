<?php

declare(strict_types=1);

namespace LiveLog;

use PDO;

/**
 * The log: contacts in an SQLite file. It knows nothing of the worker.
 */
final class Log
{
    private PDO $database;

    /** Opens the log in `$file`, and makes it if it is not there. */
    public function __construct(string $file)
    {
        if (!is_dir(dirname($file))) {
            @mkdir(dirname($file), 0700, true); // Another request may be quicker: PDO says if it fails.
        }
        $this->database = new PDO('sqlite:' . $file, null, null, [
            PDO::ATTR_ERRMODE => PDO::ERRMODE_EXCEPTION,
            PDO::ATTR_DEFAULT_FETCH_MODE => PDO::FETCH_ASSOC,
            PDO::ATTR_TIMEOUT => 5, // Seconds to wait while another request writes.
        ]);
        $this->database->exec(
            'CREATE TABLE IF NOT EXISTS contact (
                id INTEGER PRIMARY KEY AUTOINCREMENT,
                time INTEGER NOT NULL, -- Unix time in seconds
                call TEXT NOT NULL, band TEXT NOT NULL, mode TEXT NOT NULL,
                report TEXT NOT NULL, name TEXT NOT NULL
            )'
        );
    }

    /** Saves a contact that was made at `$time` (Unix seconds); returns its number. */
    public function add(Contact $contact, int $time): int
    {
        $insert = $this->database->prepare(
            'INSERT INTO contact (time, call, band, mode, report, name) VALUES (?, ?, ?, ?, ?, ?)'
        );
        $insert->execute([
            $time, $contact->call, $contact->band, $contact->mode, $contact->report, $contact->name,
        ]);
        return (int) $this->database->lastInsertId();
    }

    /**
     * The newest contacts, newest first: rows with the columns of the table.
     *
     * @return array<int, array<string, string|int>>
     */
    public function newest(int $atMost): array
    {
        $select = $this->database->prepare('SELECT * FROM contact ORDER BY id DESC LIMIT ?');
        $select->bindValue(1, $atMost, PDO::PARAM_INT);
        $select->execute();
        return $select->fetchAll();
    }
}
