<?php

/**
 * The rows of the table, for the page and for its refetch: one template, so that both agree.
 *
 * Takes `$contacts`, as `Log::newest()` returns them.
 */

declare(strict_types=1);

?>
<?php foreach ($contacts as $contact) : ?>
<tr role="row" data-id="<?= (int) $contact['id'] ?>" data-band="<?= e($contact['band']) ?>">
  <td role="cell" class="time"><time datetime="<?= gmdate('c', (int) $contact['time']) ?>"><span class="day"><?= gmdate('j M', (int) $contact['time']) ?></span> <?= gmdate('H:i', (int) $contact['time']) ?></time></td>
  <th class="call" scope="row" role="rowheader"><?= e($contact['call']) ?></th>
  <td role="cell" class="band"><span class="chip"><?= e($contact['band']) ?></span></td>
  <td role="cell" class="mode"><?= e($contact['mode']) ?></td>
  <td role="cell" class="report"><?= e($contact['report']) ?></td>
  <td role="cell" class="name"><?= e($contact['name']) ?></td>
</tr>
<?php endforeach; ?>
