"""The task of classifying images that are read row by row: MNIST from a file, or the digits of scikit-learn."""

from __future__ import annotations

import math
import os
import warnings
import zipfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnncli.config import Columns, ImageRowsTask
from rnncli.data.examples import Examples, Sizes
from rnncli.data.parsing import bad_line, read_class, read_numbers
from rnncli.data.text_files import max_unpacked_bytes, missing_file
from rnncli.data.vocabulary import Vocabularies, Vocabulary
from rnncli.errors import DataError, InputError, install_command
from rnncli.files import open_plain
from rnncli.text import shorten

DIGITS_SIDE, DIGITS_WHITE = 8, 16
MNIST_WHITE = 255
NAMES = ("x_train", "y_train", "x_test", "y_test")

Arrays = tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any]]


class ImageRows:
    """The task of classifying images from their rows; a step is a row of pixels from 0 (black) to 1 (white).

    Args:
        config: The task's section of the config.
        recorded: The vocabularies of a trained run; None takes the classes of the training data.

    Raises:
        InputError: The data cannot be used.
    """

    columns = Columns()

    def __init__(self, config: ImageRowsTask, recorded: Vocabularies | None = None) -> None:
        self.config = config
        self._white = MNIST_WHITE if config.path else DIGITS_WHITE
        self._shape = (config.rows, config.columns) if config.path else (DIGITS_SIDE, DIGITS_SIDE)
        if recorded is None:
            labels = self._arrays()[1]
            self.target_vocabulary = Vocabulary(tuple(map(str, np.unique(labels).tolist())))
        else:
            self.target_vocabulary = recorded.target
        if len(self.target_vocabulary) < 2:
            raise DataError(f"{config.path or 'the digits'}: fewer than two labels to tell apart")
        self.source_vocabulary = Vocabulary(())
        rows, columns = self._shape
        self.sizes = Sizes(0, rows, len(self.target_vocabulary), 1, features=columns)

    def _arrays(self) -> Arrays:
        if self.config.path is not None:
            return read_mnist(self.config.path, self._shape)
        return read_digits(self.config.held_out, self.config.seed)

    def splits(self) -> tuple[Examples, Examples]:
        """Return training and held-out images."""
        images, labels, test_images, test_labels = self._arrays()
        return self._encode(images, labels), self._encode(test_images, test_labels)

    def _encode(self, images: NDArray[Any], labels: NDArray[Any]) -> Examples:
        source = np.asarray(images, np.float32) / np.float32(self._white)
        target = np.array([self.read_target(str(label)) for label in labels.tolist()], np.int32)
        return Examples(
            source, np.full(len(source), len(source[0]), np.int32), target, np.ones(len(source), np.int32)
        )

    def read_source(self, text: str) -> list[list[float]]:
        """Return the rows of an image that is given as its pixels, row by row, separated by commas or spaces.

        Raises:
            DataError: These are not the pixels of an image.
        """
        rows, columns = self._shape
        pixels = read_numbers(text, "pixels")
        if len(pixels) != rows * columns:
            raise bad_line(f"{len(pixels)} pixels; an image has {rows} x {columns}", text)
        if not all(0 <= pixel <= self._white for pixel in pixels):
            raise bad_line(f"a pixel is not from 0 to {self._white}", text)
        scaled = [pixel / self._white for pixel in pixels]
        return [scaled[i : i + columns] for i in range(0, len(scaled), columns)]

    def read_target(self, text: str) -> list[int]:
        """Return the id of a class."""
        return read_class(text, self.target_vocabulary)

    def show_source(self, ids: Sequence[Sequence[float]]) -> str:
        """Return the pixels of all rows."""
        return ",".join(f"{pixel * self._white:.4g}" for row in ids for pixel in row)

    def show_target(self, ids: Sequence[int]) -> str:
        """Return a class."""
        return "".join(self.target_vocabulary.decode(ids))

    def answer(self, source: str) -> str | None:  # noqa: ARG002 (only the data knows)
        """Return None: a class does not follow from its image by a rule."""
        return None


def read_digits(held_out: int, seed: int) -> Arrays:
    """Return the 1,797 digits of scikit-learn, 8 x 8 pixels from 0 to 16, shuffled by a seed.

    Returns:
        Training images and labels, then `held_out` held-out images and labels.

    Raises:
        InputError: scikit-learn is not installed.
    """
    if find_spec("sklearn") is None:
        raise InputError(
            "task.path: no file is given, and scikit-learn, which has digits to use instead, is not installed",
            f"{install_command('scikit-learn')}, or give an mnist.npz as task.path",
        )
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(seed).permutation(len(digits.images))
    images, labels = digits.images[order], digits.target[order]
    return images[held_out:], labels[held_out:], images[:held_out], labels[:held_out]


def read_mnist(path: str, shape: tuple[int, int]) -> Arrays:
    """Return the arrays of an mnist.npz: images, uint8 [images, rows, columns], and labels, int [images], twice.

    Args:
        path: The file; a relative path starts from the current directory.
        shape: Required rows and columns of an image.

    Raises:
        InputError: The file is not an mnist.npz.
    """
    try:
        with open_plain(Path(path)) as opened, zipfile.ZipFile(opened) as archive:
            size = os.fstat(opened.fileno()).st_size
            x_train, y_train, x_test, y_test = (_array(archive, name, size) for name in NAMES)
    except FileNotFoundError as error:
        raise missing_file(path) from error
    except KeyError as error:
        raise DataError(f"{path}: an array is missing", f"an mnist.npz has {', '.join(NAMES)}") from error
    except InputError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy raise many kinds
        raise DataError(
            f"{path}: not an .npz file of plain arrays: {shorten(str(error) or type(error).__name__, 200)}"
        ) from error
    for images, labels, name in ((x_train, y_train, "train"), (x_test, y_test, "test")):
        if images.dtype != np.uint8 or images.ndim != 3 or not len(images):
            raise DataError(
                f"{path}: x_{name} is {images.dtype} {list(images.shape)}, not uint8 [images, rows, columns]"
            )
        if images.shape[1:] != shape:
            raise DataError(
                f"{path}: x_{name} has images of {images.shape[1]} x {images.shape[2]}, not {shape[0]} x {shape[1]}",
                "set task.rows and task.columns",
            )
        if labels.shape != (len(images),) or not np.issubdtype(labels.dtype, np.integer):
            raise DataError(f"{path}: y_{name} is {labels.dtype} {list(labels.shape)}, not int [{len(images)}]")
    return x_train, y_train, x_test, y_test


def _array(archive: zipfile.ZipFile, name: str, size: int) -> NDArray[Any]:
    """Return an array of an archive of `size` bytes; refuse decompression bombs and headers that declare too much."""
    member = archive.getinfo(f"{name}.npy")
    if member.file_size > max_unpacked_bytes(min(member.compress_size, size)):
        raise ValueError(f"{name} decompresses to {member.file_size:,} bytes")
    with archive.open(member) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of files that Python 2 wrote
        version = np.lib.format.read_magic(file)
        header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = header(file)
        if math.prod(shape) * dtype.itemsize > member.file_size:
            raise ValueError(f"{name} declares more than it holds")
    with archive.open(member) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        array: NDArray[Any] = np.lib.format.read_array(file, allow_pickle=False)
        return array
