<?php
declare(strict_types=1);

use PhpParser\Node;
use PhpParser\NodeVisitorAbstract;

/**
 * Finds syntax in one file that PHP 7.4 does not have, and collects the names of functions, classes
 * and constants for {@see CompatibilityTest} to look up. It cannot know the methods of an object.
 */
final class Php74 extends NodeVisitorAbstract
{
    private const TYPES_SINCE_8 = ['mixed', 'static', 'never', 'false', 'true', 'null'];

    /** @var string[] line and reason of everything that was found */
    public $found = [];
    /** @var string[] names of functions that are called */
    public $functions = [];
    /** @var string[] names of classes that are named in any way */
    public $classes = [];
    /** @var string[] names of constants that are read */
    public $constants = [];
    /** @var string */
    private $code;

    public function __construct(string $code)
    {
        $this->code = $code;
    }

    /** @return null */
    public function enterNode(Node $node)
    {
        $this->syntax($node);
        $this->parameters($node);
        $this->names($node);
        return null;
    }

    private function syntax(Node $node): void
    {
        $kinds = [
            Node\UnionType::class => 'a union type',
            Node\IntersectionType::class => 'an intersection type',
            Node\Expr\Match_::class => 'match',
            Node\Expr\NullsafePropertyFetch::class => 'a nullsafe property',
            Node\Expr\NullsafeMethodCall::class => 'a nullsafe call',
            Node\Stmt\Enum_::class => 'an enum',
            Node\VariadicPlaceholder::class => 'a first-class callable',
        ];
        foreach ($kinds as $kind => $name) {
            if ($node instanceof $kind) {
                $this->refuse($node, $name);
            }
        }
        if ($node instanceof Node\Arg && $node->name !== null) {
            $this->refuse($node, 'a named argument');
        }
        if ($node instanceof Node\Stmt\Catch_ && $node->var === null) {
            $this->refuse($node, 'a catch without a variable');
        }
        if ($node instanceof Node\Expr\ClassConstFetch && $node->class instanceof Node\Expr
            && $node->name instanceof Node\Identifier && $node->name->name === 'class'
        ) {
            $this->refuse($node, '::class of an object');
        }
        if ($node instanceof Node\Stmt\ClassConst && ($node->flags & Node\Stmt\Class_::MODIFIER_FINAL) !== 0) {
            $this->refuse($node, 'a final constant');
        }
        if ($node instanceof Node\Stmt\Trait_) {
            foreach ($node->stmts as $statement) {
                if ($statement instanceof Node\Stmt\ClassConst) {
                    $this->refuse($statement, 'a constant in a trait');
                }
            }
        }
        if (($node instanceof Node\Stmt\Property || $node instanceof Node\Stmt\Class_)
            && ($node->flags & Node\Stmt\Class_::MODIFIER_READONLY) !== 0
        ) {
            $this->refuse($node, 'readonly');
        }
        if (!$node instanceof Node\Stmt\Throw_ && !$node instanceof Node\Stmt\Expression) {
            foreach ($node->getSubNodeNames() as $name) {
                if ($node->$name instanceof Node\Expr\Throw_) {
                    $this->refuse($node, 'throw as an expression');
                }
            }
        }
        if (preg_match('/^0o/i', (string) $node->getAttribute('rawValue')) === 1) {
            $this->refuse($node, 'an octal number with 0o');
        }
        if ($node instanceof Node\Expr\New_ && $node->class instanceof Node\Expr
            && substr(ltrim(substr($this->text($node), 3)), 0, 1) === '('
        ) {
            $this->refuse($node, 'new of an expression');
        }
        // `new A()->b()` begins where its `new` begins, `(new A())->b()` before it.
        if (($node instanceof Node\Expr\MethodCall || $node instanceof Node\Expr\PropertyFetch)
            && $node->var instanceof Node\Expr\New_ && substr($this->text($node), 0, 1) !== '('
        ) {
            $this->refuse($node, 'new without brackets around it');
        }
        // An attribute on a line of its own is a comment to PHP 7.4.
        if ($node instanceof Node\AttributeGroup) {
            $line = explode("\n", $this->code)[$node->getStartLine() - 1];
            if (preg_match('/^\s*#\[[^\[\]]*\]\s*$/', $line) !== 1) {
                $this->refuse($node, 'an attribute that is not alone on its line');
            }
        }
        foreach (['type', 'returnType'] as $name) {
            $type = $node->$name ?? null;
            $type = $type instanceof Node\NullableType ? $type->type : $type;
            $word = $type instanceof Node\Identifier || $type instanceof Node\Name ? $type->toLowerString() : '';
            if (in_array($word, self::TYPES_SINCE_8, true)) {
                $this->refuse($node, "the type $word");
            }
        }
    }

    private function parameters(Node $node): void
    {
        $defaults = [];
        if ($node instanceof Node\Param) {
            $defaults[] = $node->default;
            if ($node->flags !== 0) {
                $this->refuse($node, 'a promoted property');
            }
        }
        if ($node instanceof Node\Stmt\StaticVar || $node instanceof Node\Const_) {
            $defaults[] = $node instanceof Node\Const_ ? $node->value : $node->default;
        }
        foreach ($defaults as $default) {
            if ($default instanceof Node\Expr\New_) {
                $this->refuse($node, 'new in an initializer');
            }
        }
        $lists = $node instanceof Node\FunctionLike ? [$node->getParams()] : [];
        if ($node instanceof Node\Expr\Closure) {
            $lists[] = $node->uses;
        }
        foreach ($lists as $list) {
            $last = end($list);
            $space = '\G(?:\s+|\/\*.*?\*\/|\/\/[^\n]*\n|#[^\n]*\n)*';
            if ($last !== false
                && preg_match("/$space,/s", $this->code, $match, 0, $last->getEndFilePos() + 1) === 1
            ) {
                $this->refuse($last, 'a comma behind the last parameter');
            }
        }
    }

    private function names(Node $node): void
    {
        if ($node instanceof Node\Expr\FuncCall && $node->name instanceof Node\Name) {
            $this->functions[] = strtolower($node->name->getLast());
            $node->name->setAttribute('is_no_class', true);
        } elseif ($node instanceof Node\Attribute) {
            $node->name->setAttribute('is_no_class', true); // A comment to PHP 7.4.
        } elseif ($node instanceof Node\Expr\ConstFetch) {
            $this->constants[] = $node->name->getLast();
            $node->name->setAttribute('is_no_class', true);
        } elseif ($node instanceof Node\Name\FullyQualified && !$node->hasAttribute('is_no_class')) {
            $this->classes[] = $node->toString();
        }
    }

    private function text(Node $node): string
    {
        $begin = $node->getStartFilePos();
        return substr($this->code, $begin, $node->getEndFilePos() + 1 - $begin);
    }

    private function refuse(Node $node, string $what): void
    {
        $this->found[] = "line {$node->getStartLine()}: $what";
    }
}
