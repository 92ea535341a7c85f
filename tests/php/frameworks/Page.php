<?php
declare(strict_types=1);

/**
 * The files that a page of docs/ shows, written into a folder as its reader would write them.
 *
 * A file is a line that begins with its name, as **`config/worker.php`**, and the block of code
 * behind it.
 */
final class Page
{
    /** Where the files are. */
    public readonly string $folder;

    public function __construct(string $page)
    {
        // Always the same in this process: classes that were loaded once look for their files.
        $this->folder = sys_get_temp_dir() . "/wavelog_worker.$page." . getmypid();
        $text = file_get_contents(__DIR__ . "/../../../docs/$page");
        preg_match_all('/^\*\*`([^`]+)`\*\*[^\n]*\n\n```\w+\n(.*?)^```$/ms', $text, $files, PREG_SET_ORDER);
        foreach ($files as [, $name, $code]) {
            $this->write($name, $code);
        }
    }

    /** Loads the classes of `App\` from a folder of the application. */
    public function autoload(string $sources): void
    {
        spl_autoload_register(function (string $class) use ($sources): void {
            $file = "$this->folder/$sources/" . strtr(substr($class, strlen('App\\')), '\\', '/') . '.php';
            if (str_starts_with($class, 'App\\') && is_file($file)) {
                require $file;
            }
        });
    }

    public function write(string $name, string $text): void
    {
        @mkdir(dirname("$this->folder/$name"), 0700, true);
        file_put_contents("$this->folder/$name", $text);
    }

    public function remove(): void
    {
        $all = new RecursiveIteratorIterator(
            new RecursiveDirectoryIterator($this->folder, FilesystemIterator::SKIP_DOTS),
            RecursiveIteratorIterator::CHILD_FIRST,
        );
        foreach ($all as $file) {
            $file->isDir() ? rmdir($file->getPathname()) : unlink($file->getPathname());
        }
        rmdir($this->folder);
    }
}
