"""Finds the kernel that is to be booted: Debian's, a package, a folder or a bzImage, and its modules."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from lockscape.errors import InputError, reason_of
from lockscape.real.debian import NAMES, debian_kernel
from lockscape.real.guest.kernel_image import KernelImage, read_image
from lockscape.real.guest.modules import SUFFIXES, Modules, in_folder
from lockscape.real.package import unpacked

IMAGES = ("vmlinuz*", "bzImage*", "boot/vmlinuz*", "boot/bzImage*", "arch/x86/boot/bzImage")
"""Where an image is looked for in a folder; the first of these with one is taken."""


class Kernel(NamedTuple):
    """A kernel to boot. `package`: the Debian package that it is of, with its version.

    `modules` are None if all that is needed is built in; with `all_modules` all of them are loaded.
    """

    image: KernelImage
    modules: Modules | None
    all_modules: bool
    package: str | None


def choose_kernel(name: str, modules: Sequence[Path] = (), update: bool = False) -> Kernel:
    """Return the kernel of a name or path.

    `modules`: a folder of modules, or files that are all loaded. `update`: look for a newer Debian package.
    Raises `InputError`, in one line, for what is none, `MissingToolError` or `FetchError` if Debian's cannot
    be had.
    """
    if name in NAMES:
        folder, package = debian_kernel(name, update)
        return _in_folder(folder, modules, package)
    path = Path(name)
    if path.is_dir():
        return _in_folder(path, modules, None)
    if path.suffix == ".deb":
        return _in_folder(unpacked(path), modules, path.name.removesuffix(".deb"))
    if not path.exists():
        raise InputError(
            f"no kernel {name!r}: give a bzImage, a folder with one, a linux-image .deb, or "
            f"{' or '.join(NAMES)}"
        )
    return _with_modules(read_image(path), path.parent, modules, None)


def _in_folder(folder: Path, modules: Sequence[Path], package: str | None) -> Kernel:
    for pattern in IMAGES:
        try:
            found = sorted(path for path in folder.glob(pattern) if path.is_file())
        except OSError as error:
            raise InputError(f"{str(folder)!r}: {reason_of(error)}") from error
        if len(found) > 1:
            names = ", ".join(path.name for path in found[:5])
            raise InputError(f"{len(found)} kernels in {str(folder)!r} ({names}): give one of them")
        if found:
            return _with_modules(read_image(found[0]), folder, modules, package)
    raise InputError(f"no kernel in {str(folder)!r}: it holds neither vmlinuz nor bzImage; give the image")


def _with_modules(image: KernelImage, near: Path, given: Sequence[Path], package: str | None) -> Kernel:
    if len(given) == 1 and given[0].is_dir():
        return Kernel(image, in_folder(given[0]), False, package)
    if given:
        strange = next(
            (path for path in given if not path.name.endswith(SUFFIXES) or not path.is_file()), None
        )
        if strange is not None:
            raise InputError(
                f"--modules {str(strange)!r}: no .ko file and no single folder; give files or a folder"
            )
        return Kernel(image, Modules(given), True, package)
    for root in (near, near.parent):  # beside the image, or /boot beside /lib
        for folder in (root / "lib/modules" / image.release, root / "usr/lib/modules" / image.release):
            if folder.is_dir():
                return Kernel(image, in_folder(folder), False, package)
    return Kernel(image, None, False, package)
