<?php

/**
 * The page: the form, the newest contacts, and what its script needs to be told of new ones.
 */

declare(strict_types=1);

use LiveLog\Contact;

require __DIR__ . '/../src/app.php';

$connection = $live->forPage($visitor); // Registers the topic, and has the token in it.
$contacts = $log->newest(50);

header('Content-Type: text/html; charset=utf-8');
?>
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Live log</title>
<link rel="icon" href="icon.svg">
<link rel="stylesheet" href="style.css">
<script type="application/json" id="connection"><?= json_encode($connection, JSON_HEX_TAG | JSON_HEX_AMP | JSON_THROW_ON_ERROR) ?></script>
<script type="module" src="live-log.js"></script>
</head>
<body>
<header>
  <img src="icon.svg" alt="" width="36" height="36">
  <div>
    <h1>Live log</h1>
    <p class="hush">Log a contact, and everybody who has this page open sees it.</p>
  </div>
  <p id="state" role="status" data-state="connecting">Connecting</p>
</header>

<main>
  <form class="card" id="entry" method="post" action="save.php" autocomplete="off">
    <input type="hidden" name="form_token" value="<?= e($visitor->formToken) ?>">
    <div class="field call">
      <label for="call">Call sign</label>
      <input id="call" name="call" required maxlength="20" autofocus autocapitalize="characters" autocorrect="off" spellcheck="false">
    </div>
    <div class="field">
      <label for="band">Band</label>
      <select id="band" name="band">
<?php foreach (Contact::BANDS as $band) : ?>
        <option<?= $band === '20m' ? ' selected' : '' ?>><?= e($band) ?></option>
<?php endforeach; ?>
      </select>
    </div>
    <div class="field">
      <label for="mode">Mode</label>
      <select id="mode" name="mode">
<?php foreach (Contact::MODES as $mode) : ?>
        <option><?= e($mode) ?></option>
<?php endforeach; ?>
      </select>
    </div>
    <div class="field">
      <label for="report">Report</label>
      <input id="report" name="report" required maxlength="10" value="59" spellcheck="false">
    </div>
    <div class="field name">
      <label for="name">Name</label>
      <input id="name" name="name" maxlength="60" spellcheck="false">
    </div>
    <button>Log it</button>
    <p id="result" role="status"></p>
  </form>

  <section class="card list" aria-labelledby="newest">
    <h2 id="newest">Newest contacts</h2>
    <table role="table">
      <thead>
        <tr>
          <th scope="col">Time (UTC)</th>
          <th scope="col">Call</th>
          <th scope="col">Band</th>
          <th scope="col">Mode</th>
          <th scope="col">Report</th>
          <th scope="col">Name</th>
        </tr>
      </thead>
      <tbody role="rowgroup" id="contacts">
<?php require __DIR__ . '/../src/rows.php'; ?>
      </tbody>
    </table>
    <p class="empty hush">Nothing yet: log the first one.</p>
  </section>
</main>
</body>
</html>
