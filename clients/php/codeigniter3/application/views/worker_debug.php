<?php
/**
 * The debug page; self-contained, so that it works in any application.
 *
 * Given by the controller Worker_debug: $enabled (bool), $nodes (Worker_publisher::status_all()),
 * $settings (label => text), $problems (texts).
 */
defined('BASEPATH') OR exit('No direct script access allowed');

$text = static function ($value) {
    return htmlspecialchars((string) $value, ENT_QUOTES | ENT_SUBSTITUTE, 'UTF-8');
};
$alive = count(array_filter(array_column($nodes, 'alive')));
if ( ! $enabled) {
    $headline = $problems ? 'Switched on, but not usable' : 'Switched off';
    $mood = $problems ? 'bad' : 'off';
} else {
    $headline = $alive . ' of ' . count($nodes) . (count($nodes) === 1 ? ' worker answers' : ' workers answer');
    $mood = $alive === count($nodes) ? 'good' : ($alive > 0 ? 'half' : 'bad');
}
$figures = [
    'Version' => 'version',
    'Running for' => 'uptime',
    'Active topics' => 'active_topics',
    'Known topics' => 'registered_topics',
    'Users' => 'connected_clients',
    'Sockets' => 'connected_sockets',
];
?>
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="robots" content="noindex">
<link rel="icon" href="data:,">
<title>Worker: <?= $text($headline) ?></title>
<style>
:root {
    color-scheme: light dark;
    --page: #f4f5f7; --card: #ffffff; --ink: #1b2129; --faint: #5a6572; --line: #dce0e5;
    --good: #136c3d; --good-back: #dff3e7; --bad: #a3211b; --bad-back: #fce6e4;
    --half: #7d5200; --half-back: #fdf0d3; --off: #4d5762; --off-back: #e6e9ed; --link: #1558b0;
}
@media (prefers-color-scheme: dark) {
    :root {
        --page: #14181d; --card: #1d232a; --ink: #e6eaee; --faint: #9ba6b2; --line: #323a44;
        --good: #7fdca6; --good-back: #14361f; --bad: #ff9d96; --bad-back: #45191a;
        --half: #f3c565; --half-back: #3d2e0a; --off: #b3bdc8; --off-back: #2c343d; --link: #8ab8ff;
    }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 1.5rem 1rem 3rem; }
header { display: flex; flex-wrap: wrap; align-items: center; gap: .5rem 1rem; margin-bottom: 1.25rem; }
h1 { font-size: 1.4rem; margin: 0; }
h2 { font-size: 1.05rem; margin: 2rem 0 .6rem; }
a { color: var(--link); }
header a { margin-left: auto; }
code { font: .92em/1.4 ui-monospace, monospace; overflow-wrap: anywhere; }
.badge { border-radius: 1rem; padding: .1rem .7rem; font-size: .88rem; font-weight: 600; white-space: nowrap; }
.good { color: var(--good); background: var(--good-back); }
.bad { color: var(--bad); background: var(--bad-back); }
.half { color: var(--half); background: var(--half-back); }
.off { color: var(--off); background: var(--off-back); }
.nodes { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 19rem), 1fr)); gap: 1rem; }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .6rem; padding: 1rem; }
.title { display: flex; flex-wrap: wrap; align-items: center; justify-content: space-between; gap: .3rem .75rem; }
.title code { font-weight: 600; }
.figures { display: grid; grid-template-columns: repeat(3, 1fr); gap: .6rem .75rem; margin: .9rem 0 0; }
.figures dt { color: var(--faint); font-size: .8rem; }
.figures dd { margin: 0; font-variant-numeric: tabular-nums; overflow-wrap: anywhere; }
.note { border-radius: .4rem; padding: .5rem .75rem; margin: .75rem 0 0; overflow-wrap: anywhere; }
ul.note { padding-left: 1.75rem; }
.settings { display: grid; grid-template-columns: minmax(9rem, max-content) 1fr; gap: .35rem 1.25rem; margin: 0; }
.settings dt { color: var(--faint); }
.settings dd { margin: 0; overflow-wrap: anywhere; }
@media (max-width: 34rem) {
    .settings { grid-template-columns: 1fr; gap: 0; }
    .settings dd { margin-bottom: .6rem; }
}
</style>
</head>
<body>
<main>
<header>
    <h1>Worker</h1>
    <span class="badge <?= $mood ?>"><?= $text($headline) ?></span>
    <a href="">Ask again</a>
</header>
<?php if ($problems): ?>
<h2>To be mended</h2>
<ul class="note bad">
<?php foreach ($problems as $problem): ?>
    <li><?= $text($problem) ?></li>
<?php endforeach ?>
</ul>
<?php endif ?>
<?php if ($nodes): ?>
<h2>Workers</h2>
<div class="nodes">
<?php foreach ($nodes as $node): ?>
    <section class="card">
        <div class="title">
            <code><?= $text($node['url']) ?></code>
            <span class="badge <?= $node['alive'] ? 'good' : 'bad' ?>"><?= $text($node['state']) ?></span>
        </div>
<?php if ($node['alive']): ?>
        <dl class="figures">
<?php foreach ($figures as $label => $key): ?>
            <div><dt><?= $text($label) ?></dt> <dd><?= $text($node[$key] ?? '?') ?></dd></div>
<?php endforeach ?>
        </dl>
<?php else: ?>
        <p class="note bad"><?= $text($node['error']) ?></p>
<?php endif ?>
    </section>
<?php endforeach ?>
</div>
<?php endif ?>
<h2>Configuration</h2>
<dl class="card settings">
<?php foreach ($settings as $label => $value): ?>
    <dt><?= $text($label) ?></dt>
    <dd><?= $text($value) ?></dd>
<?php endforeach ?>
</dl>
</main>
</body>
</html>
