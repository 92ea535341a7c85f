<?php

/**
 * The rows of the table, for the page and for its refetch: one template, so that both agree.
 *
 * Takes `$contacts`, as `Log::newest()` returns them.
 */

declare(strict_types=1);

?>
<?php foreach ($contacts as $contact) : ?>
<tr data-id="<?= (int) $contact['id'] ?>" data-band="<?= e($contact['band']) ?>">
  <td class="time"><time datetime="<?= gmdate('c', (int) $contact['time']) ?>"><span class="day"><?= gmdate('j M', (int) $contact['time']) ?></span> <?= gmdate('H:i', (int) $contact['time']) ?></time></td>
  <th class="call" scope="row"><?= e($contact['call']) ?></th>
  <td class="band"><span class="chip"><?= e($contact['band']) ?></span></td>
  <td class="mode"><?= e($contact['mode']) ?></td>
  <td class="report"><?= e($contact['report']) ?></td>
  <td class="name"><?= e($contact['name']) ?></td>
</tr>
<?php endforeach; ?>
