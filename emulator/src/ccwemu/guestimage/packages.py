# SPDX-License-Identifier: GPL-2.0-or-later
"""Debian's s390x packages on a machine of another architecture, without a word to its dpkg.

apt gets a state of its own, in which nothing is installed, and the Debian archives that the machine itself uses.
It resolves, downloads and verifies. What has been fetched is kept: a package file never changes.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccwemu.guestimage.tools import Missing, program, run

SUITE = "bookworm"
SUITES = (SUITE, f"{SUITE}-updates", f"{SUITE}-backports")
SECURITY = f"{SUITE}-security"
ARCHITECTURE = "s390x"
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
LISTS_LAST = 24 * 3600
"""Seconds for which the lists of packages are taken as they are."""

_UPDATE_TIMEOUT, _DOWNLOAD_TIMEOUT, _RESOLVE_TIMEOUT, _UNPACK_TIMEOUT = 300, 900, 120, 300
_BATCH = 25
"""Packages that are asked for at once: between two batches a user is told how far it is."""


_ARCHIVE_HINT = (
    "Is there a network? A build fetches from the Debian archives of this machine's apt, or from another:\n"
    "  export CCWEMU_DEBIAN=URL"
)


@dataclass(frozen=True)
class Package:
    """A package as the archive has it: ``size`` in bytes, ``sha256`` in hexadecimal, of its .deb file."""

    name: str
    version: str
    architecture: str
    sha256: str
    size: int

    @property
    def file(self) -> str:
        """The name that apt-get download gives the file."""
        return f"{self.name}_{self.version.replace(':', '%3a')}_{self.architecture}.deb"


# -- apt's output -----------------------------------------------------------------------------------------------------


def parse_install(output: str) -> list[tuple[str, str]]:
    """(name, version) of what ``apt-get --simulate install`` would install, in its order.

    Raises Missing for a package that is not of s390x, nor of all architectures.
    """
    found = []
    for name, version, rest in re.findall(r"^Inst (\S+) \((\S+) (.*)\)", output, re.MULTILINE):
        architecture = rest.rpartition("[")[2].rstrip("]")
        if architecture not in (ARCHITECTURE, "all"):
            raise Missing(
                f"package {name} {version} is of architecture {architecture}, expected {ARCHITECTURE}: "
                "has an apt.conf of this machine APT::Architectures or an architecture-qualified source set?"
            )
        found.append((name.partition(":")[0], version))
    return found


def stanzas(output: str) -> Iterator[dict[str, str]]:
    """The paragraphs of ``apt-cache show``, field → value; lines that continue a field are left out."""
    for paragraph in output.split("\n\n"):
        fields = re.findall(r"^([A-Za-z0-9-]+): ?(.*)$", paragraph, re.MULTILINE)
        if fields:
            yield dict(fields)


def parse_packages(output: str) -> list[Package]:
    """Of ``apt-cache show``."""
    return [
        Package(each["Package"], each["Version"], each["Architecture"], each["SHA256"], int(each["Size"]))
        for each in stanzas(output)
    ]


def parse_kernels(output: str) -> dict[str, str]:
    """Of ``apt-cache show linux-image-s390x``: series, e.g. 6.1 → name of its newest kernel's package.

    apt-cache prints newest first.
    """
    found: dict[str, str] = {}
    for each in stanzas(output):
        name = re.match(rf"linux-image-\S+-{ARCHITECTURE}", each.get("Depends", ""))
        series = re.match(r"\d+\.\d+", each["Version"])
        if name and series:
            found.setdefault(series.group(), name.group())
    return found


@dataclass(frozen=True)
class Archive:
    """A Debian archive: where, and the keyring that apt is to believe ('' for apt's own)."""

    uri: str
    signed_by: str

    def source(self, suites: Iterable[str]) -> str:
        """A paragraph of a .sources file."""
        lines = ["Types: deb", f"URIs: {self.uri}", f"Suites: {' '.join(suites)}", "Components: main"]
        return "\n".join([*lines, *([f"Signed-By: {self.signed_by}"] if self.signed_by else [])]) + "\n"


TARGETS_FORMAT = "$(CREATED_BY)|$(REPO_URI)|$(RELEASE)|$(COMPONENT)|$(SIGNED_BY)"


def parse_archives(output: str) -> dict[str, Archive]:
    """Of ``apt-get indextargets``: suite → archive, for the suites of ``SUITE`` that the machine uses itself."""
    found = {}
    for line in output.splitlines():
        words = line.split("|")
        if len(words) == 5 and words[0] == "Packages" and words[3] == "main" and words[2] in (*SUITES, SECURITY):
            signed_by = "" if words[4].startswith("$(") else words[4]
            found[words[2]] = Archive(words[1], signed_by)
    return found


# -- apt --------------------------------------------------------------------------------------------------------------


class Debian:
    """Debian's s390x packages; files, lists and apt's state are kept below ``cache``."""

    def __init__(self, cache: Path, progress: Callable[[str], None]) -> None:
        self._files = cache / "packages"
        self._state = cache / "apt"
        self._progress = progress
        for directory in (self._files, self._state / "lists/partial", self._state / "archives/partial"):
            directory.mkdir(parents=True, exist_ok=True)
        values = {
            "APT::Architecture": ARCHITECTURE,
            "APT::Architectures": ARCHITECTURE,
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "",
            "APT::Update::Post-Invoke": "",
            "APT::Update::Post-Invoke-Success": "",
            "Acquire::Languages": "none",
            "Acquire::Retries": "2",
            "Acquire::http::Timeout": "30",
            "Dir::State": f"{self._state}",
            "Dir::State::Lists": f"{self._state}/lists",
            "Dir::State::status": "/dev/null",
            "Dir::Cache": f"{self._state}",
            "Dir::Cache::archives": "archives",
            "Dir::Cache::pkgcache": "pkgcache.bin",
            "Dir::Etc::sourcelist": f"{self._state}/debian.sources",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
        }
        self._options = [word for key, value in values.items() for word in ("-o", f"{key}={value}")]

    def update(self, at_most_old: float = LISTS_LAST) -> None:
        """Fetch the lists of packages, unless they are younger than so many seconds. Raises Missing.

        The lists that are here will do when there is no network now, or an archive has lost a suite.
        """
        stamp = self._state / "updated"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < at_most_old:
            return
        (self._state / "debian.sources").write_text(_sources())
        self._progress(f"fetching the lists of Debian's {ARCHITECTURE} packages")
        try:
            self._apt("apt-get", "update", "--error-on=any", timeout=_UPDATE_TIMEOUT)
        except Missing as problem:
            if not any((self._state / "lists").glob(f"*_{SUITE}_main_binary-{ARCHITECTURE}_Packages*")):
                raise Missing(f"{problem}\n{_ARCHIVE_HINT}") from None
            self._progress(f"going on with the lists of packages that are here: {problem}")
            return
        stamp.touch()

    def kernel(self, series: str) -> str:
        """The name of the newest kernel's package of a series, e.g. 6.1. Raises Missing."""
        found = parse_kernels(self._apt("apt-cache", "show", f"linux-image-{ARCHITECTURE}"))
        if series not in found:
            offered = ", ".join(sorted(found)) or "none"
            raise Missing(f"Debian's archives offer no kernel {series} for {ARCHITECTURE}; they offer: {offered}")
        return found[series]

    def closure(self, names: Sequence[str]) -> list[Package]:
        """The packages and all that they depend on, sorted by name. Raises Missing."""
        found = parse_install(self._apt("apt-get", "--simulate", "install", *names))
        return self._described(f"{name}={version}" for name, version in found)

    def alone(self, *names: str) -> list[Package]:
        """The newest of these packages, without what they depend on. Raises Missing."""
        return self._described(names)

    def _described(self, names: Iterable[str]) -> list[Package]:
        output = self._apt("apt-cache", "show", "--no-all-versions", *names)
        return sorted(parse_packages(output), key=lambda package: package.name)

    def fetch(self, packages: Sequence[Package]) -> dict[str, Path]:
        """Package name → verified file; those that are not there are downloaded. Raises Missing."""
        absent = [package for package in packages if not self._sound(package)]
        total, done = sum(package.size for package in absent), 0
        for first in range(0, len(absent), _BATCH):
            batch = absent[first : first + _BATCH]
            self._progress(f"downloading packages: {done >> 20} of {(total >> 20) + 1} MiB")
            self._download(batch)
            done += sum(package.size for package in batch)
        return {package.name: self._files / package.file for package in packages}

    def _sound(self, package: Package) -> bool:
        path = self._files / package.file
        if not path.is_file() or path.stat().st_size != package.size:
            return False
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest() == package.sha256

    def _download(self, packages: Sequence[Package]) -> None:
        with tempfile.TemporaryDirectory(prefix="new-", dir=self._files) as work:
            names = [f"{package.name}={package.version}" for package in packages]
            self._apt("apt-get", "download", *names, timeout=_DOWNLOAD_TIMEOUT, cwd=Path(work))
            for package in packages:
                (Path(work) / package.file).rename(self._files / package.file)

    def _apt(self, name: str, *words: str, timeout: int = _RESOLVE_TIMEOUT, cwd: Path | None = None) -> str:
        return run([name, "--quiet", *self._options, *words], timeout, cwd=cwd)


def _sources() -> str:
    """The .sources file: the machine's own Debian archives, or the one that $CCWEMU_DEBIAN names. Raises Missing."""
    named = os.environ.get("CCWEMU_DEBIAN")
    if named:
        if not KEYRING.exists():
            raise Missing(f"{KEYRING} is not here; run:\n  sudo apt-get install debian-archive-keyring")
        return Archive(named, str(KEYRING)).source(SUITES)
    program("apt-cache")
    known = parse_archives(run(["apt-get", "indextargets", "--format", TARGETS_FORMAT], 60))
    if SUITE not in known:
        raise Missing(
            f"apt on this machine has no Debian {SUITE} archive; name one whose suites are "
            f"{', '.join(SUITES)}:\n  export CCWEMU_DEBIAN=URL"
        )
    parts = [known[SUITE].source(SUITES)]
    if SECURITY in known:
        parts.append(known[SECURITY].source([SECURITY]))
    return "\n".join(parts)


def unpack(package: Path, directory: Path) -> None:
    """The files of a .deb, owned by who unpacks them. Raises Missing.

    dpkg-deb --extract would make directories of the links of a merged /usr.
    """
    directory.mkdir(parents=True, exist_ok=True)
    words = ["tar", "-xpf", "-", "-C", str(directory), "--keep-directory-symlink", "--no-same-owner"]
    with subprocess.Popen([program("dpkg-deb"), "--fsys-tarfile", str(package)], stdout=subprocess.PIPE) as content:
        run(words, _UNPACK_TIMEOUT, stdin=content.stdout)
    if content.returncode:
        raise Missing(f"{package}: dpkg-deb cannot read it (exit status {content.returncode}); run:\n  rm {package}")
