"""Completion scripts of bash and zsh that click's own do not cover: `KEY=VALUE`, and a zsh without compinit."""

from __future__ import annotations

from click.shell_completion import BashComplete, CompletionItem, ShellComplete, ZshComplete, get_completion_class

VARIABLE = "_RNNCLI_COMPLETE"
"""Environment variable by which the scripts ask rnncli for completions."""
_COMPINIT = """\
if (( ! $+functions[compdef] )); then
    autoload -Uz compinit && compinit
fi
"""
_DESCRIBE = "        _describe -V unsorted completions_with_descriptions -U\n"
_DESCRIBE_KEYS = f"""\
        if [[ "${{completions_with_descriptions[1]}}" == *=:* ]]; then
    {_DESCRIBE[:-1]} -S ''
        else
    {_DESCRIBE}        fi
"""


class Bash(BashComplete):
    """Completion in bash, which splits words at `=`: `model.cell=gr` arrives as three words."""

    prefix = ""

    def source(self) -> str:
        """Return the script; it puts no space behind `KEY=`."""
        end = "    return 0\n}"
        return super().source().replace(end, f"    [[ ${{COMPREPLY[0]}} == *= ]] && compopt -o nospace\n{end}")

    def get_completion_args(self) -> tuple[list[str], str]:
        """Return the words before the cursor, and the incomplete one."""
        words, incomplete = super().get_completion_args()
        joined = _join_assignments([*words, incomplete])
        if incomplete == "=" or words[-1:] == ["="]:
            self.prefix = joined[-1].partition("=")[0] + "="
        return joined[:-1], joined[-1]

    def format_completion(self, item: CompletionItem) -> str:
        """Return a completion of the part behind the `=`."""
        return f"{item.type},{item.value.removeprefix(self.prefix)}"


class Zsh(ZshComplete):
    """Completion in zsh, whose completion system a fresh `.zshrc` has not started."""

    def source(self) -> str:
        """Return the script; it puts no space behind `KEY=`."""
        first, _, rest = super().source().partition("\n")
        return f"{first}\n\n{_COMPINIT}{rest.replace(_DESCRIBE, _DESCRIBE_KEYS)}"


CLASSES: dict[str, type[ShellComplete]] = {"bash": Bash, "zsh": Zsh}


def completion_class(shell: str) -> type[ShellComplete] | None:
    """Return the class that completes in a shell, ours or click's; None for an unknown shell."""
    return CLASSES.get(shell) or get_completion_class(shell)


def _join_assignments(words: list[str]) -> list[str]:
    """Return words with `KEY`, `=`, `VALUE` joined again; an empty last word stays."""
    joined: list[str] = []
    for word in words:
        if joined and (word == "=" or joined[-1].endswith("=")):
            joined[-1] += word
        else:
            joined.append(word)
    return joined
