"""Callbacks that a config names by their class, with errors of one line."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable, Sequence
from typing import Any

import keras

from rnncli.config import UserClass
from rnncli.errors import InputError
from rnncli.runtime.user_code import ModuleSearchPath, explained, load_class

HOOKS = (
    "set_model",
    "on_train_begin",
    "on_train_end",
    "on_epoch_begin",
    "on_epoch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
)
"""The methods that training calls."""


def load_callbacks(classes: Sequence[UserClass], search_path: ModuleSearchPath) -> list[keras.callbacks.Callback]:
    """Import callbacks, and make them.

    Args:
        classes: Their classes.
        search_path: Folders that they are imported from.

    Raises:
        InputError: One cannot be made. Its methods raise such errors later, too.
    """
    return [_load(each, search_path) for each in classes]


def _load(user_class: UserClass, search_path: ModuleSearchPath) -> keras.callbacks.Callback:
    make, file = load_class(user_class, search_path)
    name = f"{user_class.key}: {user_class.class_}"
    with explained(f"{name}: cannot be made", file):
        callback = make(**copy.deepcopy(user_class.options))
    if not isinstance(callback, keras.callbacks.Callback):
        raise InputError(f"{name}: makes {type(callback).__name__}, not a keras.callbacks.Callback")
    for hook in HOOKS:
        setattr(callback, hook, _explaining(getattr(callback, hook), f"{name}: {hook} failed", file))
    return callback


def _explaining(method: Callable[..., Any], what: str, file: str | None) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(*arguments: Any, **named: Any) -> Any:
        with explained(what, file):
            return method(*arguments, **named)

    return call
