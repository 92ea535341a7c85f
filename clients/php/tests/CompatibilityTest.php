<?php
declare(strict_types=1);

use PhpParser\Lexer\Emulative;
use PhpParser\NodeTraverser;
use PhpParser\NodeVisitor\NameResolver;
use PhpParser\ParserFactory;
use PHPUnit\Framework\TestCase;

require_once 'PhpParser/autoload.php';
require_once __DIR__ . '/support/Php74.php';

/** Everything that sites run, and these tests, is PHP 7.4, whichever PHP runs this test. */
final class CompatibilityTest extends TestCase
{
    private const ROOT = __DIR__ . '/../../..';
    /** What some files have from the programs that they run in: PHP's CLI, CodeIgniter 3. */
    private const GIVEN = [
        'functions' => [
            'base_url', 'config_item', 'get_instance', 'html_escape', 'log_message', 'show_404',
            'show_error', 'site_url',
        ],
        'constants' => ['APPPATH', 'BASEPATH', 'ENVIRONMENT', 'FCPATH', 'STDERR', 'STDIN', 'STDOUT'],
        'classes' => ['CI_Controller'],
    ];
    private const NAMESPACES_GIVEN = '~^(PHPUnit|PhpParser)\\\\~';

    public static function files(): array
    {
        $files = [];
        foreach (['clients/php', 'examples'] as $folder) {
            if (!is_dir(self::ROOT . "/$folder")) {
                continue;
            }
            $all = new RecursiveIteratorIterator(new RecursiveDirectoryIterator(self::ROOT . "/$folder"));
            foreach ($all as $file) {
                $name = substr($file->getPathname(), strlen(self::ROOT) + 1);
                if ($file->getExtension() === 'php' && preg_match('~/(vendor|node_modules)/~', $name) !== 1) {
                    $files[$name] = [$name];
                }
            }
        }
        ksort($files);
        return $files;
    }

    /** @dataProvider files */
    public function testThereIsNothingNewerThanPhp74(string $name): void
    {
        $names = self::names();

        $found = self::look(file_get_contents(self::ROOT . "/$name"));

        $this->assertSame([], $found->found, $name);
        $own = self::defined();
        $this->assertSame([], self::unknown($found->functions, $names['functions'], $own['functions']), $name);
        $this->assertSame([], self::unknown($found->constants, $names['constants'], $own['constants']), $name);
        $this->assertSame([], self::unknown($found->classes, $names['classes'], $own['classes']), $name);
    }

    /** Run under PHP 7.4 and 8.4 it proves the lists. */
    public function testWhatIsListedExistsInThisPhp(): void
    {
        $names = self::names();

        $missing = array_merge(
            array_filter($names['functions'], static function (string $name): bool {
                return !function_exists($name);
            }),
            array_filter($names['constants'], static function (string $name): bool {
                return !defined($name);
            }),
            array_filter($names['classes'], static function (string $name): bool {
                return !class_exists($name) && !interface_exists($name);
            })
        );
        $this->assertSame([], $missing);
    }

    public static function newer(): array
    {
        return [
            ['function f(int|string $a) {}', 'a union type'],
            ['function f(A&B $a) {}', 'an intersection type'],
            ['function f(mixed $a) {}', 'the type mixed'],
            ['function f(): ?false {}', 'the type false'],
            ['class A { function f(): static {} }', 'the type static'],
            ['function f(): never {}', 'the type never'],
            ['class A { function __construct(private int $a) {} }', 'a promoted property'],
            ['class A { public readonly int $a; }', 'readonly'],
            ['readonly class A {}', 'readonly'],
            ['$a = match (1) { default => 2 };', 'match'],
            ['$a?->b;', 'a nullsafe property'],
            ['$a?->b();', 'a nullsafe call'],
            ['f(a: 1);', 'a named argument'],
            ['$a = $b ?? throw new Exception();', 'throw as an expression'],
            ['$a = fn () => throw new Exception();', 'throw as an expression'],
            ['function f($a = new A()) {}', 'new in an initializer'],
            ['function f($a, $b,) {}', 'a comma behind the last parameter'],
            ["fn (\n    \$a, // why\n) => 1;", 'a comma behind the last parameter'],
            ['$f = function () use ($a,) {};', 'a comma behind the last parameter'],
            ['try {} catch (Exception) {}', 'a catch without a variable'],
            ['enum A {}', 'an enum'],
            ['$f = strlen(...);', 'a first-class callable'],
            ['$a = $b::class;', '::class of an object'],
            ['class A { final public const B = 1; }', 'a final constant'],
            ['trait A { const B = 1; }', 'a constant in a trait'],
            ['$a = 0o17;', 'an octal number with 0o'],
            ['#[A] class B {}', 'an attribute that is not alone on its line'],
            ["#[A(\n    1\n)]\nclass B {}", 'an attribute that is not alone on its line'],
            ['$a = new ($b . $c)();', 'new of an expression'],
        ];
    }

    /** @dataProvider newer */
    public function testNewerSyntaxIsFound(string $code, string $what): void
    {
        $found = self::look("<?php\n$code")->found;

        $this->assertNotSame([], $found);
        $this->assertStringContainsString($what, implode('; ', $found));
    }

    public function testWhatPhp74HasIsLeftAlone(): void
    {
        $code = <<<'PHP'
            <?php
            namespace A;
            final class B
            {
                private ?int $a = 1_000;
                #[\SensitiveParameter]
                public function c(?array $d = null, self ...$e): self
                {
                    $f = fn (int $g): array => [...$e, $g];
                    $this->a ??= (new B())->a;
                    [$h, 'i' => $j] = $f(1,);
                    if ($h) {
                        throw new \Exception();
                    }
                    return static function () use ($d, $j): void {
                    };
                }
            }
            PHP;

        $this->assertSame([], self::look($code)->found);
    }

    public function testFunctionsClassesAndConstantsAreSeen(): void
    {
        $found = self::look('<?php namespace A; use B\C; str_contains(\D, "a"); new C(); echo D\E; array_any();');

        $this->assertSame(['str_contains', 'array_any'], $found->functions);
        $this->assertSame(['B\C'], $found->classes);
        $this->assertSame(['D', 'E'], $found->constants);
    }

    private static function look(string $code): Php74
    {
        $attributes = ['comments', 'startLine', 'endLine', 'startFilePos', 'endFilePos'];
        $factory = new ParserFactory();
        $parser = method_exists($factory, 'create')
            ? $factory->create(ParserFactory::PREFER_PHP7, new Emulative(['usedAttributes' => $attributes]))
            : $factory->createForNewestSupportedVersion(); // Version 5 of the parser.
        $finder = new Php74($code);
        $traverser = new NodeTraverser();
        $traverser->addVisitor(new NameResolver());
        $traverser->addVisitor($finder);
        $traverser->traverse($parser->parse($code));
        return $finder;
    }

    /**
     * The functions, constants and classes that every PHP from 7.4 to 8.4 has; support/list-names.php
     * says how they were found.
     *
     * @return array<string, string[]>
     */
    private static function names(): array
    {
        return json_decode(file_get_contents(__DIR__ . '/support/php-names.json'), true);
    }

    /**
     * @param string[] $used
     * @param string[] $listed
     * @param string[] $own
     *
     * @return string[] what is used and neither listed nor the project's own
     */
    private static function unknown(array $used, array $listed, array $own): array
    {
        $unknown = array_diff($used, $listed, $own, ['true', 'false', 'null']);
        return array_values(array_unique(preg_grep(self::NAMESPACES_GIVEN, $unknown, PREG_GREP_INVERT)));
    }

    /**
     * What the files define themselves, or have from the programs that they run in.
     *
     * @return array<string, string[]>
     */
    private static function defined(): array
    {
        static $own = null;
        if ($own !== null) {
            return $own;
        }
        $own = self::GIVEN;
        $files = array_merge(
            array_map(static function (string $name): string {
                return self::ROOT . "/$name";
            }, array_keys(self::files())),
            glob(self::ROOT . '/tests/php/support/*.php')
        );
        foreach ($files as $file) {
            $code = file_get_contents($file);
            preg_match('/^namespace ([\w\\\\]+);/m', $code, $match);
            $namespace = isset($match[1]) ? "$match[1]\\" : '';
            preg_match_all('/^\s*(?:abstract |final )*(?:class|interface|trait) (\w+)/m', $code, $match);
            foreach ($match[1] as $class) {
                $own['classes'][] = $namespace . $class;
            }
            preg_match_all('/^\s*function (\w+)\(/m', $code, $match);
            $own['functions'] = array_merge($own['functions'], array_map('strtolower', $match[1]));
            preg_match_all('/^\s*(?:const (\w+)|define\(\'(\w+)\')/m', $code, $match);
            $own['constants'] = array_merge($own['constants'], array_filter(array_merge($match[1], $match[2])));
        }
        return $own;
    }
}
