"""The folder of a run: what was done, what was found, and the log; never half a file.

Every report is written to a temporary file, synced and renamed, so a reader sees all of it or
nothing. ``events.jsonl`` and ``log.txt`` only grow. When the disk is full the run goes on: what
could not be written is remembered and said once at the end, and such a run has not held.
"""

import errno
import json
import os
import re
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from testbed.errors import NO_SPACE, BuildError, TestbedError
from testbed.findings import Finding, FindingError, Summary, Verdict, decode, encode

RUN_FILE = "run.json"
MAX_SAME_SECOND = 1000


class RunFolderError(TestbedError):
    """Something of a run could not be written, or a run or report is not there."""


def runs_folder(chosen: Path | None = None) -> Path:
    """Return where runs go: `chosen`, else ``$TESTBED_RUNS``, else ``testbed-runs`` here."""
    return chosen or Path(os.environ.get("TESTBED_RUNS") or "testbed-runs")


@dataclass
class RunFolder:
    """One run's folder.

    Attributes:
        path: the folder.
        problem: the first thing that could not be written, None if all could.
    """

    path: Path
    problem: RunFolderError | None = None

    @classmethod
    def create(cls, name: str, base: Path | None = None) -> "RunFolder":
        """Make a new folder ``<UTC time>-<name>`` in `base`, see `runs_folder`.

        Raises:
            RunFolderError: it cannot be made.
        """
        stem = re.sub(r"[^A-Za-z0-9_.-]+", "-", name).strip("-.") or "run"
        parent = runs_folder(base)
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        for attempt in range(1, MAX_SAME_SECOND):
            path = parent / (f"{stamp}-{stem}" + (f"-{attempt}" if attempt > 1 else ""))
            try:
                parent.mkdir(parents=True, exist_ok=True)
                path.mkdir()
                (path / "findings").mkdir()
            except FileExistsError:
                if not parent.is_dir():
                    raise RunFolderError(f"{parent}: not a folder; use --runs DIR") from None
                continue
            except OSError as error:
                raise _cannot_write(path, error) from error
            return cls(path)
        raise RunFolderError(f"{parent}: {MAX_SAME_SECOND} runs began in one second")

    @contextmanager
    def building(self) -> Iterator[None]:
        """Remove the folder if what is to run does not build: then there is no run to show."""
        try:
            yield
        except BuildError:
            shutil.rmtree(self.path, ignore_errors=True)
            raise

    def event(self, what: str, **values: object) -> None:
        """Append one line to ``events.jsonl``; never raises, see `problem`.

        Args:
            what: a word for the event.
            values: JSON values.
        """
        line = json.dumps({"time": round(time.time(), 3), "event": what} | values)
        self._try(lambda: _append(self.path / "events.jsonl", f"{line}\n"))

    def log(self, line: str) -> None:
        """Append to the log; a sink for loguru, which ends its lines itself. Never raises."""
        self._try(lambda: _append(self.path / "log.txt", line))

    def finding_path(self, finding: Finding) -> Path:
        """Return where the report of `finding` is or will be, from any folder."""
        return self.path.absolute() / "findings" / f"{finding.signature}.json"

    def write_finding(self, finding: Finding) -> None:
        """Write a finding in all forms, replacing an earlier one of its signature.

        Never raises, see `problem`: a full disk must not end a run that has just found something.
        """
        self._try(lambda: self._write_finding(finding))

    def _write_finding(self, finding: Finding) -> None:
        from testbed.report.html import finding_html
        from testbed.report.text import finding_text
        from testbed.report.trace import trace_events

        path = self.finding_path(finding)
        atomic_write(path, encode(finding))
        atomic_write(path.with_suffix(".txt"), finding_text(finding, str(path)).encode())
        atomic_write(path.with_suffix(".html"), finding_html(finding, str(path)).encode())
        atomic_write(path.with_suffix(".trace.json"), trace_events(finding))

    def write(self, name: str, data: bytes) -> None:
        """Write a file of the run, replacing an earlier one. Never raises, see `problem`."""
        self._try(lambda: atomic_write(self.path / name, data))

    def finish(self, summary: Summary) -> Summary:
        """Write everything about an ended run and return what is to be announced.

        That is `summary`, but a run whose report could not be written is not called held: it
        becomes unknown, with `problem` as the reason. What was violated stays violated.
        """
        from testbed.report.ci import junit, sarif
        from testbed.report.html import summary_html

        def write() -> None:
            for finding in summary.findings:
                self._write_finding(finding)
            atomic_write(self.path / "report.html", summary_html(summary).encode())
            atomic_write(self.path / "junit.xml", junit(summary))
            atomic_write(self.path / "sarif.json", sarif(summary))
            atomic_write(self.path / RUN_FILE, encode(summary))

        self._try(write)
        if self.problem is None or summary.verdict is not Verdict.HELD:
            return summary
        return msgspec.structs.replace(
            summary, verdict=Verdict.UNKNOWN, reason=str(self.problem)
        )

    def _try(self, write: Callable[[], None]) -> None:
        try:
            write()
        except RunFolderError as error:
            self.problem = self.problem or error


def atomic_write(path: Path, data: bytes) -> None:
    """Write all of `data` to `path`, or leave `path` as it was.

    Raises:
        RunFolderError: it could not be written; nothing is left behind.
    """
    temporary = ""
    try:
        handle, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.rename(temporary, path)
    except OSError as error:
        if temporary:
            Path(temporary).unlink(missing_ok=True)
        raise _cannot_write(path, error) from error


def _append(path: Path, text: str) -> None:
    """Append in one write, so that lines of two processes do not mix."""
    data = text.encode()
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
        try:
            if os.write(handle, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        finally:
            os.close(handle)
    except OSError as error:
        raise _cannot_write(path, error) from error


def _cannot_write(path: Path, error: OSError) -> RunFolderError:
    reason = (error.strerror or str(error)).lower()
    advice = "free some space or use --runs DIR" if error.errno in NO_SPACE else "use --runs DIR"
    return RunFolderError(f"cannot write {path}: {reason}; {advice}")


def _umask() -> int:
    """Return the umask without changing it, which other threads would see."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("Umask:"):
            return int(line.split()[1], 8)
    return 0o077


@dataclass(frozen=True)
class Run:
    """A run found on disk; `summary` is None when it did not end by itself."""

    path: Path
    summary: Summary | None


def list_runs(base: Path | None = None) -> list[Run]:
    """Return all runs in `base`, oldest first; a run that cannot be read counts as not ended.

    Raises:
        RunFolderError: it is a file.
    """
    parent = runs_folder(base)
    if parent.exists() and not parent.is_dir():
        raise RunFolderError(f"{parent}: not a folder; use --runs DIR")
    folders = [path for path in parent.iterdir() if path.is_dir()] if parent.is_dir() else []
    ours = [path for path in folders if re.match(r"\d{8}T\d{6}Z-", path.name)]
    return [Run(path, _summary_of(path)) for path in sorted(ours, key=_age)]


def latest(base: Path | None = None) -> Run:
    """Return the newest run in `base`.

    Raises:
        RunFolderError: there is none.
    """
    runs = list_runs(base)
    if not runs:
        raise RunFolderError(
            f"{runs_folder(base)}: no runs here; start one, for example: testbed stress --list"
        )
    return runs[-1]


def find_report(wanted: str, base: Path | None = None) -> Path:
    """Return the report file that `wanted` means.

    Args:
        wanted: a report file, a run's folder or its name, "latest", or a signature or the first
            digits of one. A run with exactly one finding means that finding, else the run.
        base: where to look for runs.

    Raises:
        RunFolderError: nothing fits, or a run has no report yet.
    """
    path = Path(wanted)
    if path.is_file():
        return path.with_suffix(".json") if path.suffix in (".txt", ".html") else path
    if wanted == "latest":
        return _report_in(latest(base).path)
    for folder in (path, runs_folder(base) / wanted):
        if folder.is_dir() and wanted:
            return _report_in(folder)
    found = list(_with_signature(wanted, base))
    if found:
        return found[-1]
    raise RunFolderError(
        f"{wanted or repr(wanted)}: no such report in {runs_folder(base)}; "
        "testbed report list shows them all"
    )


def read_report(path: Path) -> Finding | Summary:
    """Read a report file.

    Raises:
        RunFolderError: it cannot be read.
        FindingError: it is not a report.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise RunFolderError(f"{path}: {(error.strerror or str(error)).lower()}") from error
    return decode(data, str(path))


def _report_in(folder: Path) -> Path:
    reports = list(folder.glob("findings/*.json"))
    findings = [path for path in reports if not path.name.endswith(".trace.json")]
    if len(findings) == 1:
        return findings[0]
    if (folder / RUN_FILE).is_file():
        return folder / RUN_FILE
    if not (folder / "findings").is_dir():
        raise RunFolderError(f"{folder}: not the folder of a run")
    raise RunFolderError(f"{folder}: this run has not ended by itself, so it has no report")


def _with_signature(wanted: str, base: Path | None) -> Iterator[Path]:
    if re.fullmatch(r"[0-9a-f]{4,12}", wanted):
        for run in list_runs(base):
            for path in run.path.glob(f"findings/{wanted}*.json"):
                if not path.name.endswith(".trace.json"):
                    yield path


def _age(folder: Path) -> tuple[str, int, str]:
    """Sort by second, then by the order within it: ``-10`` comes after ``-2``."""
    stamp, _, rest = folder.name.partition("-")
    return stamp, folder.stat().st_mtime_ns if folder.exists() else 0, rest


def _summary_of(folder: Path) -> Summary | None:
    try:
        report = read_report(folder / RUN_FILE)
    except (RunFolderError, FindingError):
        return None
    return report if isinstance(report, Summary) else None
