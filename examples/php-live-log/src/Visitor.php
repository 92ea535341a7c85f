<?php

declare(strict_types=1);

namespace LiveLog;

/**
 * Who is looking: a number that ends up in the token, and the word that proves that a form came
 * from a page of ours. Both live in PHP's session.
 *
 * There is no login here; your application has one, and takes the number of the user from it.
 */
final class Visitor
{
    public int $userId;
    public string $formToken;

    /**
     * The visitor of this request; a new one gets a number.
     *
     * The session is closed again at once: PHP keeps it locked while it is open, so that the
     * requests of one browser would wait for each other.
     */
    public static function ofThisRequest(): self
    {
        session_start([
            'name' => 'live_log',
            'cookie_httponly' => true,
            'cookie_samesite' => 'Lax',
            'cookie_secure' => ($_SERVER['HTTPS'] ?? 'off') !== 'off',
            'use_strict_mode' => true,
        ]);
        if (!isset($_SESSION['user_id'])) {
            $_SESSION['user_id'] = random_int(1, 1000000000);
            $_SESSION['form_token'] = bin2hex(random_bytes(16));
        }
        $visitor = new self();
        $visitor->userId = $_SESSION['user_id'];
        $visitor->formToken = $_SESSION['form_token'];
        session_write_close();
        return $visitor;
    }

    /**
     * Whether a form came from a page that this visitor got from us.
     *
     * @param mixed $said what the form has in its hidden field
     */
    public function wrote($said): bool
    {
        return is_string($said) && hash_equals($this->formToken, $said);
    }
}
